"""How far one set of images is from another, by the features that a network has of them: FID, and
KID, each with an interval over images."""

import numpy as np

from tasks.metrics import intervals
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import SEED, MetricEstimate

DRAWS = 200
"""Resamples of both sets, for the width of an interval."""
FEWEST_DRAWS = 20
"""Resamples where each takes long: the width of an interval is then known to about a sixth."""
WORK = 4e10
"""Products that the resamples of an FID may take: a minute, about, on a core."""
BLOCK = 512
"""Rows of a kernel matrix that are held at once."""


def estimates(
    images: Floats, real: Floats, level: float = 0.95, seed: int = SEED
) -> list[MetricEstimate]:
    """Return FID and KID of images against real ones; n is the number of the images.

    The interval is the normal one of the bootstrap (Efron & Tibshirani 1993, section 13.3) over the
    images of both sets: the value and so many of the resamples' standard deviations to either side.
    Percentiles would not do for FID: a resample has fewer distinct images, which makes its FID
    larger than that of the images themselves.

    FID depends on the number of images: it falls as they become more (Chong & Forsyth 2020), so
    values and intervals of equal numbers alone can be compared. KID does not.

    Args:
        images: their features, float64 [n, features]; at least two.
        real: those of the real ones, float64 [m, features]; at least two.
        seed: of the resamples.
    """
    work = sum(len(each) * each.shape[1] ** 2 for each in (images, real))
    draws = max(FEWEST_DRAWS, min(DRAWS, int(WORK / work)))
    weights, others = _resamples(len(images), DRAWS, seed), _resamples(len(real), DRAWS, seed + 1)
    frechet = [
        _frechet(_moments(images, ours), _moments(real, theirs))
        for ours, theirs in zip(weights[:draws], others[:draws], strict=True)
    ]
    kernel = _kernel_distances(images, real, weights, others)
    fid, kid = frechet_distance(images, real), kernel_distance(images, real)
    return [
        _normal("fid", fid, len(images), np.array(frechet), level, 0.0),
        _normal("kid", kid, len(images), kernel, level, -np.inf),
    ]


def frechet_distance(first: Floats, second: Floats) -> float:
    """Return the squared Fréchet distance of normal distributions with the means and covariances
    (divided by n - 1) of two sets of features, float64 [n, features] and [m, features] (Heusel et
    al. 2017, "GANs Trained by a Two Time-Scale Update Rule", equation 6).

    It is |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With C = R^T R the trace of the root is the
    sum of the singular values of R1 R2^T: no root of a matrix is taken, so that covariances which
    are singular are no special case.
    """
    return _frechet(_moments(first, _once(first)), _moments(second, _once(second)))


def kernel_distance(first: Floats, second: Floats) -> float:
    """Return the squared maximum mean discrepancy of two sets of features, float64 [n, features]
    and [m, features], by the kernel (x y / features + 1)^3 (Bińkowski et al. 2018, "Demystifying
    MMD GANs", section 4).

    It is the unbiased estimate over all pairs of different images, whose mean is 0 where both sets
    come from one distribution, so that a value can be negative. Those who draw subsets of the
    images and take their mean estimate the same with more noise.
    """
    one = _kernel_distances(first, second, _once(first)[None], _once(second)[None])
    return float(one[0])


def _once(features: Floats) -> Ints:
    return np.ones(len(features), np.int64)


def _resamples(n: int, draws: int, seed: int) -> Ints:
    """Return how often each of n images is in each resample, int64 [draws, n]."""
    return np.concatenate(list(intervals.resamples(np.ones(n, np.int64), draws, seed)))


def _moments(features: Floats, counts: Ints) -> tuple[Floats, Floats]:
    """Return the mean [features] of a set in which each row counts so often, and an R [rows,
    features] whose R^T R is its covariance."""
    seen = counts > 0
    features, counts = features[seen], counts[seen]
    n = int(counts.sum())
    mean = counts @ features / n
    scaled: Floats = (features - mean) * np.sqrt(counts / max(n - 1, 1))[:, None]
    if len(scaled) > scaled.shape[1]:
        triangle: Floats = np.linalg.qr(scaled, mode="r")  # type: ignore[assignment]  # of this mode
        return mean, triangle
    return mean, scaled


def _frechet(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float:
    (mean, root), (other_mean, other_root) = first, second
    common = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    apart = ((mean - other_mean) ** 2).sum()
    # no distance is below 0, but rounding of equal covariances may be
    return max(0.0, float(apart + (root**2).sum() + (other_root**2).sum() - 2 * common))


def _kernel_distances(first: Floats, second: Floats, ours: Ints, theirs: Ints) -> Floats:
    """Return the discrepancy [draws] of sets in which each row counts so often: int64 [draws, n]
    and [draws, m].

    A pair of an image with itself does not count, in a resample that has it twice as well:
    otherwise a resample would seem less varied than the images are.
    """
    pairs = []
    for features, counts in ((first, ours), (second, theirs)):
        weights = counts.astype(np.float64)
        number = weights.sum(1) ** 2 - (weights**2).sum(1)
        pairs.append(_kernel_sums(features, features, weights, weights, True) / number)
    weights, others = ours.astype(np.float64), theirs.astype(np.float64)
    across = _kernel_sums(first, second, weights, others, False)
    found: Floats = pairs[0] + pairs[1] - 2 * across / (weights.sum(1) * others.sum(1))
    return found


def _kernel_sums(
    first: Floats, second: Floats, weights: Floats, others: Floats, is_same: bool
) -> Floats:
    """Return the weighted sums [draws] of the kernel over all pairs, computed in blocks of rows.

    Args:
        is_same: whether both are one set, whose pairs of a row with itself are left out.
    """
    sums = np.zeros(len(weights))
    for start in range(0, len(first), BLOCK):
        rows = slice(start, start + BLOCK)
        kernel = (first[rows] @ second.T / first.shape[1] + 1) ** 3
        if is_same:
            places = np.arange(len(kernel))
            kernel[places, start + places] = 0
        sums += ((weights[:, rows] @ kernel) * others).sum(1)
    return sums


def _normal(
    name: str, value: float, n: int, draws: Floats, level: float, least: float
) -> MetricEstimate:
    """The normal interval of bootstrap draws, cut off at `least`; undefined where all are equal."""
    half = intervals.t_quantile(len(draws) - 1, level) * float(np.std(draws, ddof=1))
    if not np.isfinite(value) or not np.isfinite(half) or draws.min() == draws.max():
        return intervals.undefined(name, value, n, level)
    low, high = max(least, value - half), value + half
    return MetricEstimate(
        name=name, value=value, n=n, low=low, high=high, level=level, method="bootstrap-normal"
    )
