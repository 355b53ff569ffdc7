"""What zoo.json says, and that it says it in the right types: it may come from anywhere."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.store import typed

if TYPE_CHECKING:
    from tasks.base import Task
    from zoo.model.entry import Entry

SCHEMA = 1


@dataclass(frozen=True)
class Config:
    """The settings of a training, as zoo.json has them: the flags, and what the task found out."""

    options: Mapping[str, Any]
    data: Mapping[str, Any]
    task: Mapping[str, Any]
    train: Mapping[str, Any]


@dataclass(frozen=True)
class DataRecord:
    """The data that a model was trained on, as zoo.json has it."""

    name: str
    fingerprint: str
    rows: Mapping[str, int] = field(default_factory=dict)  # by split
    cleaned: Mapping[str, int] = field(default_factory=dict)  # by what was counted


@dataclass(frozen=True)
class Manifest:
    """The fields of zoo.json that are read somewhere."""

    model: str  # name of its entry
    config: Config
    data: DataRecord
    files: Mapping[str, str]  # name to sha256
    pipeline: str
    seed: int
    schema: int = SCHEMA
    module: str = ""
    source: Mapping[str, str | None] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    commit: Mapping[str, str | bool | None] = field(default_factory=dict)
    qat: Mapping[str, str] = field(default_factory=dict)
    teacher: Mapping[str, str] = field(default_factory=dict)
    unlabeled: Mapping[str, str] = field(default_factory=dict)
    pruned: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, str] = field(default_factory=dict)
    variant_of: str | None = None


def check(content: Any) -> None:
    """Raises ValueError where what zoo.json says is of another shape, or names files that do not
    lie below its folder."""
    if wrong := typed.fault(Manifest, content, ""):
        raise ValueError(wrong)
    if content.get("schema", SCHEMA) > SCHEMA:
        raise ValueError(f"it is of schema {content['schema']}, and this version knows {SCHEMA}")
    for name in content["files"]:
        if not is_plain(name):
            raise ValueError(f"it names the file {name!r}, outside of its folder")


def read_task(entry: "Entry", config: Mapping[str, Any]) -> "Task":
    """The task that a checkpoint was trained on.

    Args:
        config: `config` of zoo.json; what else it holds for the model is checked as well.

    Raises ValueError where a field is missing or of another type.
    """
    from tasks.data.source import DataArgs

    for name, kind in (("options", entry.options), ("data", DataArgs)):
        where = f"config.{name}"
        if wrong := typed.fault(kind, config[name], where) or typed.unknown(
            kind, config[name], where
        ):
            raise ValueError(wrong)
    training = importlib.import_module(entry.training).TrainArgs
    if wrong := typed.fault(training, config["train"], "config.train"):
        raise ValueError(wrong)
    try:
        task: Task = importlib.import_module(entry.task).from_config(config["task"])
    except UserError as error:  # a flag out of its bounds
        raise ValueError(f"config.task: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"config.task is not that of {entry.task}: {error!r}") from error
    if wrong := typed.fault(type(task), dict(config["task"]), "config.task"):
        raise ValueError(wrong)
    return task


def is_plain(path: str) -> bool:
    """Return whether a path stays below the folder it is taken from, on any system."""
    parts = path.split("/")
    return (
        all(part not in ("", ".", "..") for part in parts)
        and not any(character in path for character in "\\:\0\n\r")
        and not PurePosixPath(path).is_absolute()
    )


def leaves(folder: Path, name: str) -> bool:
    """Return whether a file in a folder is a link, or lies behind one, to something outside of the
    folder.

    Those of the Hub's cache are none: it keeps the files of a snapshot side by side with it.
    """
    target, root = (folder / name).resolve(), folder.resolve()
    blobs = root.parent.parent / "blobs"
    is_cached = root.parent.name == "snapshots" and target.parent == blobs
    return not (target.is_relative_to(root) or is_cached)
