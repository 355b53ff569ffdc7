"""What the page is told of a model, of real tasks and real checkpoints."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.kinds.label_values import ProblemType
from tasks.nlp import masked_lm, text_classification, token_classification
from zoo.model import registry
from zoo.serve.description import Description
from zoo.serve.page import models


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
