"""Two files of results that were kept."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cli
from bench.cases.case import Case
from bench.record import compare_results, store
from bench.record.results import MeasureResult, Result, Value


def value(seconds: float, spread: float = 0.01) -> Value:
    interval = {"low": seconds / (1 + spread), "high": seconds * (1 + spread), "level": 0.99}
    return Value(seconds, "s", 10, interval)


def result(model: str, seconds: float, **origin: object) -> Result:
    found = MeasureResult({"median": value(seconds)})
    return Result("key", Case(model), "latency", found, 1.0, {"samples": 1}, origin)


@pytest.mark.parametrize(
    ("after", "word"), [(0.5, "faster"), (2.0, "slower"), (1.0, "same"), (1.04, "can't tell")]
)
def test_the_verdict(after: float, word: str) -> None:
    assert compare_results.pair(Case("minilm"), value(1.0), value(after), 0.03).word == word


@given(st.floats(0.1, 10), st.floats(0.001, 0.5), st.floats(0, 0.029))
def test_nothing_within_the_margin_is_claimed(seconds: float, spread: float, off: float) -> None:
    one = compare_results.pair(
        Case("minilm"), value(seconds, spread), value(seconds * (1 + off), spread), 0.03
    )
    assert one.word in ("same", "can't tell")
    assert one.low < one.ratio < one.high


def _files(tmp_path: Path) -> tuple[Path, Path]:
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    for model, seconds in (("minilm", 1.0), ("resnet18", 1.0), ("vit-base", 1.0)):
        store.append(before, result(model, seconds, versions={"torch": "2.9"}, source="a"))
    for model, seconds in (("minilm", 9.9), ("minilm", 1.5), ("resnet18", 0.5)):
        store.append(after, result(model, seconds, versions={"torch": "2.10"}, source="a"))
    return before, after


def test_latencies_of_forks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    one = result("minilm", 1.0)
    forked = dataclasses.replace(one.found, samples={"launcher": "preloaded"})
    store.append(paths[0], one)
    store.append(paths[1], dataclasses.replace(one, found=forked))
    assert cli.main(["compare", "--results", *map(str, paths)]) == 0
    assert "1 of 2 latencies are those of forks" in capsys.readouterr().out
    assert cli.main(["compare", "--results", str(paths[0]), str(paths[0])]) == 0
    assert "forks" not in capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = _files(tmp_path)
    assert cli.main(["compare", "--results", str(before), str(after)]) == 0
    said = capsys.readouterr().out
    assert "versions.torch: 2.9 -> 2.10" in said and "source" not in said
    assert "minilm eager, batch 1    1 s [" in said and "0.667 [" in said, "the last one"
    assert said.index("slower") < said.index("faster")
    assert "1 cases are in one of the files only" in said
    arguments = ["compare", "--results", str(before), str(after), "--fail_if", "slower:3%"]
    assert cli.main(arguments) == 1
    assert "minilm eager, batch 1 is slower by at least 0.03" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--results", "{before}"], "two files"),
        (["--results", "{before}", "{none}"], "no such file"),
        (["--results", "{before}", "{empty}"], "holds no latency"),
        (["--results", "{before}", "{other}"], "no case in common"),
        (["minilm"], "a comparison needs two"),
        (["minilm", "--deployments", "eager", "onx"], "onx"),
        (["minilm", "--deployments", "eager", "onnx", "--fail_if", "slowr"], "slower"),
        (["mnilm", "--deployments", "eager", "onnx"], "minilm"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    before, _ = _files(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    other = dataclasses.replace(result("minilm", 1.0), case=Case("deit-small"))
    store.append(tmp_path / "other.jsonl", other)
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("none", "empty", "other")}
    given = [each.format(before=before, **paths) for each in arguments]
    assert cli.main(["compare", *given]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
