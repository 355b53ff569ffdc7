"""Rounds: every arm once a round, each in its own process; a run cut off goes on where it was."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from bench.experiments import rounds, runs
from bench.experiments.rounds import ArmMeasurement, RoundCase, RoundComparison
from tasks.bounds import Positive
from tasks.errors import UserError

SPEED = {"zoo": 30.0, "other": 20.0}


@dataclass(frozen=True, kw_only=True)
class Args(rounds.Args):
    arms: tuple[Literal["zoo", "other", "large", "wrong"], ...] = ("zoo", "other")
    epochs: Positive = 1.0


def _measure(case: RoundCase) -> ArmMeasurement:
    print("noise of a library")
    assert case.folder.is_dir() and case.args.flags in ((), ("--dtype", "fp32"))
    if case.arm == "large":
        raise MemoryError("no memory")
    if case.arm == "wrong":
        raise UserError("no folder of that name")
    threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    return ArmMeasurement(SPEED[case.arm] * case.seed, threads / 10)


COMPARISON = RoundComparison(
    "tests.bench.experiments.test_rounds",
    "images",
    Args,
    dict.fromkeys(("zoo", "other", "large", "wrong"), _measure),
    ("epochs",),
)


def _asked(*words: object) -> Args:
    given = ["--data", "/some/where/digits", *map(str, words)]
    return runs.parse("none", "about", Args, given)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Arms run in this process, and are noted."""
    seen: list[Any] = []

    def launch(
        comparison: RoundComparison, args: Args, arm: str, batch: int, seed: int
    ) -> runs.Result:
        seen.append((arm, batch, seed))
        return rounds.measure(comparison.module, asdict(args), arm, batch, seed)

    monkeypatch.setattr(rounds, "_launch", launch)
    return seen


def test_rounds_table_and_resume(
    launched: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "results.jsonl"
    words = ("--batch_sizes", 8, 16, "--output", output)
    rounds.compare(COMPARISON, _asked(*words, "--seeds", 1, 2))
    assert sorted(launched) == [(a, b, s) for a in sorted(SPEED) for b in (8, 16) for s in (1, 2)]
    results = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(results) == 8
    assert {r["data"] for r in results} == {"digits"}, "no absolute paths"
    lines = [line for line in capsys.readouterr().out.splitlines() if "noise" not in line]
    assert json.loads(lines[0])["samples_per_second"] in (20, 30, 40, 60)
    assert lines[-1].split()[:2] == ["16", "other"]
    assert lines[-1].endswith("1.50 (1.50 to 1.50): 1.50 1.50")
    launched.clear()
    rounds.compare(COMPARISON, _asked(*words, "--seeds", 1, 2, 3))
    assert {seed for _, _, seed in launched} == {3}, "only what is missing"
    assert capsys.readouterr().out.splitlines()[-1].endswith(": 1.50 1.50 1.50")
    launched.clear()
    rounds.compare(COMPARISON, _asked(*words, "--seeds", 1, "--epochs", 2))
    assert len(launched) == 4, "other settings are other results"


def test_an_arm_is_a_process() -> None:
    """With the flags of ours and its own threads; what it prints is no part of the result."""
    args = _asked("--seeds", 1, 2, "--threads", 3, "--flags", "--dtype", "fp32")
    assert args.flags == ("--dtype", "fp32")
    result = rounds._launch(COMPARISON, args, "zoo", 8, 2)
    assert (result["arm"], result["samples_per_second"]) == ("zoo", 60.0)
    assert (result["accuracy"], result["threads"]) == (0.3, 3)
    assert (result["batch"], result["seed"], result["flags"]) == (8, 2, ["--dtype", "fp32"])


@pytest.mark.parametrize(
    ("arm", "error", "said"),
    [("large", SystemExit, "no memory"), ("wrong", UserError, "no folder of that name")],
)
def test_an_arm_that_fails(arm: str, error: type[BaseException], said: str) -> None:
    with pytest.raises(error, match=f"{arm}, batch 8, seed 2: .*{said}"):
        rounds._launch(COMPARISON, _asked(), arm, 8, 2)


def test_results_carry_the_name_of_the_metric(
    launched: list[Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "results.jsonl"
    tagging = replace(COMPARISON, metric="f1")
    monkeypatch.setattr(f"{COMPARISON.module}.COMPARISON", tagging)
    rounds.compare(tagging, _asked("--output", output, "--seeds", 1))
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(found) == 2 and all("f1" in one and "accuracy" not in one for one in found)
    header = next(line for line in capsys.readouterr().out.splitlines() if "batch  arm" in line)
    assert header.split()[4] == "f1"
