"""The arithmetic of a pass: fp32 or TF32, or autocast in bf16 or fp16 over fp32 weights."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch

from tasks.errors import UserError

ARITHMETIC = {"tf32": (8, 0), "bf16": (8, 0)}
"""Least compute capability of a GPU whose tensor cores multiply so: Ampere (NVIDIA, CUDA C++
Programming Guide, "Compute Capabilities"). PyTorch emulates bf16 on older ones, slower than fp32.
"""


def choose_device(asked: str) -> torch.device:
    """Return the requested device; "auto" is cuda if available, else mps, else cpu.

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


def compute_on(device: str, threads: int | None) -> torch.device:
    """Return the device of a name (see `choose_device`), and give this process so many threads of
    the processor, where a number is given."""
    if threads is not None:
        torch.set_num_threads(threads)
    return choose_device(device)


def choose_dtype(
    asked: Literal["auto", "fp32", "tf32", "bf16", "fp16"], device: torch.device
) -> torch.dtype:
    """Return the compute dtype of a forward pass: bf16 if requested, or if "auto" finds native
    support; fp16 only if requested, since its range is small.

    Raises `UserError` for arithmetic that the device does not have.
    """
    if asked == "tf32" and not _has_tf32(device):
        raise UserError(
            f"`dtype` tf32 is arithmetic of NVIDIA's GPUs since Ampere, not of {device}"
        )
    if asked == "fp16" and device.type != "cuda":
        raise UserError(
            f"`dtype` fp16 trains on NVIDIA's GPUs: {device} has next to no arithmetic in it: "
            "`dtype` bf16, or fp32"
        )
    if asked != "auto":
        types = {"bf16": torch.bfloat16, "fp16": torch.float16}
        return types.get(asked, torch.float32)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= ARITHMETIC["tf32"]


@contextlib.contextmanager
def fp32_products(device: torch.device, rounded: bool) -> Iterator[None]:
    """Make NVIDIA GPUs multiply in fp32 with inputs rounded to TF32 (`rounded`) or exactly, inside
    the context.

    PyTorch by itself rounds in convolutions, and not in other products. Other devices multiply as
    they do.
    """
    if device.type != "cuda":
        yield
        return
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a forward pass computes in this dtype."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
