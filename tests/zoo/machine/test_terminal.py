"""Labels and texts of others on a terminal and in a pipe: shown as they are, obeyed nowhere."""

import csv
import io
import json
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.cli import Done, run_cli
from tests.finetuning import arguments
from tests.terminals import on_a_terminal
from tools.cards.cli import main as cards
from zoo.cli import verbs
from zoo.machine import terminal
from zoo.machine.formatting import width
from zoo.nlp.bert_cls import ENTRY

LABELS = ("[/INST]", "[red]x", "a\x1b[2Jb|`c\nd\u202e", "$\\frac{", "<script>`|`")
SHOWN = ("[/INST]", "[red]x", "a\\x1b[2Jb|`c\\nd\\u202e", "$\\frac{", "<script>`|`")
COLOURS = re.compile(r"\x1b\[[\d;]*m")  # what rich may send


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """A checkpoint whose labels and texts hold markup and control characters."""
    folder = tmp_path_factory.mktemp("strange")
    data = folder / "strange.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(
            (f"[/b] film {i}\x1b]0;title\x07 of {i % 7}", LABELS[i % len(LABELS)])
            for i in range(150)
        )
    words = arguments(tiny_bert, data, folder / "run", "--max_steps", 1)
    done = on_a_terminal(lambda: verbs.main(ENTRY, words))
    assert done.code == 0, done.out
    _obeys_nothing(done)
    return folder / "run"


def _obeys_nothing(done: Done) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", COLOURS.sub("", done.out))
    assert "\x1b[2J" not in done.out and "\x1b]" not in done.out


@pytest.mark.parametrize("where", ["terminal", "pipe"])
def test_evaluate(strange: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    words = ["evaluate", str(strange), "--split", "train"]
    if where == "terminal":
        done = on_a_terminal(lambda: verbs.main(ENTRY, words))
    else:
        done = run_cli("zoo.nlp.bert_cls", *words)
    assert done.code == 0, done.out
    _obeys_nothing(done)
    table = done.out.partition("commonest confusions")[2]
    for label in SHOWN:
        assert label in table
    assert "[/b] film" in table and "\\x1b]0;title\\x07" in table
    assert "\\nd" in table, "a label stays on its line"


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_predict(strange: Path, form: str) -> None:
    text = "a\x9b2J\u202e film"
    words = ["predict", str(strange), "--text", text, "--format", form]
    done = on_a_terminal(lambda: verbs.main(ENTRY, words))
    assert done.code == 0, done.out
    _obeys_nothing(done)
    assert "a\\x9b2J\\u202e film" in done.out
    piped = run_cli("zoo.nlp.bert_cls", *words)
    if form == "jsonl":
        said = json.loads(piped.out)
        assert said["text"] == text and said["label"] in LABELS
    else:
        (row,) = csv.DictReader(io.StringIO(piped.out, newline=""))
        assert row["text"] == text and row["label"] in LABELS


def test_a_card_is_printed_and_checked_there(strange: Path) -> None:
    done = on_a_terminal(lambda: cards([str(strange)]) + cards([str(strange), "--check"]))
    assert done.code == 0 and "the card says what was measured" in done.out


def test_a_mistake_stays_on_its_line(tmp_path: Path) -> None:
    name = "no\x1b[2J\nsuch: accuracy 1.000"
    done = on_a_terminal(lambda: verbs.main(ENTRY, ["evaluate", str(tmp_path / name)]))
    assert done.code == 2 and done.out.count("\n") == 1
    assert "no\\x1b[2J\\nsuch: accuracy 1.000" in done.out and "\x1b" not in done.out


def test_titles_and_headers_are_no_markup() -> None:
    def show() -> int:
        terminal.table(("[b]", "x\x1b[2J"), [("[/b]", ":smile:")], title="[/INST]\n1")
        return 0

    done = on_a_terminal(show)
    plain = COLOURS.sub("", done.out)
    assert "[/INST]\\n1" in plain and "[b]" in plain and "[/b]" in plain and ":smile:" in plain
    assert "x\\x1b[2J" in plain


@pytest.mark.parametrize("columns", [80, 40])
def test_no_cell_loses_its_end(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns the frame is left out, at 40 names go on in the next line: numbers stay."""
    monkeypatch.setenv("COLUMNS", str(columns))
    header = ("metric", "value", "95% interval", "always 'neg'", "n", "method")
    rows = [
        ("precision_weighted", "0.6667", "0.4878 to 0.8077", "0.3333", "30", "bootstrap"),
        ("matthews_correlation", "-0.5547", "-", "0.0000", "1,300", ""),
    ]

    def show() -> int:
        terminal.table(header, rows)
        return 0

    shown = COLOURS.sub("", on_a_terminal(show).out)
    assert "\u2026" not in shown
    assert all(width(line) <= columns for line in shown.splitlines())
    words = shown.split()
    assert {"0.6667", "0.4878", "0.8077", "0.3333", "-0.5547", "1,300"} <= set(words)
    assert ("matthews_correlation" in words) == (columns == 80)


@pytest.mark.parametrize("label", ["$\\frac{", "a$b$", "\\", "x\ny"])
def test_pictures_take_no_label_for_markup(tmp_path: Path, label: str) -> None:
    from zoo.machine import plots

    matrix = np.array([[1, 2], [3, 4]])
    plots.confusion_matrix(tmp_path / "matrix.png", matrix, [label, "b"])
    drawn = [(lambda axes, row: axes.plot(row), [1, 2])]
    plots.grid(tmp_path / "grid.png", drawn, [f"true: {label}\nsaid: b"])
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_trackers_are_told_no_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They send what they are given to a server."""
    from zoo.train.reporting.reporters import make_reporters

    told = {}
    module = types.ModuleType("trackio")
    module.init = lambda **said: told.update(said)
    monkeypatch.setitem(sys.modules, "trackio", module)
    config = {"data": {"data": "/home/anna/reviews.csv"}, "train": {"seed": 42, "teacher": None}}
    make_reporters("trackio", tmp_path / "run", "bert_cls", config)
    assert told["config"] == {
        "data": {"data": "reviews.csv"},
        "train": {"seed": 42, "teacher": None},
    }


def test_columns_stand_below_each_other_in_any_script(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("好评", "1"), ("good", "2"), ("नमस्ते", "3"), ("e\u0301t\u00e9", "4")]
    terminal.table(("label", "n"), rows)
    lines = capsys.readouterr().out.splitlines()
    assert [width(line[:-1]) for line in lines] == [len("label  ")] * 5


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("ab", 2), ("好评", 4), ("a好", 3), ("e\u0301", 1), ("한글", 4)]
)
def test_width_in_columns(text: str, columns: int) -> None:
    assert width(text) == columns
