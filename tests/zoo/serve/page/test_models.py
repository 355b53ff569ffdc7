"""What the page is told of a model, of real tasks and real checkpoints."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.nlp import masked_lm, text_classification, token_classification
from tests.zoo.serve.protocols import described
from zoo.model import registry
from zoo.serve.description import Description, describe
from zoo.serve.page import models, routes

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
OWN = [{"text": "fine, I loved it"}]
"""What a model of anybody's own texts is shown with."""


def _described(folder: Path, task: Any, model: str = "bert_cls") -> dict[str, Any]:
    one = Description("one", folder, "eager", "0" * 64, registry.find(model), task)
    [told] = models.as_json({"one": one})["models"]
    json.dumps(told)
    return dict(told)


def _trained_on(folder: Path, name: str) -> Path:
    manifest = {
        "schema": 1,
        "model": "bert_cls",
        "config": {"options": {}, "data": {}, "task": {}, "train": {}},
        "data": {"name": name, "fingerprint": "0"},
        "files": {},
        "pipeline": "text-classification",
        "seed": 0,
    }
    (folder / "zoo.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("labels", "problem_type", "answer", "zero_shot"),
    [
        (("a", "b"), SINGLE, "label", False),
        (("a", "b"), MULTI, "labels", False),
        ((), "regression", "number", False),
        (("LABEL_0",), "regression", "number", False),
        (("a", "b"), "regression", "numbers", False),
        ((), SINGLE, "label", True),
    ],
)
def test_the_answer_follows_from_the_task(
    labels: tuple[str, ...], problem_type: Any, answer: str, zero_shot: bool, tmp_path: Path
) -> None:
    told = _described(tmp_path, text_classification.of_labels(labels, problem_type))
    assert (told["answer"], told["zero_shot"], told["mask"]) == (answer, zero_shot, None)
    assert (told["labels"], told["label_count"]) == (list(labels), len(labels))
    assert told["title"]["zh"] == "文本分类"
    assert bool(told["examples"][0].get("labels")) == zero_shot


def test_many_and_long_labels_are_cut(tmp_path: Path) -> None:
    labels = ("长" * 500, *(f"label {i}" for i in range(9_999)))
    told = _described(tmp_path, text_classification.of_labels(labels, SINGLE))
    assert (len(told["labels"]), told["label_count"]) == (models.MOST_LABELS, 10_000)
    assert told["labels"][0] == "长" * 79 + "…"


def test_own_data_is_never_shown(tmp_path: Path) -> None:
    task = text_classification.of_labels(("a", "b"), SINGLE)
    assert _described(_trained_on(tmp_path, "embedded"), task)["examples"] != OWN
    plots = tmp_path / "plots"
    plots.mkdir()
    rows = {"header": ["example"], "rows": [["a secret"]]}
    (plots / "mistakes.json").write_text(json.dumps(rows), encoding="utf-8")
    told = _described(_trained_on(tmp_path, "patients.csv"), task)
    assert told["examples"] == OWN
    assert "secret" not in json.dumps(told)


def test_a_pair_has_two_examples(tmp_path: Path) -> None:
    columns = {"text": "one", "text_pair": "other", "label": "label"}
    args = text_classification.Args()
    task = text_classification.TextClassification(args, ("a", "b"), SINGLE, columns=columns)
    told = _described(_trained_on(tmp_path, "pairs.csv"), task)
    assert told["pair"]
    assert told["examples"] == [{"text": OWN[0]["text"], "text_pair": OWN[0]["text"]}]


@pytest.mark.parametrize(
    ("written", "mask"),
    [
        ({"mask_token": "<mask>"}, "<mask>"),
        ({"mask_token": {"content": "<m>", "lstrip": True}}, "<m>"),
        ({}, "[MASK]"),
        (None, "[MASK]"),
    ],
)
def test_a_gap_is_written_as_the_tokenizer_reads_it(
    written: dict[str, Any] | None, mask: str, tmp_path: Path
) -> None:
    if written is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(written), encoding="utf-8")
    task = masked_lm.MaskedLM(masked_lm.Args(), columns=masked_lm.SINGLE)
    told = _described(tmp_path, task, "bert_mlm")
    assert (told["mask"], told["answer"]) == (mask, "guesses")
    assert all(mask in one["text"] for one in told["examples"])


def test_spans_are_marked(tmp_path: Path) -> None:
    task = token_classification.TokenClassification(
        token_classification.Args(), ("B-A", "O"), columns=token_classification.TEXT
    )
    assert _described(tmp_path, task, "bert_tok")["answer"] == "spans"


def test_areas_are_coloured(tmp_path: Path) -> None:
    task = described.pixels().task
    assert _described(tmp_path, task, "unet_seg")["answer"] == "areas"


def test_nothing_is_left_out() -> None:
    """Every example is a file that is there, and every task of a model has a title."""
    files = {f"examples/{name}" for names in models.FILES.values() for name in names}
    assert files == {name for name in routes.read_files() if name.startswith("examples/")}
    for entry in registry.entries():
        task = importlib.import_module(entry.task)
        names = [
            one.name
            for one in vars(task).values()
            if isinstance(one, type) and hasattr(one, "verb") and hasattr(one, "name")
        ]
        assert any(name in models.TITLES for name in names), entry.name


@pytest.mark.slow
def test_real_checkpoints(checkpoints: dict[str, Path]) -> None:
    told = {
        name: models.as_json({name: describe(folder, name, "eager")})["models"][0]
        for name, folder in checkpoints.items()
    }
    assert {name: one["kind"] for name, one in told.items()} == {
        "bert_cls": "text",
        "cnn_cls": "image",
        "kws_cls": "audio",
    }
    assert told["bert_cls"]["examples"] == OWN
    assert told["cnn_cls"]["examples"] == told["kws_cls"]["examples"] == []
    assert sorted(told["bert_cls"]["labels"]) == ["negative", "positive"]
    assert all(len(one["sha256"]) == 64 for one in told.values())
