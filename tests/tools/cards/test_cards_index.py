"""MODEL_CARDS.md: from the records that are kept, and nothing else."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from tasks.errors import UserError
from tests.tools.cards.folders import Folder
from tools.cards import commands, index
from tools.cards.archive import archive
from tools.cards.cli import main
from zoo.model import registry
from zoo.store import evidence


@pytest.fixture
def models(carded: Folder, tmp_path: Path) -> Path:
    """Where the records of one run are kept."""
    folder = tmp_path / "models"
    archive(carded.path, "reviews", folder)
    return folder


def test_the_page_in_the_repository() -> None:
    """Rendered from the records under bench/results/models, to the byte."""
    assert index.faults() == []


def test_records_are_kept_without_weights_and_paths(carded: Folder, models: Path) -> None:
    names = {str(p.relative_to(models)) for p in models.rglob("*") if p.is_file()}
    assert names == {
        f"reviews/{name}"
        for name in ("evidence.jsonl", "zoo.json", "config.json", "artifacts/onnx/export.json")
    }
    kept = models / "reviews"
    assert (kept / evidence.FILE).read_bytes() == (carded.path / evidence.FILE).read_bytes()
    assert "/somewhere" not in (kept / "zoo.json").read_text()
    assert json.loads((kept / "zoo.json").read_text())["config"]["data"]["data"] == "reviews"


def test_what_was_measured_comes_first_and_all_else_in_a_line_a_model(models: Path) -> None:
    page = index.render(models)
    measured, rest = page.split("## Not measured yet")
    (row,) = re.findall(r"^\| `\w+` \|.*", measured, re.MULTILINE)
    assert row.startswith("| `bert_cls` | Text classification | [`minilm`](https://")
    assert "14<!-- e:" in row and "accuracy 0.857 (0.837 to 0.877)<!-- e:" in row
    assert "n = 1,500" in row and "`onnx`, 7.2 ms" in row and "loses +0.004<!-- e:" in row
    assert "batch 1, length 26, 2 threads on " in row
    lines = dict(re.findall(r"^- `(\w+)` (.*)", rest, re.MULTILINE))
    for entry in registry.entries():
        for name in entry.presets:
            named = f"[`{name}`](https://huggingface.co/{entry.presets[name].repo})"
            was_measured = entry.name == "bert_cls" and name == "minilm"
            assert (named in lines[entry.name]) == (not was_measured)
            assert f"`{entry.name}`" in page and f"`{name}`" in page
    assert lines["rnn_cls"] == "(text classification): from scratch"
    assert index.NOT_MEASURED not in page


def test_a_model_of_which_all_is_measured_is_not_among_the_rest(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bert,) = (entry for entry in registry.entries() if entry.name == "bert_cls")
    one = dataclasses.replace(bert, presets={"minilm": bert.presets["minilm"]})
    monkeypatch.setattr(registry, "entries", lambda: (one,))
    assert "## Not measured yet" not in index.render(models)


def test_a_page_without_records(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    page = index.render(tmp_path / "models")
    assert "## Measured" not in page and "- `bert_cls` (text classification): [`minilm`]" in page


def test_the_page_is_checked(models: Path, tmp_path: Path) -> None:
    page = index.write(models, tmp_path / "PAGE.md")
    assert index.faults(models, page) == []
    text = page.read_text()
    page.write_text(text.replace("0.857 (0.837", "0.957 (0.837"))
    (fault,) = index.faults(models, page)
    line = text[: text.index("0.857 (0.837")].count("\n") + 1
    assert fault.startswith(f"{page}:{line} says ") and "has accuracy of test 0.857" in fault
    page.write_text(text)
    path = models / "reviews" / evidence.FILE
    path.write_text(path.read_text().replace("0.8573333333333333", "0.9573333333333333"))
    (fault,) = index.faults(models, page)
    assert fault.startswith(f"{path}:1 is no evidence")


def test_what_loses_too_much_is_not_the_best(copy: Folder, tmp_path: Path) -> None:
    copy.add(*copy.deployed("gone", "openvino", 0.001))
    lost = {"low": 0.01, "high": 0.02, "level": 0.95, "method": "paired"}
    copy.add(copy.metric("accuracy_drop", 0.015, interval=lost, subject="gone",
                         deployment="openvino"))  # fmt: skip
    archive(copy.path, "reviews", tmp_path / "models")
    page = index.render(tmp_path / "models")
    assert "`onnx`, 7.2 ms" in page and "`openvino`," not in page


def test_lines_of_a_newer_schema_are_kept(copy: Folder, tmp_path: Path) -> None:
    content = {"schema": 7, "kind": "carbon", "grams": 3}
    line = json.dumps(content | {"id": evidence._identify(content)})
    with (copy.path / evidence.FILE).open("a") as file:
        file.write(line + "\n")
    assert main([str(copy.path)]) == 0 and main([str(copy.path), "--check"]) == 0
    archive(copy.path, "reviews", tmp_path / "models")
    assert line in (tmp_path / "models" / "reviews" / evidence.FILE).read_text().splitlines()


def test_evidence_that_does_not_fit_is_not_kept(copy: Folder, tmp_path: Path) -> None:
    path = copy.path / evidence.FILE
    path.write_text(path.read_text().replace("0.8573333333333333", "0.9573333333333333"))
    with pytest.raises(UserError, match=r"its records are not kept.*:1 is no evidence"):
        archive(copy.path, "reviews", tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_names_of_records(copy: Folder, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="a folder's name"):
        archive(copy.path, name, tmp_path / "models")


def test_keeping_again_replaces(copy: Folder, tmp_path: Path) -> None:
    for _ in range(2):
        archive(copy.path, "reviews", tmp_path / "models")
        shutil.rmtree(copy.path / "artifacts", ignore_errors=True)
    assert not (tmp_path / "models" / "reviews" / "artifacts").exists()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["reviews"]


def test_commands_of_an_older_grammar_are_told() -> None:
    """All others are of today: tests/test_readme.py holds that."""
    lines = ["python -m bench decide runs/a --budget 90s", "x --budget=6m", "y --budget ?"]
    (said,) = commands.written_otherwise(lines)
    for old, new in (("90s", "1.5"), ("6m", "6"), ("?", "MINUTES")):
        assert f"`--budget {old}` is now `--minutes {new}`" in said
    assert commands.written_otherwise(["python -m bench decide runs/a --minutes 6"]) == []
