"""`python -m zoo` answers at once, tells what is there, and says a mistake in one line."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zoo
from zoo import __main__ as cli
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.nlp.presets import PRESETS
from zoo.store import evidence


@dataclasses.dataclass(frozen=True)
class Options:
    """Flags of the stand-in."""

    pooling: str = "cls"
    layers: list[int] = dataclasses.field(default_factory=list)


BERT = Entry(
    name="stand_in",
    module="zoo.nlp.stand_in",
    task="tasks.nlp.text_classification",
    summary="A stand-in for a model",
    network="zoo.nlp.none",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={"learning_rate": 5e-5},
    presets=PRESETS,
    default_preset="minilm",
)
SCRATCH = dataclasses.replace(BERT, name="scratch", presets={}, default_preset=None)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "entries", lambda: [BERT, SCRATCH])
    yield


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "zoo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stand_in (text_classification): A stand-in for a model"
    assert lines[1].split() == ["preset", "weights", "has", "run"]
    assert lines[2].startswith("minilm (default)") and lines[2].endswith("yes")
    assert lines[3].startswith("bert-base-uncased") and lines[3].endswith("no")
    assert lines[-2].startswith("scratch (text_classification)")
    assert lines[-1] == "trained from scratch"


def test_list_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["list"]) == 0
    assert "bert-base-uncased" in capsys.readouterr().out


def test_info_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "stand_in"]) == 0
    said = capsys.readouterr().out
    for preset in PRESETS.values():
        assert preset.repo in said and preset.license in said
    assert "learning_rate 5e-05" in said and "pooling cls" in said
    assert len(said.splitlines()) <= 24 and max(map(len, said.splitlines())) <= 80
    assert cli.main(["info", "scratch"]) == 0
    assert "trained from scratch" in capsys.readouterr().out


def test_info_of_a_model_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "stand_in", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["recipe"] == {"learning_rate": 5e-05} and content["name"] == "stand_in"
    assert content["presets"]["minilm"]["sha256"] == PRESETS["minilm"].sha256
    assert content["settings"]["train"]["learning_rate"] == 5e-05
    assert content["settings"]["options"]["pooling"] == "cls"


def test_info_of_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = {
        "schema": 1,
        "model": "stand_in",
        "task": "tasks.nlp.text_classification",
        "config": {"train": {"learning_rate": 1e-3}},
        "data": {"name": "reviews", "fingerprint": "f00d"},
        "versions": {"torch": "2.13.0"},
        "seed": 7,
        "commit": {"commit": "c0ffee", "dirty": True},
        "files": {},
    }
    (tmp_path / "zoo.json").write_text(json.dumps(recorded))
    interval = {"low": 0.83, "high": 0.87, "level": 0.95, "method": "wilson"}
    one = evidence.Fact(
        "metric", "accuracy", 0.8512, "1", "abc", "r", n=1500, interval=interval, split="test"
    )
    two = evidence.Fact("memory", "peak", None, "bytes", "abc", "r", status="unavailable")
    three = evidence.Fact("training", "samples", 123456789, "samples", "abc", "r")
    evidence.append(tmp_path, [one, two, three])
    assert cli.main(["info", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "stand_in (text_classification)" in said and "f00d" in said and "c0ffee" in said
    assert "learning_rate 0.001" in said and "with changes" in said and "torch 2.13.0" in said
    assert "accuracy 0.8512 0.83 to 0.87 (95%) 1,500 test" in " ".join(said.split())
    assert "3 facts (1 metric, 1 memory, 1 training)" in said
    assert cli.main(["info", str(tmp_path), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [fact["name"] for fact in content["evidence"]] == ["accuracy", "peak", "samples"]
    assert content["zoo.json"] == recorded


def test_info_of_a_plain_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert cli.main(["info", str(tmp_path)]) == 0
    assert "not made by the zoo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (None, "", "is no checkpoint"),
        ("zoo.json", "{ half", "is damaged"),
        ("zoo.json", "[]", "holds no JSON object"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str | None,
    content: str,
    said: str,
) -> None:
    if name:
        (tmp_path / name).write_text(content)
    assert cli.main(["info", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("zoo: ") and error.count("\n") == 1 and said in error


def test_info_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "nothing"]) == 2
    assert "no model called 'nothing'" in capsys.readouterr().err
    assert cli.main(["info", "runs/nothing"]) == 2
    assert "there is no folder runs/nothing" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"]])
def test_it_answers_at_once(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "transformers", "datasets", "rich"}
    assert zoo.__version__ in done.stdout or arguments != ["--version"]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
