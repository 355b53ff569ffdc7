"""Whether outputs agree: the one place that says how far a deployment may be from its source.

Two rules, by numerics:

- fp32 computes what the source computes, in another order. Both are compared with the source in
  float64, and the deployment's error (root mean square) may be a small multiple of the source's own
  (the rule of PyTorch's dynamo benchmarks, torch._dynamo.utils.same). So over all of an output, and
  in its worst row, where a fault in few rows would not drown.
- bf16 and int8 round. Their error is compared with the source's output itself: the signal to
  quantization noise ratio (SQNR, in dB: 20 log10 of |reference| over |error|, as in ONNX Runtime's
  and OpenVINO's quantization tools) must reach a floor, and the highest output must be the same
  one almost always. The noise is that of the one input, the signal that of all inputs of its kind:
  a sample of which the model is unsure has logits near 0, and rounding does not shrink with them.
  Logits have a unit (nats), so an error that is small in it is always allowed.

What ought to be the same in one deployment (a row alone and among others, with padding and
without) may differ by as much as rounding moves it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """How far outputs may be apart."""

    sqnr: float  # dB at least, of each input
    argmax: float  # share of rows at least whose highest output is the same
    multiple: float | None = None  # of the source's own error against float64; None: only the SQNR
    multiple_of_row: float = 10.0  # the same of the worst rows, which scatter more
    absolute: float = 0.0  # error (rms) that is always allowed beside that multiple
    nats: float = 0.0  # error (rms) of logits that is always allowed
    arrangement: float = 60.0  # dB at least between a row alone and among others
    calibrated: bool = False  # for inputs like the real ones: random ones show that it runs, only


TOLERANCES = {
    "fp32": Tolerance(80.0, 1.0, multiple=3.0, absolute=1e-5, arrangement=70.0),
    "tf32": Tolerance(40.0, 0.99, nats=0.005, arrangement=35.0),  # mantissas as long as fp16's
    "fp16": Tolerance(40.0, 0.99, nats=0.005, arrangement=35.0),
    "bf16": Tolerance(25.0, 0.97, nats=0.02, arrangement=25.0),
    # fp32's last bit differs with the shape, and turns a rounding to 8 bits here and there
    "int8-static": Tolerance(12.0, 0.93, nats=0.05, arrangement=20.0, calibrated=True),
    # each batch has scales of its own, so that a row depends on the others
    "int8-dynamic": Tolerance(12.0, 0.93, nats=0.05, arrangement=12.0),
    "int8-weight-only": Tolerance(20.0, 0.97, nats=0.02),
    "int4-weight-only": Tolerance(10.0, 0.90, nats=0.05),
    "fp8-dynamic": Tolerance(12.0, 0.93, nats=0.05, arrangement=12.0),
}
"""Numerics to tolerance. Those of int8 are wide: whether it is good enough is said by the task's
metric, and these catch what is broken."""

LOGITS = frozenset(("logits",))
"""Outputs in nats; all others are judged by their SQNR alone."""

CLOSE_CALL = 0.02
"""Rows whose two highest outputs are closer than this share of the output's spread decide nothing:
any rounding turns them."""


@dataclass(frozen=True)
class Difference:
    """How one output of a deployment differs from its reference."""

    output: str
    absolute: float  # largest |difference|
    relative: float  # largest |difference| over the largest |reference|
    argmax: float  # share of decided rows with the same highest entry; nan where none was decided
    rows: int  # decided rows
    values: int  # in the output
    signal: float  # rms of the reference
    rms: float  # of the difference
    own_rms: float | None  # the same of the source against float64; None where not asked
    row_rms: float  # of the difference in the row (over the last axis) where it is largest
    own_row_rms: float | None

    @property
    def sqnr(self) -> float:
        """Of this input alone, in dB; inf where they are equal."""
        return decibels(self.signal, self.rms)


def tolerance_of(numerics: str) -> Tolerance:
    """The tolerance for a deployment's numerics."""
    return TOLERANCES[numerics.removeprefix("autocast-")]


def difference(output: str, reference: Any, found: Any, source: Any = None) -> Difference:
    """Compares one output.

    Args:
        reference: float [rows, ...]: the source's output, in float64 where it was computed so.
        found: the deployment's, of the same shape.
        source: the source's in float32, where its own error is wanted.

    Raises ValueError where shapes differ.
    """
    wanted, given = np.asarray(reference, np.float64), np.asarray(found, np.float64)
    if wanted.shape != given.shape:
        raise ValueError(f"{output} is {list(given.shape)}, and should be {list(wanted.shape)}")
    with np.errstate(invalid="ignore"):
        apart = np.abs(given - wanted)
    same, rows = _same_highest(wanted, given)
    largest = float(np.abs(wanted).max(initial=0.0))
    absolute = float(apart.max(initial=0.0)) if np.isfinite(apart).all() else math.inf
    return Difference(
        output,
        absolute,
        absolute / largest if largest else (0.0 if absolute == 0 else math.inf),
        same / rows if rows else math.nan,
        rows,
        wanted.size,
        rms(wanted),
        error(given, wanted),
        None if source is None else error(source, wanted),
        _of_worst_row(given, wanted),
        None if source is None else _of_worst_row(source, wanted),
    )


