"""What the model takes for what: from the rows of the evidence, and the mistakes beside it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.tools.cards.folders import DATA, Folder
from tools.cards import check
from tools.cards.archive import archive
from tools.cards.write import write
from zoo.store import evidence

ROWS = {
    "negative": {"negative": 640, "positive": 110},
    "positive": {"positive": 700, "negative": 50},
}


def add_rows(folder: Folder, rows: Any = None, **fields: Any) -> None:
    """Adds the rows of a confusion matrix to the evidence."""
    usual = {"subject": folder.subject, "run": "r", "dataset": DATA, "split": "test"}
    usual |= {"deployment": "eager", "device": "cpu"} | fields
    folder.add(
        *(
            evidence.fact("class", "recognised", counts[label], "1", label=label, counts=counts,
                          n=sum(counts.values()), **usual)
            for label, counts in (rows or ROWS).items()
        )
    )  # fmt: skip


def add_mistakes(folder: Folder, **fields: Any) -> Path:
    """Puts the record of mistakes beside the checkpoint, as `evaluate` does."""
    plots = folder.path / "plots"
    plots.mkdir(exist_ok=True)
    picture = plots / "mistakes.png"
    picture.write_bytes(b"a picture")
    said = {
        "subject": folder.subject,
        "dataset": DATA,
        "split": "test",
        "header": ["loss", "score", "true", "predicted", "example"],
        "rows": [["3.250", "0.961", "positive", "negative", "a | b <script>"]],
        "picture": {"name": picture.name, "sha256": hashlib.sha256(b"a picture").hexdigest()},
    }
    (plots / "mistakes.json").write_text(json.dumps(said | fields))
    return picture


def card(folder: Folder) -> str:
    return write(folder.path).read_text(encoding="utf-8")


def test_errors_are_listed_and_drawn(copy: Folder) -> None:
    assert "### What it takes for what" not in card(copy)
    add_rows(copy)
    text = card(copy)
    cells = [
        re.sub("<!-- e:[0-9a-f]{16} -->", "", row)
        for row in re.findall(r"^\| `\w+` \| `\w+` \|.*", text, re.MULTILINE)
    ]
    assert cells == [
        "| `negative` | `positive` | 110 | 750 |",
        "| `positive` | `negative` | 50 | 750 |",
    ]
    (picture,) = (copy.path / "card").glob("confusions-*.png")
    assert f"![Confusion matrix](card/{picture.name})" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "id2label" not in text
    assert check.faults(copy.path) == []


def test_the_picture_is_of_these_rows(copy: Folder) -> None:
    add_rows(copy)
    card(copy)
    (before,) = (copy.path / "card").glob("confusions-*.png")
    more = {**ROWS, "positive": {"positive": 690, "negative": 60}}
    add_rows(copy, more)
    text = card(copy)
    (after,) = (copy.path / "card").glob("confusions-*.png")
    assert after.name != before.name and after.name in text and "| 60<!-- e:" in text


def test_of_other_weights_data_or_programs_none_is_shown(copy: Folder) -> None:
    other = {"name": "other", "fingerprint": "f" * 64}
    for fields in ({"subject": "s" * 64}, {"dataset": other}, {"deployment": "onnx"}):
        add_rows(copy, **fields)
    assert "### What it takes for what" not in card(copy)


def test_a_model_that_makes_no_error_has_a_picture_alone(copy: Folder) -> None:
    add_rows(copy, {"negative": {"negative": 3}, "positive": {"positive": 4}})
    text = card(copy)
    assert "![Confusion matrix]" in text and "taken for" not in text


def test_mistakes_are_shown_here_and_never_published(copy: Folder, tmp_path: Path) -> None:
    add_mistakes(copy)
    text = card(copy)
    assert "| 3.250 | 0.961 | positive | negative | a \\| b \\<script\\> |" in text
    assert "![Worst mistakes](plots/mistakes.png)" in text
    assert check.faults(copy.path) == []
    kept = archive(copy.path, "reviews", tmp_path / "models")
    assert not (kept / "plots").exists()


def test_a_picture_of_other_mistakes_is_not_shown(copy: Folder) -> None:
    add_mistakes(copy).write_bytes(b"another one")
    text = card(copy)
    assert "| 3.250 |" in text and "plots/mistakes.png" not in text


@pytest.mark.parametrize(
    "fields",
    [{"subject": "s" * 64}, {"rows": [["1"]]}, {"picture": {}}, {"dataset": None}, {"header": 3}],
    ids=["other weights", "short row", "no picture", "no data", "no header"],
)
def test_records_that_do_not_fit_are_left_out(copy: Folder, fields: Any) -> None:
    add_mistakes(copy, **fields)
    assert "3.250" not in card(copy)


def test_numbers_on_the_axes_are_explained_where_they_may_be(
    copy: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tools.cards import confusions

    add_rows(copy)
    monkeypatch.setattr(confusions, "LATIN", "a")
    assert "as `id2label` of config.json does" in card(copy)
