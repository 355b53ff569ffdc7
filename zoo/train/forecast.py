"""What a training run will cost, before it begins: rough, from counts and one short measurement."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tasks.base import Features
from zoo.train.order import Schedule

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

GIB = 2**30


@dataclass(frozen=True)
class Forecast:
    """Expected cost of a run on one device."""

    seconds: float
    memory: int  # bytes
    available: int  # bytes free on the device now

    def __str__(self) -> str:
        minutes = self.seconds / 60
        when = f"{minutes:.0f} min" if minutes >= 1.5 else f"{self.seconds:.0f} s"
        return f"about {when} of training and {self.memory / GIB:.1f} GiB"

    def warning(self) -> str | None:
        """A line where the run may not fit."""
        if self.memory <= self.available:
            return None
        return (
            f"this needs about {self.memory / GIB:.1f} GiB and "
            f"{self.available / GIB:.1f} are free: lower "
            "--per_device_train_batch_size or --token_budget, or turn on --gradient_checkpointing"
        )


def forecast(
    model: Any,
    train: Features,
    args: "TrainArgs",
    device: torch.device,
    dtype: torch.dtype,
) -> Forecast:
    """Expected seconds and bytes.

    Time: 6 FLOPs a multiplied parameter and token (Kaplan et al. 2020, section 2.1; embeddings are
    looked up) at the rate this device shows, doubled for all that is no matrix product. Memory:
    weights, gradients and two moments of 4 bytes; activations of 34 bytes a token, layer and hidden
    unit (Korthikanti et al. 2022, section 4.1, for 2-byte numbers).
    """
    named = [(n, p) for n, p in model.named_parameters() if p.ndim > 1 and "embed" not in n]
    step = args.per_device_train_batch_size * args.gradient_accumulation_steps
    steps = Schedule.of(len(train), step, args.num_train_epochs, args.max_steps).total_steps
    per_sample = float((train.lengths * train.rows).mean())
    flops = 6 * sum(p.numel() for _, p in named) * per_sample * step * steps
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    config = getattr(model, "config", None)
    width = getattr(config, "hidden_size", 0) * getattr(config, "num_hidden_layers", 0)
    longest = int((train.lengths * train.rows).max())
    budget = args.token_budget or args.per_device_train_batch_size * longest
    activations = budget * width * 34 * dtype.itemsize // 2
    return Forecast(
        2 * flops / matmul_rate(device, dtype),
        4 * total + 12 * trained + activations,
        available_memory(device),
    )


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int = 1024) -> float:
    """FLOP/s of a matrix product [size, size] x [size, size], the best of three after a first."""
    a = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for i in range(4):
        begin = time.perf_counter()
        product = a @ a
        product[0, 0].item()  # waits for the device
        if i:
            best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def available_memory(device: torch.device) -> int:
    """Bytes that can still be had on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)
