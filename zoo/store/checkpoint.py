"""The checkpoint folder: a plain Hugging Face folder with `zoo.json` beside, written atomically.

Files are written in a folder of their own, flushed to disk, and renamed into place one by one,
`zoo.json` last. It holds the sum of every other file, so whatever a crash or a truncated copy
leaves is either whole or known to be damaged.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tasks import json_files
from tasks.atomic import flush, flush_files, staged, write_json
from tasks.data.fingerprint import sha256
from tasks.errors import UserError, spelled
from zoo.store import checkpoint_schema
from zoo.store.checkpoint_schema import SCHEMA

if TYPE_CHECKING:
    from tasks.base import Task
    from zoo.model.entry import Entry

MANIFEST = "zoo.json"


RUST_NUMBER = re.compile(r"\(os error (\d+)\)")


@contextlib.contextmanager
def os_errors() -> Iterator[None]:
    """Raises as OSError what safetensors and tokenizers raise as their own or as plain Exception
    where the system refused a write."""
    try:
        yield
    except Exception as error:
        number = RUST_NUMBER.search(str(error))
        if number is None or isinstance(error, OSError):
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def write(
    folder: Path,
    model: Any,
    processor: Any,
    manifest: Mapping[str, Any],
    state_dict: Mapping[str, Any] | None = None,
) -> None:
    """Puts a model and its processor at the root of a checkpoint folder.

    Args:
        model: a transformers PreTrainedModel.
        processor: its tokenizer or processor.
        manifest: what zoo.json says beside the sums of the files.
        state_dict: the weights to save where they are not the model's own (an average, say).

    Raises:
        OSError: the disk is full or can't be written; what stood there before still stands.
    """
    with staged(folder) as staging:
        with os_errors():
            model.save_pretrained(staging, state_dict=state_dict, max_shard_size="100GB")
            processor.save_pretrained(staging)
        names = sorted(p.relative_to(staging) for p in staging.rglob("*") if p.is_file())
        sums = {str(name): sha256(staging / name) for name in names}
        flush_files(staging)
        write_json(staging / MANIFEST, {"schema": SCHEMA, **manifest, "files": sums})
        for name in (*names, Path(MANIFEST)):  # else half of them would be renamed, and no more
            if (folder / name).is_dir():
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(folder / name)
        flush(folder)
        (staging / MANIFEST).replace(folder / MANIFEST)
        flush(folder)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole."""

    folder: Path
    manifest: Mapping[str, Any]
    entry: "Entry"
    task: "Task"

    def bind(self, processor: Any) -> Self:
        """The checkpoint with its task bound to its processor; see `tasks.base.Task.bind`."""
        return replace(self, task=self.task.bind(processor))


def open_checkpoint(folder: Path, entry: "Entry | None" = None, weights: bool = True) -> Checkpoint:
    """Reads and checks a checkpoint.

    Args:
        folder: where it lies.
        entry: the model it must be of, where that is asked.
        weights: False for whoever has another program to run: they need not be there.

    Raises:
        UserError: no such folder, no checkpoint of ours, one of another model, or a file that is
            missing or not what was saved.
    """
    from zoo.model import registry, remote_code
    from zoo.store import evidence

    manifest = read_manifest(folder)
    if entry is not None and manifest["model"] != entry.name:
        raise UserError(
            f"{folder} is a checkpoint of {manifest['model']}, not of {entry.name}: "
            f"use python -m {registry.find(manifest['model']).module}"
        )
    for damage in damages(folder, manifest, weights):
        raise UserError(f"{folder} is damaged: {damage}")
    remote_code.refuse(folder)
    evidence.must_be_file(folder / evidence.FILE)  # it is added to, after hours perhaps
    entry = registry.find(manifest["model"])
    return Checkpoint(folder, manifest, entry, read_task(folder, manifest))


def read_task(folder: Path, manifest: Mapping[str, Any]) -> "Task":
    """The task that the checkpoint in a folder was trained on.

    Raises `UserError` where zoo.json says of it, or of the flags of the training, what can't be.
    """
    from zoo.model import registry

    try:
        return checkpoint_schema.read_task(registry.find(manifest["model"]), manifest["config"])
    except ValueError as error:
        raise _damaged(folder, error) from None


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """Return the content of a checkpoint's zoo.json.

    Raises `UserError` where there is none, or none of ours.
    """
    if not folder.is_dir():
        raise UserError(f"no checkpoint at {folder}: there is no such folder")
    try:
        str(folder).encode("utf-8")
    except UnicodeEncodeError:  # tokenizers and safetensors open nothing there
        raise UserError(f"{folder!s}: the folder's name is not UTF-8: rename it") from None
    try:
        content = json_files.read(folder / MANIFEST)
        checkpoint_schema.check(content)
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no {MANIFEST}, so it is no checkpoint of the zoo's (or its training "
            "was stopped before the first one was saved: go on with `resume`)"
        ) from None
    except OSError as error:
        raise UserError(f"{folder / MANIFEST} can't be read: {error.strerror}") from None
    except ValueError as error:  # not JSON, not text, or not what was written
        raise _damaged(folder, error) from None
    there: dict[str, Any] = content
    return there


def _damaged(folder: Path, error: ValueError) -> UserError:
    return UserError(f"{folder / MANIFEST} is damaged ({error}); restore it from a copy")


def fault_of(folder: Path) -> str | None:
    """Return what is wrong with the checkpoint in a folder, in a sentence; None where it is
    whole."""
    try:
        return next(damages(folder, read_manifest(folder)), None)
    except UserError as error:
        return spelled(str(error))


def damages(folder: Path, manifest: Mapping[str, Any], weights: bool = True) -> Iterator[str]:
    """Yield which files are missing or are not those that were saved, by their sums. Without
    `weights` the files of weights are not looked at."""
    for name, expected in manifest["files"].items():
        path = folder / name
        if not weights and name.endswith(".safetensors"):
            continue
        if not path.is_file():
            yield f"{name} is missing"
        elif checkpoint_schema.leaves(folder, name):
            yield f"{name} is a link to what lies outside; put the file itself there"
        elif sha256(path) != expected:
            yield (
                f"{name} ({path.stat().st_size:,} bytes) is not the file that was saved; restore "
                "it from a copy"
            )
