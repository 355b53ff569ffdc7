"""Sums over pieces of documents: the interval is over documents, however they are cut."""

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.metrics.documents import DocumentMetric
from tasks.metrics.ratios import Ratio, RatioMetric

RATIOS = (Ratio("bits_per_byte", 0, 1), Ratio("token_accuracy", 2, 3))


def _rows(documents: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 900, documents)
    bits = sizes * rng.gamma(20, 0.1, documents)
    tokens = sizes // 4 + 1
    return np.stack([bits, sizes, rng.integers(0, tokens), tokens], 1).astype(float)


def _in_pieces(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each document in one to three pieces, the bytes with the first one."""
    pieces, owners = [], []
    for number, row in enumerate(rows):
        parts = number % 3 + 1
        for part in range(parts):
            share = row / parts
            share[1] = row[1] if part == 0 else 0
            pieces.append(share)
            owners.append(number)
    return np.array(pieces), np.array(owners)


def test_the_cut_changes_nothing() -> None:
    rows = _rows(40)
    whole = RatioMetric(RATIOS)
    whole.update(np.arange(len(rows)), rows)
    pieces, owners = _in_pieces(rows)
    shares = [DocumentMetric(RATIOS) for _ in range(3)]
    for i in np.random.default_rng(1).permutation(len(pieces)):
        for each in shares[: i % 3 + 1]:  # some pieces are seen twice
            each.count(np.array([i]), pieces[[i]], owners[[i]])
    merged = DocumentMetric(RATIOS).merge([each.state() for each in shares])
    assert len(merged) == 40
    for ours, theirs in zip(merged.compute(), whole.compute(), strict=True):
        assert (ours.name, ours.n, ours.method) == (theirs.name, 40, "bootstrap")
        values = (ours.value, ours.low, ours.high)
        assert values == pytest.approx((theirs.value, theirs.low, theirs.high))
    statistics = merged.sample_statistics("bits_per_byte")
    assert statistics.ids.tolist() == list(range(40))
    assert statistics.rows == pytest.approx(rows)


def test_a_piece_is_of_one_document() -> None:
    metric = DocumentMetric(RATIOS)
    metric.count(np.array([3]), np.ones((1, 4)), np.array([0]))
    metric.count(np.array([3]), np.ones((1, 4)), np.array([1]))
    with pytest.raises(UserError, match="two different references"):
        metric.compute()
    with pytest.raises(ValueError, match="2 ids and 1 documents"):
        metric.count(np.array([0, 1]), np.ones((2, 4)), np.array([0]))


def test_nothing_is_not_a_number() -> None:
    assert all(np.isnan(one.value) for one in DocumentMetric(RATIOS).compute())
