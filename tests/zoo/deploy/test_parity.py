"""Whether outputs agree."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base import OutputKind
from zoo.deploy import parity

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(64, 10))


def _judged(found: np.ndarray, numerics: str, output: str = "logits") -> str | None:
    source = REFERENCE.astype(np.float32)
    own = source if parity.tolerance_of(numerics).multiple is not None else None
    difference = parity.difference(output, REFERENCE, found, own, kind="logits")
    return parity.judge(difference, numerics, difference.signal)


@pytest.mark.parametrize("numerics", list(parity.TOLERANCES))
def test_the_same_passes_and_noise_does_not(numerics: str) -> None:
    assert _judged(REFERENCE.astype(np.float32), numerics) is None
    assert _judged(RNG.normal(size=REFERENCE.shape), numerics)
    assert _judged(np.where(REFERENCE[0, 0] == REFERENCE, np.nan, REFERENCE), numerics)


@pytest.mark.parametrize(("numerics", "bits"), [("fp32", 23), ("bf16", 7)])
def test_rounding_passes_where_it_is_that_of_the_numerics(numerics: str, bits: int) -> None:
    def rounded(to: int) -> np.ndarray:
        unit = 2.0 ** (np.floor(np.log2(np.abs(REFERENCE))) - to)
        return np.round(REFERENCE / unit) * unit

    assert _judged(rounded(bits), numerics) is None
    assert _judged(rounded(min(bits - 6, 8)), numerics)


def test_small_errors_of_logits_are_none_but_of_other_outputs() -> None:
    small = 1e-3 * REFERENCE
    found = small + 0.01 * RNG.normal(size=small.shape)
    kinds: tuple[tuple[OutputKind, bool], ...] = (("logits", False), ("hidden_state", True))
    for kind, wrong in kinds:
        difference = parity.difference("output", small, found, kind=kind)
        assert bool(parity.judge(difference, "bf16", difference.signal)) == wrong


def test_a_fault_in_one_row_does_not_drown_in_many() -> None:
    many = RNG.normal(size=(2000, 10))
    source = many.astype(np.float32)
    found = source.copy()
    found[7] += 2e-5
    difference = parity.difference("logits", many, found, source, kind="logits")
    assert difference.rms < 1e-6
    assert "a row of logits" in str(parity.judge(difference, "fp32", difference.signal))


def test_an_unsure_sample_is_judged_beside_the_others() -> None:
    sure, unsure = 5 * REFERENCE, 0.1 * REFERENCE
    noise = 0.2 * RNG.normal(size=REFERENCE.shape)
    differences = [
        parity.difference("logits", each, each + noise, kind="logits") for each in (sure, unsure)
    ]
    signal, _ = parity.pooled(differences)
    assert differences[1].sqnr < 0
    assert [parity.judge(each, "int8-static", signal) for each in differences] == [None, None]
    assert parity.judge(differences[1], "int8-static", differences[1].signal)


@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_sqnr_has_no_unit(scale: float, noise_db: float) -> None:
    noise = RNG.normal(size=REFERENCE.shape)
    noise *= parity.rms(REFERENCE) / parity.rms(noise) * 10 ** (-noise_db / 20)
    found = parity.sqnr(scale * REFERENCE, scale * (REFERENCE + noise))
    assert found == pytest.approx(noise_db, abs=1e-3)


def test_close_calls_decide_nothing() -> None:
    close = np.array([[1.0, 1.0 + 1e-6, -3.0], [0.0, 5.0, 1.0]])
    swapped = close[:, [1, 0, 2]] * [1, 1, 1]
    difference = parity.difference("logits", close, swapped, kind="logits")
    assert difference.rows == 1 and difference.agreement == 0.0
    assert parity.judge_all([difference], "bf16")


def test_a_row_that_depends_on_the_others() -> None:
    one, other = REFERENCE[0], REFERENCE[0] + 0.1
    assert parity.judge_arrangement("logits", one, other, "fp32", math.inf)
    assert parity.judge_arrangement("logits", one, other, "int8-dynamic", math.inf) is None
    # as the source itself does: a model that takes no mask sees its padding
    assert parity.judge_arrangement("logits", one, other, "fp32", parity.sqnr(one, other)) is None


def test_other_shapes_are_no_difference() -> None:
    with pytest.raises(ValueError, match=r"logits is \[3, 10\], and should be \[64, 10\]"):
        parity.difference("logits", REFERENCE, REFERENCE[:3], kind="logits")
