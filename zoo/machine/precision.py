"""The arithmetic of a pass: fp32, or bf16 autocast over fp32 weights."""

import contextlib
from typing import Any, Literal

import torch

from tasks.errors import UserError


def choose_device(asked: str) -> torch.device:
    """The device asked for; auto is cuda, then mps, then cpu.

    Raises `UserError` where it is not there.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"`device` {asked} is not there: {str(error).splitlines()[0]}") from None
    return device


def choose_dtype(asked: Literal["auto", "fp32", "bf16"], device: torch.device) -> torch.dtype:
    """bf16 where it is asked for, or where auto finds that the hardware computes it natively."""
    if asked != "auto":
        return torch.bfloat16 if asked == "bf16" else torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """The context in which a pass computes."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
