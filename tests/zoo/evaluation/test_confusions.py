"""The confusion matrix and the hardest errors: as tables, pictures and records."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.nlp.text_classification import Args, TextClassification
from zoo.evaluation import confusions, hardest_errors
from zoo.evaluation.loop import Mistake
from zoo.store import evidence

LABELS = ("bad", "good|ish", "好")
COMMON: dict[str, Any] = {
    "subject": "s" * 64,
    "run": "r",
    "dataset": {"name": "d", "fingerprint": "f"},
    "split": "test",
    "deployment": "eager",
    "device": "cpu",
}


def task(problem: Any = "single_label_classification") -> TextClassification:
    return TextClassification(Args(), LABELS, problem)


def accumulated() -> Any:
    accumulator = task().accumulator()
    truth, said = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    accumulator.update(np.arange(6), said, truth)
    return accumulator


def test_a_row_of_the_matrix_is_a_fact(tmp_path: Path) -> None:
    found = confusions.facts(task(), accumulated(), **COMMON)
    rows = {fact.label: (fact.value, fact.n, dict(fact.counts or {})) for fact in found}
    assert rows == {
        "bad": (1, 3, {"bad": 1, "good|ish": 2}),
        "good|ish": (1, 2, {"good|ish": 1, "好": 1}),
        "好": (1, 1, {"好": 1}),
    }
    evidence.append(tmp_path, found)
    assert [dict(one.counts or {}) for one in evidence.read(tmp_path)] == [
        counts for _, _, counts in rows.values()
    ]


def test_there_is_none_of_other_tasks() -> None:
    assert confusions.matrix_of(task("multi_label_classification"), None) is None
    assert confusions.facts(task("regression"), None, **COMMON) == []


def test_counts_that_are_none_are_a_bug() -> None:
    counts: Any = {"bad": 0.5}
    with pytest.raises(ValueError, match="counts of recognised are no whole numbers"):
        evidence.fact("class", "recognised", 1, "1", counts=counts, **COMMON)


class Drawn(TextClassification):
    """A task whose examples are pictures."""

    def draw(self, axes: Any, row: Any) -> None:
        axes.imshow(np.full((4, 4), row["sample_id"]), vmin=0, vmax=9)

    def show(self, example: Any, row: int) -> str:
        return str(example["file"])


class Rows:
    """Features with the sample numbers alone; the second row of the split was left out."""

    origins = np.array([0, 2, 3])

    def __getitems__(self, ids: list[int]) -> list[dict[str, int]]:
        return [{"sample_id": i} for i in ids]


MISTAKES = [
    Mistake(3.25, 2, "bad", "好", 0.875),
    Mistake(1.5, 1, "good|ish", "bad", 0.625),
]
EXAMPLES = [
    {"file": f"/data/of/anna/pictures/a_very_long_name_of_a_file_{i}.png"} for i in range(4)
]
FEATURES: Any = Rows()


def drawn() -> Drawn:
    return Drawn(Args(), LABELS, "single_label_classification")


def test_mistakes_have_score_and_file(capsys: pytest.CaptureFixture[str]) -> None:
    hardest_errors.show(MISTAKES, drawn(), FEATURES, EXAMPLES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["loss", "score", "true", "predicted", "example"]
    assert lines[3].split() == ["3.250", "0.875", "bad", "好", EXAMPLES[3]["file"]]
    assert lines[4].endswith(EXAMPLES[2]["file"])


def test_a_column_of_scores_only_where_there_are_some() -> None:
    header, ((_, truth, *_),) = hardest_errors.rows(
        [Mistake(1.0, 0, "a", "b")],
        drawn(),
        FEATURES,
        EXAMPLES,
    )
    assert header == ("loss", "true", "predicted", "example") and truth == "a"


def test_the_grid_has_truth_prediction_score_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.machine import plots

    told: dict[str, Any] = {}
    grid = plots.grid
    monkeypatch.setattr(plots, "grid", lambda *args: (told.update(titles=args[2]), grid(*args))[1])
    path = hardest_errors.picture(tmp_path, MISTAKES, drawn(), FEATURES, EXAMPLES)
    assert path == tmp_path / "plots" / "mistakes.png" and min(Image.open(path).size) > 100
    first, second = told["titles"]
    assert re.fullmatch(r"true: bad\nsaid: (好|#2)  0\.88\n…ng_name_of_a_file_3\.png", first)
    assert second.startswith("true: good|ish\nsaid: bad  0.62\n")


def test_tasks_without_pictures_have_none(tmp_path: Path) -> None:
    assert hardest_errors.picture(tmp_path, MISTAKES, task(), FEATURES, EXAMPLES) is None
    assert hardest_errors.picture(tmp_path, [], drawn(), FEATURES, EXAMPLES) is None
    assert hardest_errors.markdown([], drawn(), FEATURES, EXAMPLES) == ""


def test_a_table_for_tensorboard_is_no_markup() -> None:
    """Neither to TensorBoard's renderer nor to that of GitHub and the Hub."""
    import markdown
    from markdown_it import MarkdownIt

    texts = [{"text": "a | b <script>alert(1)</script> *x* `y`\n# z"}] * 4
    text = hardest_errors.markdown(MISTAKES, task(), FEATURES, texts)
    for html in (
        MarkdownIt("commonmark").enable("table").render(text),
        markdown.markdown(text, extensions=["tables"]),
    ):
        assert html.count("<tr>") == 3 and html.count("<td>") == 10
        assert "<script" not in html and "<em>" not in html and "<code>" not in html
        assert "a | b &lt;script&gt;alert(1)&lt;/script&gt; *x* `y` # z" in html


def test_the_record_names_what_it_is_of(tmp_path: Path) -> None:
    table = hardest_errors.rows(MISTAKES, drawn(), FEATURES, EXAMPLES)
    picture = tmp_path / "plots" / "mistakes.png"
    picture.parent.mkdir()
    picture.write_bytes(b"png")
    hardest_errors.record(tmp_path, table, picture, COMMON)
    found = SimpleNamespace(**json.loads((tmp_path / "plots" / "mistakes.json").read_text()))
    assert found.subject == COMMON["subject"] and found.dataset == COMMON["dataset"]
    assert found.header == list(table[0]) and found.rows == [list(row) for row in table[1]]
    assert found.picture["name"] == "mistakes.png" and len(found.picture["sha256"]) == 64
