"""FID and KID: equal to their formulas written out, with intervals that other images stay in."""

import numpy as np
import pytest
import scipy.linalg

from tasks.metrics import feature_distances
from tasks.metrics.feature_distances import estimates, frechet_distance, kernel_distance


def features(n: int, size: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    """Features that depend on each other, as those of a network do."""
    rng = np.random.default_rng(seed)
    mixed = np.random.default_rng(99).normal(size=(size, size))
    return np.maximum(rng.normal(size=(n, size)) @ mixed + shift, 0)


def by_matrix_root(first: np.ndarray, second: np.ndarray) -> float:
    """FID as Heusel et al. have it, by the root of a matrix."""
    one, other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (first, second))
    root = scipy.linalg.sqrtm(one @ other)
    apart = np.sum((first.mean(0) - second.mean(0)) ** 2)
    return float(apart + np.trace(one) + np.trace(other) - 2 * np.trace(root).real)


def by_sums(first: np.ndarray, second: np.ndarray) -> float:
    """KID pair by pair."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def within(one: np.ndarray) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(one) for j, b in enumerate(one) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in first for b in second]
    return within(first) + within(second) - 2 * sum(across) / len(across)


@pytest.mark.parametrize("size", [1, 5, 24])
def test_frechet_distance_is_that_of_the_root_of_a_matrix(size: int) -> None:
    first, second = features(80, size), features(50, size, seed=1, shift=0.5)
    known = by_matrix_root(first, second)
    assert frechet_distance(first, second) == pytest.approx(known, rel=1e-8)
    assert frechet_distance(second, first) == pytest.approx(known, rel=1e-8)


def test_frechet_distance_of_singular_covariances() -> None:
    """Fewer images than features, and features that never change: the formula holds, without the
    noise that the root of a singular matrix has."""
    rng = np.random.default_rng(0)
    few, still = rng.normal(size=(4, 9)), features(40, 9)
    still[:, 3:] = 2.0
    for first, second in ((few, still), (still, few), (few, few + 1)):
        spectrum = np.linalg.eigvals(np.cov(first.T) @ np.cov(second.T)).real
        traces = np.trace(np.cov(first.T)) + np.trace(np.cov(second.T))
        apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
        known = apart + traces - 2 * np.sqrt(np.maximum(spectrum, 0)).sum()
        assert frechet_distance(first, second) == pytest.approx(known, abs=1e-5)
    assert frechet_distance(few, few + 1) == pytest.approx(9, abs=1e-9), "the means alone differ"


def test_equal_sets_are_no_distance_apart() -> None:
    one = features(300, 24)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_is_that_of_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_distances, "BLOCK", 7)  # several, and one that is not full
    first, second = features(24, 5), features(17, 5, seed=1, shift=0.3)
    known = by_sums(first, second)
    assert kernel_distance(first, second) == pytest.approx(known, rel=1e-10)
    assert kernel_distance(second, first) == pytest.approx(known, rel=1e-10)


def test_kernel_distance_is_unbiased() -> None:
    """The mean over small sets of one distribution is 0, not above it as that of FID is."""
    pairs = [(features(12, 4, 2 * i), features(12, 4, 2 * i + 1)) for i in range(300)]
    found = np.array([kernel_distance(*pair) for pair in pairs])
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(len(found))
    assert (found < 0).any()
    frechet = np.array([frechet_distance(*pair) for pair in pairs])
    assert frechet.mean() > 10 * frechet.std() / np.sqrt(len(frechet))


@pytest.mark.parametrize(("shift", "most"), [(0.0, 4.0), (1.0, 1.5)])
def test_intervals_have_the_width_that_other_images_show(shift: float, most: float) -> None:
    """Of sets that are alike they are too wide: both distances vary less there than resamples of
    theirs do, which are less alike."""
    sets = [(features(200, 4, 2 * i, shift), features(150, 4, 2 * i + 1)) for i in range(60)]
    fids = [frechet_distance(*pair) for pair in sets]
    kids = [kernel_distance(*pair) for pair in sets]
    for found, values in zip(estimates(*sets[0]), (fids, kids), strict=True):
        assert (found.n, found.method, found.level) == (200, "bootstrap-normal", 0.95)
        assert found.value == values[0] and found.low <= found.value <= found.high
        assert 0.6 < (found.high - found.value) / (1.97 * np.std(values)) < most


def test_the_interval_is_a_function_of_the_seed() -> None:
    first, second = features(40, 4), features(40, 4, 1)
    assert estimates(first, second, seed=3) == estimates(first, second, seed=3)
    one, other = (estimates(first, second, seed=seed)[0] for seed in (3, 4))
    assert one.value == other.value and one.high != other.high


def test_wide_features_are_resampled_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_distances, "WORK", 1.0)
    calls: list[int] = []
    plain = feature_distances._frechet
    monkeypatch.setattr(
        feature_distances, "_frechet", lambda *given: calls.append(1) or plain(*given)
    )
    fid, _ = estimates(features(40, 4), features(40, 4, 1))
    assert len(calls) == feature_distances.FEWEST_DRAWS + 1 and fid.low < fid.high


def test_features_that_never_change_have_no_interval() -> None:
    still = np.ones((30, 3))
    for found in estimates(still, still + 1):
        assert found.method == "undefined" and found.value > 0 and np.isnan(found.low)
