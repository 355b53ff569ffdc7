"""Tasks that say where in an image their labels are."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class GivesMasks(Protocol):
    """A task that gives every pixel of an image a class."""

    def masks(self, prediction: Any) -> list[bytes]:
        """Return where each of the `labels` that `Task.to_json` names is, in its order: PNG files
        of the image's own size, one channel, 255 where a pixel has the class and 0 elsewhere."""