def pooled(found: Sequence[Difference]) -> tuple[float, float]:
    """The rms of the reference and of the difference over all of these."""
    values = sum(one.values for one in found)
    if not values:
        return 0.0, 0.0
    signal = sum(one.values * one.signal**2 for one in found)
    noise = sum(one.values * one.rms**2 for one in found)
    return math.sqrt(signal / values), math.sqrt(noise / values)


def rms(values: Any) -> float:
    """Root of the mean square; inf where a value is not finite."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        return math.inf
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def error(found: Any, reference: Any) -> float:
    """The root mean square of a difference; inf where it is not finite."""
    with np.errstate(invalid="ignore"):  # inf - inf
        return rms(np.asarray(found, np.float64) - np.asarray(reference, np.float64))


def sqnr(reference: Any, found: Any) -> float:
    """Signal to quantization noise ratio in dB; inf where equal, -inf where not finite."""
    return decibels(rms(reference), error(found, reference))


def decibels(signal: float, noise: float) -> float:
    """20 log10 of signal over noise; inf without noise, -inf without signal or a finite noise."""
    if noise == 0:
        return math.inf
    if not math.isfinite(noise) or signal == 0:
        return -math.inf
    return 20 * math.log10(signal / noise)


def _of_worst_row(found: Any, wanted: np.ndarray) -> float:
    apart = np.asarray(found, np.float64) - wanted
    if not apart.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        rows = np.sqrt(np.mean(np.atleast_1d(apart) ** 2, axis=-1)).max()
    return float(rows) if np.isfinite(rows) else math.inf


def _same_highest(wanted: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """Rows (over the last axis) with the same highest entry, of those that decide something."""
    if wanted.ndim < 2 or wanted.shape[-1] < 2 or not wanted.size:
        return 0, 0
    flat, other = wanted.reshape(-1, wanted.shape[-1]), found.reshape(-1, found.shape[-1])
    top = np.sort(flat, axis=-1)[:, -2:]
    decided = top[:, 1] - top[:, 0] > CLOSE_CALL * max(float(flat.std()), 1e-12)
    same = flat.argmax(-1) == other.argmax(-1)
    return int((same & decided).sum()), int(decided.sum())


def judge(found: Difference, numerics: str, signal: float) -> str | None:
    """What is wrong with a difference, in a few words; None where it is within the tolerance.

    Args:
        signal: rms of the reference over all inputs of its kind (`pooled`).
    """
    limit = tolerance_of(numerics)
    if not math.isfinite(found.absolute):
        return f"{found.output} is not finite"
    if limit.multiple is not None and found.own_rms is not None:
        allowed = limit.multiple * found.own_rms + limit.absolute
        if found.rms > allowed:
            return (
                f"{found.output} has an error of {found.rms:.2g} (rms) against float64, its source "
                f"{found.own_rms:.2g}; {allowed:.2g} is allowed"
            )
        allowed = limit.multiple_of_row * (found.own_row_rms or 0.0) + limit.absolute
        if found.row_rms > allowed:
            return (
                f"a row of {found.output} has an error of {found.row_rms:.2g} (rms) against "
                f"float64, none of its source's more than {found.own_row_rms:.2g}; {allowed:.2g} "
                "is allowed"
            )
        return None
    small = found.output in LOGITS and found.rms <= limit.nats
    ratio = decibels(signal, found.rms)
    if ratio < limit.sqnr and not small:
        return f"{found.output} has an SQNR of {ratio:.1f} dB; at least {limit.sqnr:g} wanted"
    return None


def judge_all(found: Sequence[Difference], numerics: str) -> str | None:
    """What is wrong with the highest outputs of all comparisons together; None where nothing."""
    limit = tolerance_of(numerics)
    rows = sum(one.rows for one in found)
    same = sum(one.argmax * one.rows for one in found if one.rows)
    if rows and same / rows < limit.argmax:
        return (
            f"the highest output is another one in {1 - same / rows:.1%} of {rows:,} rows; "
            f"{1 - limit.argmax:.0%} is allowed"
        )
    return None


def judge_arrangement(
    output: str, one: Any, other: Any, numerics: str, source: float
) -> str | None:
    """What is wrong where a row differs between two arrangements of a batch; None where nothing.

    Args:
        one, other: the deployment's two outputs for the row.
        source: SQNR in dB of the source's, which may depend on the arrangement by nature: a model
            that takes no mask sees its padding.
    """
    limit, found = tolerance_of(numerics), sqnr(one, other)
    allowed = min(limit.arrangement, source - 6.0)
    small = error(one, other)
    free = max(limit.nats if output in LOGITS else 0.0, limit.absolute)
    if found >= allowed or small <= free:
        return None
    return f"{found:.1f} dB apart; at least {allowed:.1f} wanted"
