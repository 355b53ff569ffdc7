"""Folders that other libraries leave: transformers' Trainer, sentence-transformers, SetFit."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from tasks import json_files
from tasks.errors import UserError
from zoo.model.entry import Entry

MODULES = "modules.json"
"""What sentence-transformers writes: the parts of a model and their folders."""
SETFIT_HEADS = ("model_head.pkl", "model_head.joblib", "model_head.skops")
CONFIG = "config.json"


def weights_of(folder: Path) -> Path:
    """Return the folder below another one where a library has put configuration and weights.

    Raises `UserError` where there is none, or more than one.
    """
    if (folder / CONFIG).is_file():
        return folder
    if (folder / MODULES).is_file():
        inner = _transformer(folder)
        if inner is not None:
            return inner
    steps = sorted(_checkpoints(folder), key=lambda path: int(path.name.rpartition("-")[2]))
    if steps:
        raise UserError(
            f"{folder} holds checkpoints of Trainer and no model of its own: name one of them, such"
            f" as {steps[-1]}, the last"
        )
    raise UserError(f"{folder} is no model: it has no {CONFIG}")


def _transformer(folder: Path) -> Path | None:
    """Return the folder of a sentence-transformers model that holds its encoder."""
    try:
        parts = json_files.read(folder / MODULES)
        paths = [str(part["path"]) for part in parts if str(part["type"]).endswith("Transformer")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / MODULES} is damaged ({error!r})") from None
    for path in paths:
        inner = folder / path
        if Path(path).name == path and (inner / CONFIG).is_file():
            return inner
    return None


def _checkpoints(folder: Path) -> Iterator[Path]:
    for path in folder.glob("checkpoint-*"):
        if path.name.rpartition("-")[2].isdigit() and (path / CONFIG).is_file():
            yield path


def head_fault(folder: Path, entry: Entry) -> str | None:
    """Return why a folder has no classifier that can be read, as a sentence; None where it may."""
    model = shlex.quote(str(folder))
    start = f"start from its body: python -m {entry.module} finetune --model {model} --data DATA"
    if found := [name for name in SETFIT_HEADS if (folder / name).is_file()]:
        return (
            f"{folder} is of SetFit, whose head ({found[0]}) is a pickle, which can run any code "
            f"and is never read; {start}"
        )
    if (folder / MODULES).is_file():
        return f"{folder} is of sentence-transformers and gives vectors, no labels; {start}"
    return None
