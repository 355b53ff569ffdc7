"""What the flags of some tasks have: by these protocols `predict` and `evaluate` ask for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable


@runtime_checkable
class FromFile(Protocol):
    """Inputs of `predict` that can be read from one file."""

    @property
    def file(self) -> Path | None:
        """The file to read inputs from; None if they do not come from a file."""
        ...


@runtime_checkable
class FromStream(Protocol):
    """Inputs of `predict` that can arrive as a live stream."""

    @property
    def stream(self) -> bool:
        """Whether the inputs arrive as a live stream."""
        ...


@runtime_checkable
class WithAttention(Protocol):
    """Inputs of `predict` that can be shown with what a network looks at in them."""

    @property
    def attention(self) -> Path | None:
        """The file to show it in, - for the terminal; None if it is not asked for."""
        ...


@runtime_checkable
class WithGrid(Protocol):
    """Inputs of `predict` whose predictions can be shown as pictures, side by side in one file."""

    @property
    def grid(self) -> Path | None:
        """The PNG file to write; None if it is not asked for."""
        ...

    @property
    def columns(self) -> int | None:
        """The columns of the grid; None: about as many as rows."""
        ...

    @property
    def walk(self) -> int | None:
        """The number of predictions that belong in one row; None if they belong in no rows."""
        ...


@runtime_checkable
class WithSamples(WithGrid, Protocol):
    """Inputs of `predict` that can ask for new pictures, made of nothing but a seed."""

    @property
    def samples(self) -> int | None:
        """The number of new pictures; None if none are asked for."""
        ...

    @property
    def seed(self) -> int:
        """The seed of new pictures."""
        ...


@runtime_checkable
class DrawsPredictions(Protocol):
    """Inputs of `predict` whose predictions are drawn, one picture an input in each folder that is
    asked for."""

    def folders(self) -> Mapping[str, Path]:
        """Return the folders that were asked for, by the names of their flags."""
        ...

    def pictures(
        self, task: Any, item: Mapping[str, Any], prediction: Any, reading: Mapping[str, Any]
    ) -> Mapping[str, bytes]:
        """Return the picture of a prediction for each of `folders`, as PNG files.

        Args:
            item: the input, as the task's `read_inputs` gave it.
            prediction: as the task's `predict` gave it.
            reading: as the task's `to_json` gave it, which may be less of it.
        """
        ...


@runtime_checkable
class WithCoco(Protocol):
    """Inputs of `predict` whose predictions are boxes, which can be written as COCO has them."""

    @property
    def coco(self) -> Path | None:
        """The JSON file to write; None if it is not asked for."""
        ...


@runtime_checkable
class FromMedia(Protocol):
    """The options of a task whose examples are image or sound files."""

    @property
    def on_bad_file(self) -> Literal["skip", "stop"]:
        """What to do with a file that can't be read: skip it, or stop."""
        ...


@runtime_checkable
class Interactive(Protocol):
    """Inputs of `predict` that a person can type one by one, and read the answer to each."""

    @property
    def prompt(self) -> tuple[str, ...]:
        """What is given without being typed."""
        ...

    @property
    def interactive(self) -> bool:
        """Whether the inputs are typed on a terminal."""
        ...


@runtime_checkable
class WithDraft(Protocol):
    """Inputs of `predict` for a model whose tokens another one may guess."""

    @property
    def draft(self) -> Path | None:
        """The folder of the checkpoint that guesses."""
        ...
