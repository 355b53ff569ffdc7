"""Folders of models with something planted in them that must never have an effect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.data.fingerprint import sha256
from zoo.store.checkpoint import MANIFEST

MODULE = """from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

Path({marker!r}).write_text("it was run")


class Config(BertConfig):
    model_type = "planted"


class Model(BertForSequenceClassification):
    config_class = Config


class Tokenizer(PreTrainedTokenizerFast):
    pass
"""
AUTO_MAP = {
    "AutoConfig": "planted.Config",
    "AutoModel": "planted.Model",
    "AutoModelForSequenceClassification": "planted.Model",
    "AutoTokenizer": [None, "planted.Tokenizer"],
}


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edits the JSON object in a file."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def sign(folder: Path) -> None:
    """Makes zoo.json of a checkpoint agree with the files as they are: nothing is damaged."""

    def with_sums(manifest: dict[str, Any]) -> None:
        manifest["files"] = {name: sha256(folder / name) for name in manifest["files"]}

    change(folder / MANIFEST, with_sums)


def plant_module(folder: Path, marker: Path) -> None:
    """A module in a model's folder that writes a file when it is run, and a configuration that
    names it as transformers' documentation says, of a kind that transformers does not know."""
    (folder / "planted.py").write_text(MODULE.format(marker=str(marker)))
    change(folder / "config.json", lambda c: c.update(model_type="planted", auto_map=AUTO_MAP))
    if (folder / MANIFEST).exists():
        sign(folder)
