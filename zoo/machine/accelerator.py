"""Accelerate's view of this process: its device and its rank."""

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator


def accelerator_on(device: torch.device, *handlers: Any) -> "Accelerator":
    """Return Accelerate's view of this process on a device, without its mixed precision.

    Accelerate keeps the first device that a process asks for and refuses another one; here a later
    one counts, as in a notebook that trains on a GPU and then exports on the processor. The ranks
    of one training keep theirs.

    Args:
        device: cuda, cuda:N, mps or cpu.
        handlers: of Accelerate (`kwargs_handlers`).
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not together:
        kept = PartialState._shared_state.get("device")
        if kept is not None and (kept.type, kept.index or 0) != (device.type, device.index or 0):
            AcceleratorState._reset_state(reset_partial_state=True)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # Accelerate takes the current one
    return Accelerator(
        cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=list(handlers)
    )
