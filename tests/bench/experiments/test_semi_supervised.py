"""The comparison with few labels: runs that differ in nothing but the objective; its interval."""

from pathlib import Path

import pytest
from scipy import stats

from bench.experiments import semi_supervised as bench


def _result(arm: str, seed: int, accuracy: float) -> dict[str, object]:
    return {"arm": arm, "seed": seed, "accuracy": accuracy, "n": 500, "commit": "abcdef0123"} | {
        "seconds_per_step": 0.5
    }


def test_arms_differ_in_the_objective_only() -> None:
    args = bench._parser().parse_args(["--labels", "9", "--flags", "--ema_decay", "0.99"])
    plain = bench.command(args, "supervised", 4, Path("out"))
    ours = bench.command(args, "fixmatch", 4, Path("out"))
    assert plain[-2:] == ours[-2:] == ["--ema_decay", "0.99"]
    assert ours[: len(plain) - 2] == plain[:-2]
    more = ours[len(plain) - 2 : -2]
    assert more[::2] == ["--ssl", "--unlabeled", "--unlabeled_ratio", "--ssl_threshold"]
    assert plain[plain.index("--split_seed") + 1] == plain[plain.index("--seed") + 1] == "4"


def test_the_interval_is_students() -> None:
    differences = [0.05, 0.07, 0.04]
    low, high = bench.interval(differences)
    found = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((found.low, found.high))
    assert bench.interval([0.1]) != bench.interval([0.1])  # not a number


def test_differences_are_paired_by_seed() -> None:
    results = [_result("supervised", seed, 0.7 + seed / 100) for seed in (1, 2, 3)]
    results += [_result("fixmatch", seed, 0.75 + seed / 100) for seed in (3, 1)]
    last = bench.table(results).splitlines()[-2]
    assert "+0.0500, +0.0500 to +0.0500 (n = 2): +0.0500 +0.0500" in last
