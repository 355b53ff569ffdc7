"""The pictures of many predictions in one PNG file, side by side."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from tasks.base import HasPictures
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.machine import output_file

if TYPE_CHECKING:
    import numpy.typing as npt

FLAG = "`grid`"
MOST = 10_000
"""Predictions in a grid: more are no picture that anybody sees."""
GAP = 2
"""Pixels between two pictures."""
VISIBLE = 56
"""Pixels that the side of a picture has at least; small ones are drawn as many times as large."""
WHITE = 255


class PictureGrid:
    """Collects the pictures of predictions."""

    def __init__(self, path: Path, task: HasPictures[Any]) -> None:
        self.path, self._task = path, task
        self.cells: list[Sequence[np.ndarray]] = []

    def add(self, item: Mapping[str, Any], prediction: Any, reading: Mapping[str, Any]) -> None:
        """Add the pictures of a prediction. Raises `UserError` where they are too many."""
        if len(self.cells) == MOST:
            raise UserError(f"{FLAG} {self.path}: at most {MOST:,} pictures; give fewer inputs")
        self.cells.append(self._task.pictures(prediction))


@contextmanager
def picture_grid(path: Path, task: Any, columns: int | None) -> Iterator[PictureGrid]:
    """Context manager that yields an empty grid, and writes the file if the block succeeds.

    Args:
        columns: of the grid; None: about as many as rows.

    Raises `UserError` where the file is no PNG or can't be written.
    """
    assert isinstance(task, HasPictures)
    if path.suffix.lower() != ".png":
        raise UserError(f"{FLAG} {path}: a name that ends in .png")
    with output_file.replacing(path, FLAG) as file:
        grid = PictureGrid(path, task)
        yield grid
        _save(arranged(grid.cells, columns), file)
    print_lines(f"{path}: {len(grid.cells):,} pictures", file=sys.stderr)


def arranged(cells: Sequence[Sequence[np.ndarray]], columns: int | None) -> "npt.NDArray[np.uint8]":
    """Return one picture, uint8 [height, width, 1 or 3], of the pictures of predictions, row by
    row; several of one prediction stand below each other.

    Args:
        cells: of at least one prediction; all pictures are of one size.
        columns: None: about as many as rows.
    """
    columns = min(len(cells), columns or math.ceil(math.sqrt(len(cells))))
    height, width, _ = cells[0][0].shape
    channels = max(one.shape[2] for cell in cells for one in cell)
    times = max(1, -(-VISIBLE // max(height, width)))
    height, width, deep = times * height, times * width, len(cells[0])
    rows = -(-len(cells) // columns)
    whole = np.full(
        (rows * (deep * height + GAP) + GAP, columns * (width + GAP) + GAP, channels),
        WHITE,
        np.uint8,
    )
    for place, cell in enumerate(cells):
        top = GAP + place // columns * (deep * height + GAP)
        left = GAP + place % columns * (width + GAP)
        for one in cell:
            large = one.repeat(times, 0).repeat(times, 1)
            whole[top : top + height, left : left + width] = large
            top += height
    return whole


def _save(picture: "npt.NDArray[np.uint8]", file: IO[bytes]) -> None:
    from PIL import Image

    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file, "PNG")
