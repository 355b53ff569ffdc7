"""Correct or no number: what the comparison lets pass."""

import numpy as np
import pytest

from bench.measures.parity import judge

EXACT = np.random.default_rng(0).normal(size=(4, 3))
WANTED = {
    "exact/logits": EXACT,
    "single/logits": EXACT.astype(np.float32),
    "kind/logits": np.array("logits"),
}


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


def test_what_is_compared_is_what_the_reference_says_it_is() -> None:
    """Boxes whose highest coordinate is another one: right for boxes, wrong for logits."""
    boxes = np.array([[10.0, 20.0, 100.0, 103.0]] * 4)
    found = {"boxes": boxes + np.array([0.0, 0.0, 2.0, -2.0])}
    wanted = {"exact/boxes": boxes, "single/boxes": boxes.astype(np.float32)}
    told = [
        judge({**wanted, "kind/boxes": np.array(kind)}, found, "bf16")["fault"]
        for kind in ("boxes_xyxy", "logits")
    ]
    assert told[0] == "" and "the highest output is another one" in told[1]
    assert judge(wanted, found, "bf16")["fault"] == ""  # nobody says what it is


def test_tokens_have_no_sqnr() -> None:
    tokens = np.arange(100).reshape(4, 25)
    wanted = {"exact/ids": tokens, "single/ids": tokens, "kind/ids": np.array("tokens")}
    told = judge(wanted, {"ids": tokens + (tokens == 7)}, "fp32")
    assert told["fault"] == "ids has another token in 1.0% of 100 places; 0% is allowed"
    assert told["numbers"] == [("max_absolute_difference", 0.0, "1")]
