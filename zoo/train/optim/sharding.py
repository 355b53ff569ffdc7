"""Weights, gradients and optimizer state spread over ranks: FSDP2.

Zhao et al. 2023, "PyTorch FSDP"; torch.distributed.fsdp.fully_shard. A saved state holds whole
tensors, so a run may go on with another number of ranks, or without sharding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from tasks.errors import UserError


def shard(model: Any, device: torch.device, world_size: int) -> None:
    """Shard a model in place (FSDP): each block is one unit, the rest another.

    Raises `UserError` if there is only one process.
    """
    if world_size == 1:
        raise UserError(
            "`fsdp` spreads a model over processes, and this is one alone: start it with "
            "torchrun --nproc_per_node N -m ..."
        )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world_size,))
    blocks = set(getattr(model, "_no_split_modules", None) or ())
    for module in model.modules():
        if type(module).__name__ in blocks:
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def keep_integers_local(model: nn.Module) -> None:
    """Keep DDP from broadcasting integer buffers (positions, counters), which are equal on all
    ranks.

    A broadcast writes to them before each forward pass. If an objective makes two forward passes,
    as FixMatch does, the backward pass of the first finds its positions changed and fails (torch
    2.11). Running statistics are floats, and are still broadcast from rank 0.
    """
    names = [name for name, buffer in model.named_buffers() if not buffer.is_floating_point()]
    nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, names)


def whole(tensor: Tensor) -> Tensor:
    """Return the full tensor of a sharded or a plain one; every rank must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Return this rank's part of a sharded tensor, in the same memory; a plain one is returned
    itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def like(full: Tensor, sample: Tensor) -> Tensor:
    """Return a full tensor laid out like `sample`: on its device and with its sharding."""
    if not isinstance(sample, DTensor):
        return full.to(sample.device)
    device = sample.device_mesh.device_type
    return distribute_tensor(full.to(device), sample.device_mesh, sample.placements)


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state dict with full tensors; every rank must call this."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}
