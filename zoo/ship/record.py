"""What a command has done so far, in `logs/ship/` of its output folder: the same command goes on
from there."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tasks import atomic, json_files
from tasks.errors import UserError
from zoo.store import typed
from zoo.store.checkpoint import MANIFEST
from zoo.store.lock import NAME as LOCK
from zoo.store.lock import locked

FOLDER = ("logs", "ship")
FILE = "record.json"
TRAINED = (MANIFEST, "state")
"""What a training leaves that can be gone on with."""


@dataclass
class Record:
    """The steps that are done, and what the ones behind them need to know of them."""

    folder: Path
    """of the output"""
    asked: dict[str, Any] = field(default_factory=dict)
    """what training depends on: data by their digest, model, seed"""
    spent: float = 0.0
    """seconds"""
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """what each step has found, by its name"""

    @property
    def place(self) -> Path:
        """Return the folder of the record and of what programs have printed."""
        return self.folder.joinpath(*FOLDER)

    @property
    def is_begun(self) -> bool:
        """Return whether anything was trained that another call can go on with; not where the data
        had a fault, say."""
        return bool(self.steps) or any((self.folder / each).exists() for each in TRAINED)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Return the record in a folder, an empty one where there is none yet.

        Raises `UserError` where the folder is another run's, or the record is damaged.
        """
        path = folder.joinpath(*FOLDER, FILE)
        if not path.is_file():
            strange = (
                {each.name for each in folder.iterdir()} - {LOCK} if folder.is_dir() else set()
            )
            if strange - {FOLDER[0]} or (folder / MANIFEST).exists():
                raise UserError(
                    f"`output_dir` {folder} holds what was made otherwise: name another, or remove "
                    "it"
                )
            return cls(folder)
        try:
            said = json_files.read_object(path)
            if wrong := typed.fault(_Written, said, ""):
                raise ValueError(wrong)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}): remove {folder} to begin anew") from None
        return cls(folder, said["asked"], float(said["spent"]), said["steps"])

    def must_be(self, asked: Mapping[str, Any]) -> None:
        """Note what is asked for; raises `UserError` where the folder has something else that was
        trained."""
        other = next((name for name, old in self.asked.items() if asked.get(name) != old), None)
        if other is not None and self.is_begun:
            raise UserError(
                f"`output_dir` {self.folder} was begun with {other} {_short(self.asked[other])}, "
                f"and now it is {_short(asked.get(other))}: name another, or remove it to begin "
                "anew"
            )
        if other is not None:
            self.spent = 0.0
        self.asked = dict(asked)

    def done(self, step: str, **found: Any) -> None:
        """Note that a step is done, with what it has found."""
        self.steps[step] = found

    def save(self, spent: float) -> None:
        """Write it, with the seconds that were spent until now."""
        self.spent = spent
        self.place.mkdir(parents=True, exist_ok=True)
        said = _Written(self.asked, self.spent, self.steps)
        atomic.write_json(self.place / FILE, dataclasses.asdict(said))


@dataclass(frozen=True)
class _Written:
    """A record as it lies in its file."""

    asked: Mapping[str, Any]
    spent: float
    steps: Mapping[str, Mapping[str, Any]]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other calls out of an output folder. Raises `UserError` where one is at work there."""
    place = folder.joinpath(*FOLDER)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"`output_dir` {folder} can't be written: {error.strerror}") from None
    with locked(place):
        yield


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
