"""Pictures side by side in one file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import UserError
from zoo.predict.grid import GAP, arranged, picture_grid


class Pictures:
    """A task whose predictions are pictures."""

    def pictures(self, prediction: int) -> list[np.ndarray]:
        return [shade(prediction), shade(prediction + 100)]


def shade(value: int, size: int = 60, channels: int = 1) -> np.ndarray:
    return np.full((size, size, channels), value, np.uint8)


def test_each_has_its_place() -> None:
    cells = [[shade(i)] for i in range(5)]
    found = arranged(cells, 3)
    assert found.shape == (2 * (60 + GAP) + GAP, 3 * (60 + GAP) + GAP, 1)
    for place, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        top, left = GAP + row * (60 + GAP), GAP + column * (60 + GAP)
        assert (found[top : top + 60, left : left + 60] == place).all()
        assert (found[top - GAP : top, :] == 255).all()
    assert (found[GAP + 62 :, GAP + 2 * 62 :] == 255).all(), "what is left is white"


def test_about_square_and_small_ones_are_enlarged() -> None:
    found = arranged([[shade(i, 8)] for i in range(9)], None)
    assert found.shape == (3 * (56 + GAP) + GAP, 3 * (56 + GAP) + GAP, 1)
    assert (found[GAP : GAP + 56, GAP + 58 : GAP + 58 + 56] == 1).all()
    colour = arranged([[shade(3, 8, 3)], [shade(4, 8)]], None)
    assert colour.shape[2] == 3, "grey ones beside those in colour"


def test_several_of_one_stand_below_each_other(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "grid.png"
    with picture_grid(path, Pictures(), None) as grid:
        for i in range(3):
            grid.add({}, i, {})
        assert not path.exists()
    found = np.asarray(Image.open(path))
    assert found.shape == (2 * (120 + GAP) + GAP, 2 * (60 + GAP) + GAP)
    assert (found[GAP : GAP + 60, GAP : GAP + 60] == 0).all()
    assert (found[GAP + 60 : GAP + 120, GAP : GAP + 60] == 100).all()


def test_what_is_no_png_and_a_run_that_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"ends in \.png"),
        picture_grid(tmp_path / "grid.jpg", Pictures(), None),
    ):
        pass
    path = tmp_path / "grid.png"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), picture_grid(path, Pictures(), None) as grid:
        grid.add({}, 1, {})
        raise RuntimeError
    assert path.read_bytes() == b"before"
