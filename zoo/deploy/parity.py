"""Whether outputs agree: the one place that says how far a deployment may be from its source.

Two rules for all outputs of real numbers, by numerics:

- fp32 computes what the source computes, in another order. Both are compared with the source in
  float64, and the deployment's error (root mean square) may be a small multiple of the source's own
  (the rule of PyTorch's dynamo benchmarks, torch._dynamo.utils.same). So over all of an output, and
  in its worst row, where a fault in few rows would not drown.
- bf16 and int8 round. Their error is compared with the source's output itself: the signal to
  quantization noise ratio (SQNR, in dB: 20 log10 of |reference| over |error|, as in ONNX Runtime's
  and OpenVINO's quantization tools) must reach a floor. The noise is that of the one input, the
  signal that of all inputs of its kind: a sample of which the model is unsure has logits near 0,
  and rounding does not shrink with them. Logits have a unit (nats) and probabilities too, so an
  error that is small in it is always allowed.

Beside them one rule by what the output is (`tasks.base.OutputKind`, as its signature says), for
what one number over all of an output does not tell: nearly all rows must agree. Of logits and
probabilities the highest must be the same one, vectors must point the same way, boxes and masks
must cover the same area, tokens must be equal (`RULES`).

What ought to be the same in one deployment (a row alone and among others, with padding and
without) may differ by as much as rounding moves it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tasks.base import OutputKind


@dataclass(frozen=True)
class Tolerance:
    """The largest difference between outputs that is allowed."""

    sqnr: float  # dB at least, of each input
    agreement: float  # share of rows at least that agree, by the rule of the output's kind
    multiple: float | None = None  # of the source's own error against float64; None: only the SQNR
    multiple_of_row: float = 10.0  # the same of the worst rows, which scatter more
    absolute: float = 0.0  # error (rms) that is always allowed beside that multiple
    nats: float = 0.0  # error (rms) of logits that is always allowed
    probability: float = 0.0  # error (rms) of probabilities that is always allowed
    iou: float = 0.99  # intersection over union of a box or mask that agrees, at least
    arrangement: float = 60.0  # dB at least between a row alone and among others
    calibrated: bool = False  # for inputs like the real ones: random ones show that it runs, only

    @property
    def cosine(self) -> float:
        """Cosine similarity of a vector that agrees, at least: what is left beside noise at a right
        angle to it that is 6 dB above the SQNR's, since rows scatter about it. That is 0.994 for
        bf16 (PyTorch's `same`: 0.99); never more than 0.9999, as fp32 is held against float64."""
        return min(0.9999, 1 / math.sqrt(1 + 10 ** ((6.0 - self.sqnr) / 10)))


HALF_STEP = {"fp16": 2**-12, "bf16": 2**-9, "int8": 2**-9}
"""Half the distance of two probabilities just below 1: of floats by their mantissa, of 8 bits in
steps of 1/256, which is how ONNX Runtime quantizes a softmax (quantization/operators/softmax.py).
No program that gives them in these numerics can be nearer."""

# The IoU by which COCO counts a box or mask as found (pycocotools, Params.iouThrs from 0.5 to
# 0.95): what rounds little must count at 0.9, what rounds more at 0.75 (AP75), and 8 bits at 0.5
# (AP50). 0.99 of fp32 is that of PyTorch's `same` for masks (iou_threshold).
TOLERANCES = {
    "fp32": Tolerance(80.0, 1.0, multiple=3.0, absolute=1e-5, arrangement=70.0),
    # mantissas as long as fp16's
    "tf32": Tolerance(
        40.0, 0.99, nats=0.005, arrangement=35.0, probability=HALF_STEP["fp16"], iou=0.9
    ),
    "fp16": Tolerance(
        40.0, 0.99, nats=0.005, arrangement=35.0, probability=HALF_STEP["fp16"], iou=0.9
    ),
    "bf16": Tolerance(
        25.0, 0.97, nats=0.02, arrangement=25.0, probability=HALF_STEP["bf16"], iou=0.75
    ),
    # fp32's last bit differs with the shape, and turns a rounding to 8 bits here and there
    "int8-static": Tolerance(
        12.0,
        0.93,
        nats=0.05,
        arrangement=20.0,
        probability=HALF_STEP["int8"],
        iou=0.5,
        calibrated=True,
    ),
    # each batch has scales of its own, so that a row depends on the others
    "int8-dynamic": Tolerance(
        12.0, 0.93, nats=0.05, arrangement=12.0, probability=HALF_STEP["int8"], iou=0.5
    ),
    # what is computed with such weights is bf16's
    "int8-weight-only": Tolerance(20.0, 0.97, nats=0.02, probability=HALF_STEP["bf16"], iou=0.75),
    "int4-weight-only": Tolerance(10.0, 0.90, nats=0.05, probability=HALF_STEP["bf16"], iou=0.5),
    "fp8-dynamic": Tolerance(
        12.0, 0.93, nats=0.05, arrangement=12.0, probability=HALF_STEP["bf16"], iou=0.5
    ),
}
"""Numerics to tolerance. Those of int8 are wide: whether it is good enough is said by the task's
metric, and these catch what is broken."""

CLOSE_CALL = 0.02
"""What is decided by less than this share of the output's spread decides nothing, as any rounding
turns it: rows whose two highest outputs are that close, pixels whose two highest classes are, boxes
that are that narrow, vectors that are that short."""


@dataclass(frozen=True)
class Rule:
    """The rule for the rows of an output of one kind, beside its SQNR."""

    name: str = ""  # of the evidence: the mean of the scores
    scores: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """float64 [decided rows], from 0 to 1, of reference and found; None: the SQNR is all."""
    least: Callable[[Tolerance], float] = lambda limit: 1.0  # score of a row that agrees
    fault: str = ""  # what is said of rows that do not; has {output} and {least}
    rows: str = "rows"
    floor: Callable[[Tolerance], float] = lambda limit: 0.0  # error (rms) that is always allowed
    has_ids: bool = False  # whether integers in it are ids: how far they are apart says nothing


@dataclass(frozen=True)
class Difference:
    """The difference between one output of a deployment and its reference."""

    output: str
    kind: OutputKind | None  # None: nobody said what it is
    is_real: bool  # whether it has quantities; not where it has ids, of tokens or of classes
    absolute: float  # largest |difference|
    relative: float  # largest |difference| over the largest |reference|
    scores: np.ndarray = field(repr=False, compare=False)
    """float64 [decided rows], from 0 to 1: how far a row agrees, as the kind's rule has it"""
    values: int  # in the output
    signal: float  # rms of the reference
    rms: float  # of the difference
    own_rms: float | None  # the same of the source against float64; None where not asked
    row_rms: float  # of the difference in the row (over the last axis) where it is largest
    own_row_rms: float | None

    @property
    def rows(self) -> int:
        """Return the number of rows that decide something."""
        return len(self.scores)

    @property
    def agreement(self) -> float:
        """The mean score of those rows, such as the share with the same highest entry; nan where
        none decided anything."""
        return float(self.scores.mean()) if self.rows else math.nan

    @property
    def sqnr(self) -> float:
        """Return the SQNR of this input alone, in dB; inf where the outputs are equal."""
        return decibels(self.signal, self.rms)


def tolerance_of(numerics: str) -> Tolerance:
    """The tolerance for a deployment's numerics."""
    return TOLERANCES[numerics.removeprefix("autocast-")]


def difference(
    output: str,
    reference: Any,
    found: Any,
    source: Any = None,
    *,
    kind: OutputKind | None,
) -> Difference:
    """Compares one output.

    Args:
        reference: [rows, ...]: the source's output, in float64 where it was computed so.
        found: the deployment's, of the same shape.
        source: the source's in float32, where its own error is wanted.
        kind: what the output is, as its signature says.

    Raises ValueError where shapes differ.
    """
    rule, reference = RULES[kind], np.asarray(reference)
    wanted, given = reference.astype(np.float64), np.asarray(found, np.float64)
    if wanted.shape != given.shape:
        raise ValueError(f"{output} is {list(given.shape)}, and should be {list(wanted.shape)}")
    with np.errstate(invalid="ignore"):
        apart = np.abs(given - wanted)
    is_real = not (rule.has_ids and reference.dtype.kind != "f")
    scores = np.empty(0)
    if rule.scores is not None and wanted.size:
        scores = np.nan_to_num(rule.scores(wanted if is_real else reference, given), nan=0.0)
    largest = float(np.abs(wanted).max(initial=0.0))
    absolute = float(apart.max(initial=0.0)) if np.isfinite(apart).all() else math.inf
    return Difference(
        output,
        kind,
        is_real,
        absolute,
        absolute / largest if largest else (0.0 if absolute == 0 else math.inf),
        scores,
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


def _same_highest(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """1 for rows (over the last axis) with the same highest entry, 0 for others."""
    if wanted.ndim < 2 or wanted.shape[-1] < 2:
        return np.empty(0)
    flat, other = wanted.reshape(-1, wanted.shape[-1]), found.reshape(-1, found.shape[-1])
    same: np.ndarray = flat.argmax(-1) == other.argmax(-1)
    return np.asarray(same[_lead(flat) > _close(flat)], np.float64)


def _lead(scores: np.ndarray) -> np.ndarray:
    """Return how far the highest entry is above the next one, over the last axis."""
    top = np.sort(scores, axis=-1)[..., -2:]
    lead: np.ndarray = top[..., 1] - top[..., 0]
    return lead


def _close(values: np.ndarray) -> float:
    return CLOSE_CALL * max(float(values.std()), 1e-12)


def _cosines(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Cosine similarity of vectors (over the last axis); one that is opposite has 0."""
    if wanted.ndim < 2 or wanted.shape[-1] < 2:
        return np.empty(0)
    flat, other = wanted.reshape(-1, wanted.shape[-1]), found.reshape(-1, found.shape[-1])
    length, its = np.linalg.norm(flat, axis=-1), np.linalg.norm(other, axis=-1)
    usual = float(np.sqrt(np.mean(length**2)))
    chosen = length > CLOSE_CALL * max(usual, 1e-12)  # zeros at places of padding have no direction
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        cosines = (flat * other).sum(-1) / (length * its)
    return np.asarray(np.clip(cosines[chosen], 0.0, 1.0))


def _box_ious(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [..., 4] with their own counterpart, given by two corners
    (x1, y1, x2, y2), as `torchvision.ops.box_iou` has it."""
    assert wanted.shape[-1] == 4, f"boxes have 4 numbers each, not {wanted.shape[-1]}"
    (low, high), (its_low, its_high) = (
        (boxes[:, :2], boxes[:, 2:]) for boxes in (wanted.reshape(-1, 4), found.reshape(-1, 4))
    )
    with np.errstate(invalid="ignore", over="ignore"):
        sides = np.clip(np.minimum(high, its_high) - np.maximum(low, its_low), 0.0, None)
        shared = sides.prod(-1)
        own = (high - low).prod(-1)
        its = np.clip(its_high - its_low, 0.0, None).prod(-1)
        ious = shared / (own + its - shared)
    chosen: np.ndarray = ((high - low) > _close(wanted)).all(-1)
    return np.asarray(ious[chosen])


def _centred_box_ious(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes given by centre, width and height (cx, cy, w,
    h)."""
    return _box_ious(*(_corners(boxes) for boxes in (wanted, found)))


def _corners(boxes: np.ndarray) -> np.ndarray:
    centres, sizes = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=-1)


def _mask_ious(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Intersection over union of the pixels of each class of each image that the reference has.

    Args:
        wanted: logits float64 [batch, classes, height, width], or [batch, height, width] or [batch,
            1, height, width] of one thing, which is where they are above 0 (as in Segment Anything,
            mask_threshold); or integer classes [batch, ...].
        found: the same in float64.
    """
    labels, others, decided = (
        array.reshape(len(wanted), -1) for array in _pixel_classes(wanted, found)
    )
    ious = []
    for mine, its, chosen in zip(labels, others, decided, strict=True):
        mine, its = mine[chosen], its[chosen]
        for label in np.unique(mine):
            either = (mine == label) | (its == label)
            ious.append(((mine == label) & (its == label)).sum() / either.sum())
    return np.asarray(ious, np.float64)


def _pixel_classes(
    wanted: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The class of each pixel in both, and which pixels decide something."""
    if wanted.dtype.kind != "f":
        return wanted, found, np.ones(wanted.shape, bool)
    if wanted.ndim < 4 or wanted.shape[1] == 1:
        return wanted > 0, found > 0, np.abs(wanted) > _close(wanted)
    return wanted.argmax(1), found.argmax(1), _lead(np.moveaxis(wanted, 1, -1)) > _close(wanted)


def _same_tokens(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    same: np.ndarray = wanted == found
    return same.ravel().astype(np.float64)


_HIGHEST = Rule("argmax_agreement", _same_highest, fault="the highest output is another one")
_DIRECTION = Rule(
    "cosine_similarity",
    _cosines,
    lambda limit: limit.cosine,
    "{output} has a cosine similarity below {least:.4g}",
)
_BOXES = Rule(
    "box_iou", _box_ious, lambda limit: limit.iou, "{output} has an IoU below {least:g}", "boxes"
)

RULES: Mapping[OutputKind | None, Rule] = {
    "logits": replace(_HIGHEST, floor=lambda limit: limit.nats),
    "probabilities": replace(_HIGHEST, floor=lambda limit: limit.probability),
    "regression": Rule(),
    "embedding": _DIRECTION,
    "hidden_state": _DIRECTION,
    "boxes_xyxy": _BOXES,
    "boxes_cxcywh": replace(_BOXES, scores=_centred_box_ious),
    "mask": replace(_BOXES, name="mask_iou", scores=_mask_ious, rows="masks", has_ids=True),
    "waveform": Rule(),
    "image": Rule(),
    "tokens": Rule(
        "token_agreement",
        _same_tokens,
        fault="{output} has another token",
        rows="places",
        has_ids=True,
    ),
    None: Rule(),
}
"""What must hold for an output of each kind; None: nobody said what it is, so what its highest
entry means is not known."""


def judge(found: Difference, numerics: str, signal: float) -> str | None:
    """Return what is wrong with a difference, in a few words; None where it is within the
    tolerance.

    Args:
        signal: rms of the reference over all inputs of its kind (`pooled`).
    """
    limit = tolerance_of(numerics)
    if not found.is_real:
        return None  # ids are the same or not: `judge_all` counts them
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
    ratio = decibels(signal, found.rms)
    if ratio < limit.sqnr and found.rms > RULES[found.kind].floor(limit):
        return f"{found.output} has an SQNR of {ratio:.1f} dB; at least {limit.sqnr:g} wanted"
    return None


def judge_all(found: Sequence[Difference], numerics: str) -> str | None:
    """Return what is wrong with the rows of all comparisons together, output by output; None where
    nearly all agree, or none decided anything."""
    limit = tolerance_of(numerics)
    for output, kind in dict.fromkeys((one.output, one.kind) for one in found):
        rule = RULES[kind]
        least = rule.least(limit)
        scores = [one.scores for one in found if (one.output, one.kind) == (output, kind)]
        scores_of_all = np.concatenate(scores)
        if not len(scores_of_all):
            continue
        same = float((scores_of_all >= least).mean())
        if same < limit.agreement:
            fault = rule.fault.format(output=output, least=least)
            return (
                f"{fault} in {1 - same:.1%} of {len(scores_of_all):,} {rule.rows}; "
                f"{1 - limit.agreement:.0%} is allowed"
            )
    return None


def judge_arrangement(
    kind: OutputKind | None, one: Any, other: Any, numerics: str, source: float
) -> str | None:
    """Return what is wrong where a row differs between two arrangements of a batch; None where
    nothing is.

    Args:
        kind: what the output is.
        one, other: the deployment's two outputs for the row.
        source: SQNR in dB of the source's, which may depend on the arrangement by nature: a model
            that takes no mask sees its padding.
    """
    limit, rule = tolerance_of(numerics), RULES[kind]
    if rule.has_ids and np.asarray(one).dtype.kind != "f":
        same = float(np.mean(np.asarray(one) == np.asarray(other))) if np.size(one) else 1.0
        if same >= limit.agreement or math.isfinite(source):
            return None
        return f"{1 - same:.1%} of the ids are other ones; {1 - limit.agreement:.0%} is allowed"
    found = sqnr(one, other)
    allowed = min(limit.arrangement, source - 6.0)
    if found >= allowed or error(one, other) <= max(rule.floor(limit), limit.absolute):
        return None
    return f"{found:.1f} dB apart; at least {allowed:.1f} wanted"
