"""What a run starts from, kept beside it: a run from a folder of weights goes on when that is gone.

`start/` in the run's folder holds the weights, the configuration and the tokenizer or processor of
the folder that `model` named. The weights are a hard link where the file system allows it, which
costs no space: a checkpoint is replaced by renaming, so what was linked stays as it was.
"""

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.atomic import put_in_place, replacing, staged
from tasks.paths import expanded
from zoo.store import pretrained
from zoo.store.checkpoint import MANIFEST

if TYPE_CHECKING:
    from zoo.model.entry import Entry

FOLDER = "start"


def at_hand(options: Any, entry: "Entry", folder: Path, resumed: bool) -> Any:
    """Return a model's options with weights that are at hand: those that they name, fetched if they
    are the Hub's, or, where a run goes on whose folder of weights is gone, those beside it.

    Args:
        folder: the run's.

    Raises `UserError` where the weights are not at hand.
    """
    model = getattr(options, "model", pretrained.NEW)
    kept = folder / FOLDER
    if resumed and kept.is_dir() and _is_gone(model, folder):
        options = dataclasses.replace(options, model=str(kept))
    pretrained.look(options, entry)
    return options


def of_checkpoint(options: Any, folder: Path) -> Any:
    """Return the options of a checkpoint's model with itself for the weights: those that it once
    began with need not be there any more."""
    if getattr(options, "model", pretrained.NEW) == pretrained.NEW:
        return options
    return dataclasses.replace(options, model=str(folder))


def _is_gone(model: str, folder: Path) -> bool:
    """Return whether a folder of weights is no more, or is the run's own folder by now."""
    source = expanded(model)
    return not source.is_dir() or source.resolve() == folder.resolve()


def keep(options: Any, entry: "Entry", folder: Path, moved: Path | None) -> None:
    """Keep what a run starts from in its folder, if that is a folder and no preset or Hub id.

    Args:
        folder: the run's.
        moved: where the files of the run's folder were moved to; they may be what it starts from.

    Raises OSError where the disk is full.
    """
    target = folder / FOLDER
    shutil.rmtree(target, ignore_errors=True)  # of a run that was stopped before its first state
    model = getattr(options, "model", pretrained.NEW)
    source = expanded(model)
    if moved is not None and source.resolve() == folder.resolve():
        source = moved
    if model == pretrained.NEW or not source.is_dir():
        return
    found = pretrained.find(str(source), entry.presets)
    if found.origin != "folder":
        return
    source = found.folder
    names = sorted({p.name for kind in pretrained.ALLOWED for p in source.glob(kind)} - {MANIFEST})
    weights = [name for name in names if name.endswith(".safetensors")]
    with staged(folder) as staging:
        for name in set(names) - set(weights):
            shutil.copyfile(source / name, staging / name)
        put_in_place(staging, target)
    for name in weights:
        _link((source / name).resolve(), target / name)


def _link(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):  # another disk, or a file of somebody else's
        os.link(source, target)
        return
    with source.open("rb") as theirs, replacing(target) as ours:
        shutil.copyfileobj(theirs, ours)
