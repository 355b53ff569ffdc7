"""What must hold for each kind of output, and is not asked of others."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base import OutputKind
from zoo.deploy import parity
from zoo.deploy.parity import RULES, TOLERANCES, Difference
from zoo.deploy.proof import Proof

KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
REAL = [kind for kind in KINDS if kind != "tokens"]
BY_SQNR = ["regression", "waveform", "image"]
BOXES = ["boxes_xyxy", "boxes_cxcywh"]
ROUNDING = [numerics for numerics, limit in TOLERANCES.items() if limit.multiple is None]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _boxes(rng: np.random.Generator, count: int = 400) -> np.ndarray:
    """By their corners, as shares of the image."""
    low = rng.uniform(0.0, 0.5, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.4, 0.5, (count, 2))], -1)


def _centred(boxes: np.ndarray) -> np.ndarray:
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], -1)


def _mask(rng: np.random.Generator) -> np.ndarray:
    """Logits [4, 3, 16, 16] of three classes in stripes."""
    classes = np.arange(16)[None, :, None] // 6 == np.arange(3)[:, None, None]
    return 6.0 * classes + rng.normal(0, 0.3, (4, 3, 16, 16))


REFERENCES: dict[OutputKind, Callable[[np.random.Generator], np.ndarray]] = {
    "logits": lambda rng: 3 * rng.normal(size=(50, 7, 10)),
    "probabilities": lambda rng: _softmax(3 * rng.normal(size=(400, 10))),
    "regression": lambda rng: rng.normal(3.0, 1.0, (400, 1)),
    "embedding": lambda rng: rng.normal(size=(400, 32)),
    "hidden_state": lambda rng: rng.normal(size=(8, 50, 32)),
    "boxes_xyxy": _boxes,
    "boxes_cxcywh": lambda rng: _centred(_boxes(rng)),
    "mask": _mask,
    "waveform": lambda rng: rng.normal(0, 0.1, (4, 1000)),
    "image": lambda rng: rng.normal(size=(4, 16, 48)),
    "tokens": lambda rng: rng.integers(0, 30_000, (20, 100)),
}


def _difference(kind: OutputKind | None, wanted: Any, found: Any, numerics: str) -> Difference:
    """As a proof compares: with the source's own error where fp32's rule asks for it."""
    exact = TOLERANCES[numerics].multiple is not None
    source = np.float32(wanted) if exact else None
    return parity.difference("out", wanted, found, source, kind=kind)


def _fault(kind: OutputKind | None, wanted: Any, found: Any, numerics: str) -> str | None:
    one = _difference(kind, wanted, found, numerics)
    return parity.judge(one, numerics, one.signal) or parity.judge_all([one], numerics)


def _noise(rng: np.random.Generator, values: np.ndarray, decibels: float) -> np.ndarray:
    """Of that many dB below the values."""
    noise = rng.normal(size=values.shape)
    return np.asarray(noise * parity.rms(values) / parity.rms(noise) * 10 ** (-decibels / 20))


def test_every_kind_has_a_rule() -> None:
    assert set(RULES) == {*KINDS, None} and set(REFERENCES) == set(KINDS)


@pytest.mark.parametrize("numerics", list(TOLERANCES))
@pytest.mark.parametrize("kind", REAL)
def test_rounding_passes_and_more_noise_does_not(kind: OutputKind, numerics: str) -> None:
    rng, limit = np.random.default_rng(0), TOLERANCES[numerics]
    wanted = REFERENCES[kind](rng)
    if limit.multiple is not None:
        right = wanted.astype(np.float32) + np.spacing(np.abs(wanted).astype(np.float32))
    else:
        right = wanted + _noise(rng, wanted, limit.sqnr + 10)
    assert _fault(kind, wanted, right, numerics) is None
    assert _fault(kind, wanted, wanted + _noise(rng, wanted, limit.sqnr - 6), numerics)
    broken = right.copy()
    broken.flat[3] = np.nan
    assert _fault(kind, wanted, broken, numerics) == "out is not finite"


@pytest.mark.parametrize("numerics", list(TOLERANCES))
def test_as_many_tokens_as_rows_may_be_others(numerics: str) -> None:
    rng, allowed = np.random.default_rng(0), 1 - TOLERANCES[numerics].agreement
    wanted = REFERENCES["tokens"](rng)
    for count, wrong in ((round(allowed * wanted.size), False), (round(allowed * 2000) + 1, True)):
        found = wanted.copy()
        found.flat[:count] += 1
        assert bool(_fault("tokens", wanted, found, numerics)) == wrong
    assert _difference("tokens", wanted, found, numerics).is_real is False


@pytest.mark.parametrize("numerics", list(TOLERANCES))
@pytest.mark.parametrize("kind", BOXES)
def test_boxes_elsewhere_are_refused_though_the_error_is_small(
    kind: OutputKind, numerics: str
) -> None:
    """Small boxes in a large image, each moved by its own width."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1900, (300, 2))
    boxes = np.concatenate([low, low + 20], -1)
    moved = boxes + 20
    if kind == "boxes_cxcywh":
        boxes, moved = _centred(boxes), _centred(moved)
    one = _difference(kind, boxes, moved, numerics)
    assert one.sqnr > 30 and one.agreement == 0
    fault = parity.judge_all([one], numerics)
    least, allowed = TOLERANCES[numerics].iou, 1 - TOLERANCES[numerics].agreement
    assert fault == (
        f"out has an IoU below {least:g} in 100.0% of 300 boxes; {allowed:.0%} is allowed"
    )


