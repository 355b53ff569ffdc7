"""Correct or no number: what the comparison lets pass."""

import numpy as np
import pytest

from bench.measures.parity import judge

EXACT = np.random.default_rng(0).normal(size=(4, 3))
WANTED = {"exact/logits": EXACT, "single/logits": EXACT.astype(np.float32)}


def _judge(logits: np.ndarray, numerics: str = "fp32"):
    return judge(WANTED, {"logits": logits.astype(np.float32)}, numerics)


def test_the_same() -> None:
    told = _judge(EXACT)
    assert told["fault"] == "" and told["values"] == 12


@pytest.mark.parametrize("numerics", ["fp32", "bf16", "int8-dynamic", "int8-static"])
@pytest.mark.parametrize("row", range(4))
def test_one_row_is_not_finite(numerics: str, row: int) -> None:
    logits = EXACT.copy()
    logits[row, 0] = np.nan
    assert "not finite" in _judge(logits, numerics)["fault"]


def test_bf16_may_round_and_fp32_may_not() -> None:
    rounded = EXACT * (1 + 2**-8)
    assert _judge(rounded, "bf16")["fault"] == ""
    assert "float64" in _judge(rounded, "fp32")["fault"]


def test_rows_in_another_order() -> None:
    for numerics in ("fp32", "bf16", "int8-dynamic"):
        assert _judge(EXACT[::-1], numerics)["fault"]


def test_another_shape() -> None:
    assert "should be" in _judge(EXACT[:, :2])["fault"]
