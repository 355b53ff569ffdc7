"""Guesses of hidden tokens: one answer to all of them, and what many processes have counted."""

import numpy as np
import pytest

from tasks.metrics.masked import MaskedTokensMetric, PaintedPatchesMetric

TEXTS = [[7, 7, 2], [], [7, 3], [2]]


def counted(rows: list[int]) -> MaskedTokensMetric:
    accumulator = MaskedTokensMetric(lambda token: f"<{token}>")
    hidden = [np.array(TEXTS[row], np.int64) for row in rows]
    tokens = np.concatenate([*hidden, np.empty(0)])
    accumulator.count(np.array(rows), 0.5 * tokens, tokens == 3, hidden)
    return accumulator


def test_values_and_the_constant_answer() -> None:
    perplexity, accuracy = counted([0, 1, 2, 3]).compute(draws=0)
    assert perplexity.value == pytest.approx(np.exp(0.5 * 28 / 6))
    assert accuracy.value == pytest.approx(1 / 6)
    constant = counted([0, 1, 2, 3]).constant()
    assert constant is not None and constant.answer == "<7>"
    shares = np.array([3, 2, 1]) / 6
    assert constant.values["masked_accuracy"] == 0.5
    assert constant.values["perplexity"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_processes_and_repeats_change_nothing() -> None:
    parts = [counted([2, 0]), counted([1, 0, 3]), counted([3])]
    merged = counted([]).merge([part.state() for part in parts])
    whole = counted([0, 1, 2, 3])
    assert merged.compute() == whole.compute() and merged.constant() == whole.constant()
    assert len(merged) == 4


def test_without_hidden_tokens_there_is_no_answer() -> None:
    assert counted([]).constant() is None and counted([1]).constant() is None


def test_a_flat_patch_stands_for_a_painting() -> None:
    accumulator = PaintedPatchesMetric()
    accumulator.update(np.arange(2), np.array([[1.0, 4.0, 3.0], [0.0, 4.0, 4.0]]))
    constant = accumulator.constant()
    assert constant is not None and constant.values == {"reconstruction_loss": 7 / 8}
