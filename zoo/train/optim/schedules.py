"""The learning rate over time, as a factor of its peak."""

import math

from tasks.preflight import Finding

FLOOR = 0.01  # where the exponential schedule ends


def steps_of_warmup(total: int, warmup: float) -> float:
    """Return the steps of warmup; `warmup` below 1 is a share of `total`, rounded up."""
    return math.ceil(warmup * total) if warmup < 1 else warmup


def check_warmup(total: int, warmup: float) -> list[Finding]:
    """Return a warning if training ends before the learning rate has reached its peak."""
    if steps_of_warmup(total, warmup) < total:
        return []
    steps = "1 step" if total == 1 else f"{total:,} steps"
    told = f"`warmup_steps` {warmup:g}: the training ends after {steps}, before the learning rate"
    return [Finding("warning", f"{told} has reached its peak")]


def lr_factor(kind: str, step: float, total: int, warmup: float) -> float:
    """Return the factor of the peak learning rate for the next step, after `step` completed ones.

    Linear and cosine are those of transformers' get_scheduler: from 1 after warmup to 0 at `total`.

    Args:
        kind: linear, cosine, constant or exponential.
        step: optimizer steps done; a fraction where a run went on with another batch size.
        warmup: steps of linear warmup; below 1 a share of `total`.
    """
    warmup_steps = steps_of_warmup(total, warmup)
    if step < warmup_steps:
        return step / max(1.0, warmup_steps)
    done = min(1.0, (step - warmup_steps) / max(1.0, total - warmup_steps))
    if kind == "linear":
        return 1.0 - done
    if kind == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    if kind == "exponential":
        return math.exp(math.log(FLOOR) * done)
    assert kind == "constant", kind
    return 1.0
