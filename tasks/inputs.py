"""What the flags of some tasks have: by these protocols `predict` and `evaluate` ask for it."""

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable


@runtime_checkable
class FromFile(Protocol):
    """Inputs of `predict` that may lie in one file."""

    @property
    def file(self) -> Path | None:
        """The file; None where there is none."""
        ...


@runtime_checkable
class FromStream(Protocol):
    """Inputs of `predict` that may come live."""

    @property
    def stream(self) -> bool:
        """Whether they do."""
        ...


@runtime_checkable
class FromMedia(Protocol):
    """How a task reads examples that are files of images or sounds."""

    @property
    def on_bad_file(self) -> Literal["skip", "stop"]:
        """What to do about a file that can't be read."""
        ...
