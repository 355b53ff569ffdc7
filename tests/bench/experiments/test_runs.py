"""What the comparisons share: command line, results, intervals."""

import importlib
from pathlib import Path

import pytest
from scipy import stats

from bench.experiments import runs
from tasks.errors import UserError

MODULES = ("against_trainer", "vision_against_trainer", "semi_supervised", "pretraining")
MODULES += ("mlp_against_sklearn",)


def test_the_interval_is_students() -> None:
    differences = [0.05, 0.07, 0.04]
    mean, low, high = runs.interval(differences)
    found = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (low, mean, high) == pytest.approx((found.low, sum(differences) / 3, found.high))
    assert runs.interval([0.1]) != runs.interval([0.1])  # not a number


def test_only_what_is_missing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, ran = tmp_path / "results.jsonl", list[int]()

    def run(key: runs.Result) -> runs.Result:
        ran.append(key["seed"])
        return {**key, "labels": 9, "accuracy": 0.5, "machine": "this one"}

    for seeds in ((1, 2), (1, 2, 3)):
        keys = [{"seed": seed} for seed in seeds]
        results = runs.complete(output, {"labels": 9}, keys, run, ("accuracy",))
        assert [each["seed"] for each in results] == list(seeds)
    assert ran == [1, 2, 3]
    assert capsys.readouterr().out.splitlines()[-1] == '{"seed": 3, "accuracy": 0.5}'
    assert runs.complete(output, {"labels": 8}, (), run, ()) == [], "other settings"


def test_a_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"seed": 1}\n\n[1, 2]\n')
    with pytest.raises(UserError, match=r"a\.jsonl, line 3: no result of a comparison"):
        runs.read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("module", MODULES)
def test_mistakes_are_one_line(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(f"bench.experiments.{module}").main
    flag = "--pretrain_epochs" if module == "pretraining" else "--max_train_samples"
    flag = "--steps" if module == "semi_supervised" else flag
    data = () if module == "pretraining" else ("--data", "d")
    for words, said in (
        ((flag, 0), f"{flag} 0"),
        (("--seeds", -1), "--seeds -1: at least 0"),
        (("--output", tmp_path), "is a folder"),
    ):
        assert main([*data, *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1 and error.startswith(f"{module}: ")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert f"    python -m bench.experiments.{module} --" in capsys.readouterr().out


def test_a_run_that_goes_wrong() -> None:
    """A user's mistake is told as the model tells it."""
    with pytest.raises(UserError, match=r"^bert_cls: --learning_rate -1\.0"):
        runs.zoo(["zoo.nlp.bert_cls", "finetune", "--learning_rate", "-1"])
    with pytest.raises(SystemExit, match=r"none failed:\n.*No module named"):
        runs.zoo(["zoo.none"])
