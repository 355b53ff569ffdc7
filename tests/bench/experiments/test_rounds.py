"""Rounds: every arm once a round, each in its own process; a run cut off goes on where it was."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.experiments import rounds
from bench.experiments.rounds import Case, Comparison, Measured

ARMS = ("zoo", "other")
SPEED = {"zoo": 30.0, "other": 20.0}


def _measure(case: Case) -> Measured:
    print("noise of a library")
    assert case.folder.is_dir()
    return Measured(SPEED[case.arm] * case.seed, 0.5)


COMPARISON = Comparison("bench.none", "images", dict.fromkeys(ARMS, _measure), ("epochs",))


def _asked(*words: object) -> argparse.Namespace:
    parser = rounds.parser("about", ARMS, ARMS)
    parser.add_argument("--epochs", type=float, default=1.0)
    args: argparse.Namespace = parser.parse_args(["--data", "/some/where/digits", *map(str, words)])
    return args


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Arms run in this process, and are noted."""
    seen: list[Any] = []

    def launch(
        comparison: Comparison, args: argparse.Namespace, arm: str, batch: int, seed: int
    ) -> rounds.Result:
        seen.append((arm, batch, seed))
        words = {**vars(args), "one": arm, "batch_sizes": [batch], "seeds": [seed]}
        return rounds._one(comparison, argparse.Namespace(**words))

    monkeypatch.setattr(rounds, "_launch", launch)
    return seen


def test_rounds_table_and_resume(
    launched: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "results.jsonl"
    words = ("--batch_sizes", 8, 16, "--output", output)
    rounds.main(COMPARISON, _asked(*words, "--seeds", 1, 2))
    assert sorted(launched) == [(a, b, s) for a in sorted(ARMS) for b in (8, 16) for s in (1, 2)]
    results = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(results) == 8
    assert {r["data"] for r in results} == {"digits"}, "no absolute paths"
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0])["samples_per_second"] in (20, 30, 40, 60)
    assert lines[-1].split()[:2] == ["16", "other"]
    assert lines[-1].endswith("1.50 (1.50 to 1.50): 1.50 1.50")
    launched.clear()
    rounds.main(COMPARISON, _asked(*words, "--seeds", 1, 2, 3))
    assert {seed for _, _, seed in launched} == {3}, "only what is missing"
    assert capsys.readouterr().out.splitlines()[-1].endswith(": 1.50 1.50 1.50")
    launched.clear()
    rounds.main(COMPARISON, _asked(*words, "--seeds", 1, "--epochs", 2))
    assert len(launched) == 4, "other settings are other results"


def test_the_result_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    rounds.main(COMPARISON, _asked("--one", "zoo", "--seeds", 2, "--batch_sizes", 8))
    said = capsys.readouterr()
    result = json.loads(said.out.splitlines()[-1])
    assert (result["arm"], result["samples_per_second"]) == ("zoo", 60.0)
    assert len(said.out.splitlines()) == 1 and "noise" in said.err


@pytest.mark.parametrize("fails", [False, True])
def test_an_arm_is_a_process(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """Its flags are ours, with one arm, one batch size and one seed, before those for the zoo."""
    seen: dict[str, Any] = {}

    def run(command: list[str], **how: Any) -> argparse.Namespace:
        seen.update(how, command=command)
        return argparse.Namespace(returncode=int(fails), stdout='x\n{"a": 1}\n', stderr="no memory")

    monkeypatch.setattr(rounds.subprocess, "run", run)
    words = ["--data", "d", "--seeds", "1", "2", "--threads", "3", "--flags", "--dtype", "fp32"]
    monkeypatch.setattr(sys, "argv", ["rounds", *words])
    args = rounds.parser("", ARMS, ARMS).parse_args(words)
    assert args.flags == ["--dtype", "fp32"]
    if fails:
        with pytest.raises(SystemExit, match="no memory"):
            rounds._launch(COMPARISON, args, "other", 8, 2)
        return
    assert rounds._launch(COMPARISON, args, "other", 8, 2) == {"a": 1}
    assert seen["env"]["OMP_NUM_THREADS"] == "3"
    child = rounds.parser("", ARMS, ARMS).parse_args(seen["command"][3:])
    assert (child.one, child.batch_sizes, child.seeds) == ("other", [8], [2])
    assert child.flags == ["--dtype", "fp32"] and child.data == "d"


def test_results_carry_the_name_of_the_metric(
    launched: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results.jsonl"
    tagging = Comparison("bench.none", "samples", COMPARISON.arms, ("epochs",), metric="f1")
    rounds.main(tagging, _asked("--output", output, "--seeds", 1))
    assert [json.loads(line)["f1"] for line in output.read_text().splitlines()] == [0.5, 0.5]
    header = next(line for line in capsys.readouterr().out.splitlines() if "batch  arm" in line)
    assert header.split()[4] == "f1"