def test_the_iou_of_boxes() -> None:
    """Half of one covers half of the other: a third."""
    one, other = np.array([[0.0, 0.0, 4.0, 2.0]]), np.array([[2.0, 0.0, 6.0, 2.0]])
    for kind, pair in (
        ("boxes_xyxy", (one, other)),
        ("boxes_cxcywh", (_centred(one), _centred(other))),
    ):
        assert _difference(kind, *pair, "bf16").scores == pytest.approx([1 / 3])


@given(st.integers(0, 2**32), st.sampled_from(BOXES), st.sampled_from(ROUNDING))
def test_right_boxes_are_accepted_whatever_their_highest_coordinate(
    seed: int, kind: OutputKind, numerics: str
) -> None:
    """Moved by less than 1% of their side; nearly square ones, whose highest coordinate changes."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 400, (30, 1))
    boxes = np.concatenate([low, low, low + 100, low + 100 + rng.uniform(-0.9, 0.9, (30, 1))], -1)
    found = boxes + rng.uniform(-0.9, 0.9, boxes.shape)
    if kind == "boxes_cxcywh":
        boxes, found = _centred(boxes), _centred(found)
    assert _fault(kind, boxes, found, numerics) is None


def test_what_was_wrong_with_boxes_as_logits() -> None:
    boxes = np.tile([10.0, 20.0, 100.0, 103.0], (50, 1))
    found = boxes + np.array([0.0, 0.0, 2.0, -2.0])
    assert "the highest output is another one" in str(_fault("logits", boxes, found, "bf16"))
    assert _fault("boxes_xyxy", boxes, found, "bf16") is None


def test_a_box_without_width_decides_nothing() -> None:
    boxes = np.array([[0.0, 0.0, 100.0, 100.0], [50.0, 50.0, 50.1, 90.0]])
    assert _difference("boxes_xyxy", boxes, boxes + 0.1, "bf16").rows == 1


@given(st.floats(40, 180), st.sampled_from(list(TOLERANCES)), st.integers(0, 2**32))
def test_a_turned_embedding_is_refused(degrees: float, numerics: str, seed: int) -> None:
    """Each vector keeps its length, and its highest entry beside all others."""
    rng = np.random.default_rng(seed)
    wanted = rng.normal(size=(40, 16))
    across = rng.normal(size=wanted.shape)
    across -= wanted * ((across * wanted).sum(-1) / (wanted**2).sum(-1))[:, None]
    across *= (np.linalg.norm(wanted, axis=-1) / np.linalg.norm(across, axis=-1))[:, None]
    angle = np.radians(degrees)
    one = _difference(
        "embedding", wanted, np.cos(angle) * wanted + np.sin(angle) * across, numerics
    )
    assert one.scores == pytest.approx(np.full(40, max(np.cos(angle), 0)), abs=1e-9)
    assert "has a cosine similarity below" in str(parity.judge_all([one], numerics))


@pytest.mark.parametrize("kind", ["embedding", "hidden_state"])
def test_short_vectors_that_are_turned_do_not_drown_in_long_ones(kind: OutputKind) -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=(100, 16))
    wanted[::5] *= 0.05
    found = wanted.copy()
    found[::5] = found[::5, ::-1]
    one = _difference(kind, wanted, found, "bf16")
    assert parity.judge(one, "bf16", one.signal) is None
    assert parity.judge_all([one], "bf16") == (
        "out has a cosine similarity below 0.9938 in 20.0% of 100 rows; 3% is allowed"
    )


def test_padding_has_no_direction_and_highest_entries_of_vectors_do_not_matter() -> None:
    wanted = np.tile([1.0, 1.05, 0.2, -1.0], (20, 1))
    found = wanted + np.array([0.04, -0.04, 0.0, 0.0])
    wanted[:10], found[:10] = 0.0, 1e-6
    one = _difference("embedding", wanted, found, "bf16")
    assert one.rows == 10 and _fault("embedding", wanted, found, "bf16") is None
    assert "highest" in str(_fault("logits", wanted, found, "bf16"))


@pytest.mark.parametrize("numerics", ROUNDING)
def test_probabilities_have_a_floor_of_their_own(numerics: str) -> None:
    """All near 0, as of many labels of which none is given: then a step is more than the signal."""
    rng, floor = np.random.default_rng(0), TOLERANCES[numerics].probability
    wanted = np.full((400, 10), floor)
    signs = rng.choice([-1.0, 1.0], wanted.shape)

    def fault(kind: OutputKind, step: float) -> str | None:
        one = _difference(kind, wanted, wanted + step * signs, numerics)
        return parity.judge(one, numerics, one.signal)

    assert fault("probabilities", 0.99 * floor) is None
    assert "SQNR" in str(fault("probabilities", 1.01 * floor))
    assert fault("logits", 1.01 * floor) is None, "nats are no probabilities"


@pytest.mark.parametrize("numerics", list(TOLERANCES))
@pytest.mark.parametrize("form", ["of classes", "of one thing", "classes"])
def test_a_thing_that_is_lost_does_not_drown_in_the_background(form: str, numerics: str) -> None:
    """Nine pixels of 4,096 in each of five images."""
    rng = np.random.default_rng(0)
    there = np.zeros((5, 64, 64), bool)
    there[:, 30:33, 10:13] = True
    if form == "classes":
        wanted, found = there.astype(np.int64), np.zeros_like(there, np.int64)
    else:
        wanted = np.where(there, 0.4, -4.0) + rng.normal(0, 0.01, there.shape)
        found = np.where(there, -0.4, wanted)
        if form == "of classes":
            wanted, found = (np.stack([-each, each], 1) for each in (wanted, found))
    one = _difference("mask", wanted, found, numerics)
    assert one.rows == 10 and one.agreement == pytest.approx(0.5, abs=0.01)
    if one.is_real:
        assert one.sqnr > 30
    least, allowed = TOLERANCES[numerics].iou, 1 - TOLERANCES[numerics].agreement
    assert parity.judge_all([one], numerics) == (
        f"out has an IoU below {least:g} in 50.0% of 10 masks; {allowed:.0%} is allowed"
    )


def test_the_iou_of_masks() -> None:
    """Classes of two images: of the first, two of four pixels are taken for the other."""
    wanted, found = (
        np.array([[[0, 0, 0, 0], [1, 1, 1, 1]]] * 2),
        np.array([[[0, 0, 1, 1], [1] * 4]] * 2),
    )
    found[1] = wanted[1]
    assert _difference("mask", wanted, found, "bf16").scores.tolist() == [2 / 4, 4 / 6, 1, 1]


def test_pixels_that_are_close_calls_decide_nothing() -> None:
    wanted = np.where(np.arange(64) < 32, 5.0, -5.0).reshape(1, 8, 8)
    wanted[0, 0, 0] = 0.01
    found = wanted.copy()
    found[0, 0, 0] = -0.01
    assert _difference("mask", wanted, found, "bf16").scores.tolist() == [1, 1]


@pytest.mark.parametrize("kind", [*BY_SQNR, None])
def test_what_has_no_classes_is_judged_by_its_sqnr_alone(kind: OutputKind | None) -> None:
    wanted = np.tile([1.0, 1.05, -1.0], (20, 1))
    found = wanted + np.array([0.04, -0.04, 0.0])
    one = _difference(kind, wanted, found, "bf16")
    assert one.rows == 0 and _fault(kind, wanted, found, "bf16") is None
    assert "SQNR" in str(_fault(kind, wanted, 1.2 * wanted, "bf16"))


@pytest.mark.parametrize("kind", ["image", None])
def test_integers_that_are_no_ids_are_judged_as_other_numbers(kind: OutputKind | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 48), np.uint8)
    for numerics in TOLERANCES:
        assert _fault(kind, pixels, pixels, numerics) is None
        assert _fault(kind, pixels, pixels[::-1], numerics)
    apart = parity.judge_arrangement(kind, pixels[0], pixels[1], "fp32", np.inf)
    assert "dB apart" in str(apart)


@pytest.mark.parametrize("kind", [*BY_SQNR, "embedding", "boxes_xyxy", "mask", None])
def test_nats_are_of_logits_only(kind: OutputKind | None) -> None:
    small = 1e-3 * np.random.default_rng(0).normal(size=(8, 4))
    one, logits = (
        _difference(each, small, small[::-1], "int8-dynamic") for each in (kind, "logits")
    )
    assert parity.judge(one, "int8-dynamic", one.signal)
    assert parity.judge(logits, "int8-dynamic", logits.signal) is None


def test_an_output_does_not_hide_behind_another() -> None:
    """Both have classes; of one all are others."""
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(size=(1000, 5)), rng.normal(size=(50, 5))
    both = [
        parity.difference("start", right, right, kind="logits"),
        parity.difference("end", wrong, -wrong, kind="logits"),
    ]
    assert parity.judge_all(both[:1], "int8-dynamic") is None
    assert f"in 100.0% of {both[1].rows} rows" in str(parity.judge_all(both, "int8-dynamic"))


def test_a_row_alone_and_among_others() -> None:
    ids = np.arange(200)
    assert parity.judge_arrangement("tokens", ids, ids, "fp32", np.inf) is None
    other = ids + (ids == 3)
    assert parity.judge_arrangement("tokens", ids, other, "fp32", np.inf) == (
        "0.5% of the ids are other ones; 0% is allowed"
    )
    assert parity.judge_arrangement("tokens", ids, other, "fp16", np.inf) is None
    assert parity.judge_arrangement("tokens", ids, other, "fp32", 40.0) is None, "so is the source"
    row = np.full(8, 0.01)
    assert parity.judge_arrangement("logits", row, row + 0.01, "int8-dynamic", np.inf) is None
    assert parity.judge_arrangement("embedding", row, row + 0.01, "int8-dynamic", np.inf)


def test_a_proof_tells_what_agrees_by_the_name_of_its_rule() -> None:
    rng = np.random.default_rng(0)
    proof = Proof("onnx")
    for kind in ("boxes_xyxy", "logits", "embedding", "tokens"):
        wanted = REFERENCES[kind](rng)
        found = wanted if kind != "logits" else wanted[..., ::-1]
        proof.differences.append((_difference(kind, wanted, found, "bf16"), {"batch": 1}, "real"))
    numbers, agreements = proof.summary(), proof.agreements()
    assert numbers["box_iou"] == numbers["token_agreement"] == 1.0
    assert numbers["cosine_similarity"] == pytest.approx(1.0)
    assert numbers["argmax_agreement"] < 0.3
    assert {name: rows for name, (_, rows) in agreements.items() if name != "argmax_agreement"} == {
        "box_iou": 400,
        "cosine_similarity": 400,
        "token_agreement": 2000,
    }


def test_a_proof_of_tokens_alone_has_no_sqnr() -> None:
    tokens = np.arange(100).reshape(4, 25)
    one = _difference("tokens", tokens, tokens + (tokens < 2), "fp32")
    proof = Proof("onnx", differences=[(one, {"batch": 4}, "real")])
    assert proof.summary() == {"token_agreement": 0.98}
    assert proof.worst() == "out, real input, batch 4: 98.00% the same"
