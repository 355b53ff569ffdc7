"""`zoo runs`: checkpoints side by side, out of what their folders record."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from tests.cli import Done, run_cli
from zoo.cli import runs
from zoo.machine.formatting import width
from zoo.store import evidence

FILES = {"config.json": "c0", "model.safetensors": "f00", "README.md": "later"}
SUBJECT = evidence.digest_of({name: FILES[name] for name in ("config.json", "model.safetensors")})


def _write(
    folder: Path,
    value: float | None,
    *,
    data: str = "reviews",
    metric: str = "accuracy",
    subject: str = SUBJECT,
    **fields: Any,
) -> None:
    folder.mkdir(parents=True)
    manifest = {
        "schema": 1,
        "model": "bert_cls",
        "module": "zoo.nlp.bert_cls",
        "pipeline": "text-classification",
        "source": {"model": "minilm"},
        "config": {"options": {}, "data": {}, "task": {}, "train": {}},
        "data": {"name": data, "fingerprint": data, "rows": {"train": 1200, "test": 100}},
        "seed": 42,
        "versions": {},
        "commit": {"commit": None, "dirty": None},
        "files": FILES,
    }
    (folder / "zoo.json").write_text(json.dumps(manifest))
    facts = []
    if value is not None:
        said: dict[str, Any] = {
            "n": 100,
            "split": "test",
            "dataset": {"name": data, "fingerprint": data},
        }
        said["interval"] = {"low": value - 0.1, "high": value + 0.1, "level": 0.95, "method": "w"}
        facts.append(evidence.Fact("metric", metric, value, "1", subject, "r1", **said | fields))
        other = {"n": 100, "split": "test", "dataset": {"name": data, "fingerprint": data}} | fields
        facts.append(evidence.Fact("metric", "f1", 0.0, "1", subject, "r1", **other))
        facts.append(evidence.Fact("training", "train_seconds", 64.25, "s", subject, "r1"))
    evidence.append(folder, facts)


def _runs(*words: object) -> Done:
    return run_cli("zoo", "runs", *words)


def test_the_best_of_each_data_set_comes_first(tmp_path: Path) -> None:
    _write(tmp_path / "a", 0.7)
    _write(tmp_path / "deep" / "b", 0.9)
    _write(tmp_path / "c", 0.3, data="calls", metric="wer")
    _write(tmp_path / "d", 0.2, data="calls", metric="wer")
    _write(tmp_path / "e", None, data="calls")
    done = _runs(tmp_path)
    assert done.code == 0, done.err
    names = [line.split()[0] for line in done.lines[1:]]
    assert names == ["e", "d", "c", "deep/b", "a"]  # a lower error rate is better
    head, *_, last = done.lines
    assert head.split("  ")[0] == "run" and "95% interval" in head
    assert last.split()[1:] == [
        *("bert_cls", "reviews", "accuracy", "0.7000", "0.6000", "to", "0.8000"),
        *("100", "64.25", "s"),
    ]
    assert "not measured" in done.lines[1]
    assert "\x1b" not in done.out and "│" not in done.out  # plain in a pipe


def test_json_is_a_line_a_run(tmp_path: Path) -> None:
    _write(tmp_path / "影评", 0.7)
    (row,) = map(json.loads, _runs(tmp_path, "--json").lines)
    assert row["run"] == str(tmp_path / "影评") and row["value"] == 0.7 and row["n"] == 100
    assert row["train_rows"] == 1200 and row["train_seconds"] == 64.25 and row["split"] == "test"


def test_what_was_measured_of_another_thing_is_not_shown(tmp_path: Path) -> None:
    _write(tmp_path / "other-weights", 0.9, subject="f" * 16)
    _write(tmp_path / "other-data", 0.9, dataset={"name": "x", "fingerprint": "elsewhere"})
    _write(tmp_path / "artifact", 0.9, deployment="onnx")
    for line in _runs(tmp_path).lines[1:]:
        assert "not measured" in line and "0.9" not in line


def test_the_newest_evaluation_counts_and_test_before_validation(tmp_path: Path) -> None:
    _write(tmp_path / "a", 0.7)
    common: dict[str, Any] = {"n": 100, "dataset": {"name": "reviews", "fingerprint": "reviews"}}
    facts = [
        evidence.Fact("metric", "accuracy", 0.8, "1", SUBJECT, "r2", split="test", **common),
        evidence.Fact("metric", "f1", 0.1, "1", SUBJECT, "r2", split="test", **common),
        evidence.Fact("metric", "accuracy", 1.0, "1", SUBJECT, "r3", split="validation", **common),
    ]
    evidence.append(tmp_path / "a", facts)
    row = runs.row_of(tmp_path / "a")
    assert (row.metric, row.value, row.split, row.low) == ("accuracy", 0.8, "test", None)
    shown = dataclasses.replace(row, split="validation").cells(tmp_path)
    assert shown[3:6] == ("validation accuracy", "0.8000", "-")


def test_columns_stand_under_each_other_in_chinese_too(tmp_path: Path) -> None:
    _write(tmp_path / "影评二", 0.7, data="影评")
    _write(tmp_path / "b", 0.7)
    lines = _runs(tmp_path).lines
    begins = {
        width(line[: line.index(word)])
        for line, word in zip(lines, ("model",) + ("bert_cls",) * 2, strict=True)
    }
    assert len(begins) == 1


def test_broken_runs_are_told(tmp_path: Path) -> None:
    _write(tmp_path / "good", 0.7)
    (tmp_path / "half" / "state").mkdir(parents=True)
    (tmp_path / "half" / "logs").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "zoo.json").write_text("{ half")
    (tmp_path / "nothing").mkdir()
    done = _runs(tmp_path)
    assert done.code == 0 and "good" in done.out
    below = done.out.partition("no whole checkpoint:")[2]
    assert "half holds no zoo.json" in below and "torn" in below and "is damaged" in below
    assert "nothing" not in done.out and "--resume" not in done.out.partition("no whole")[0]
    assert len(_runs(tmp_path, "--json").lines) == 1


def test_a_single_run_and_none(tmp_path: Path) -> None:
    _write(tmp_path / "a", 0.7)
    assert len(_runs(tmp_path / "a").lines) == 2
    (tmp_path / "empty").mkdir()
    done = _runs(tmp_path / "empty")
    assert done.code == 2 and "there is no run in" in done.err and done.err.count("\n") == 1
    done = _runs(tmp_path / "none")
    assert done.code == 2 and "there is no folder" in done.err


def test_artifacts_inside_a_run_are_no_runs(tmp_path: Path) -> None:
    _write(tmp_path / "a", 0.7)
    _write(tmp_path / "a" / "artifacts" / "onnx", 0.6)
    _write(tmp_path / "1" / "2" / "3" / "too-deep", 0.6)
    assert list(runs.found(tmp_path)) == [tmp_path / "a"]
