"""The embedded scenes: shapes and handwritten digits on textured canvases, with exact boxes and
masks.

What they are: images of 96 x 96 pixels with 1 to 5 objects of six classes, drawn by this file. A
scene is a pure function of (seed, split, index): random numbers come from numpy's `RandomState`,
which is kept as it is for ever, and what touches pixels is elementwise, so that the bytes are the
same everywhere. The digits are those of scikit-learn (see `tasks.vision.embedded.digits`); those of
test scenes are in no other split.

What they are not: photographs. They show that a detector or a segmentation network learns, and that
a deployment keeps its accuracy; no result on them says how well a model finds things in the world.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.data import arrow_copy, cache
from tasks.media.rows import objects_feature
from tasks.vision.embedded import png

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

RECIPE = 1
"""Part of the cache's name: raise it with every change to what `load` gives."""

CLASSES = ("circle", "cross", "digit", "square", "star", "triangle")
SIZES = {"train": 1200, "validation": 200, "test": 200}
SIDE = 96  # pixels of a scene
SEED = 0

_MOST_OBJECTS = 5
_RADII = 10, 26  # pixels; areas are COCO's "small" and "medium"
_MOST_HIDDEN = 0.15  # of the pixels of an object, by those drawn after it
_TRIES = 20  # places for an object, before it is left out
_CONTRAST = 72  # of 255: least difference, in some channel, of any two of canvas and objects
_SAMPLES = 2  # a side, in each pixel
_PALETTE = ((0, 0, 0), (230, 60, 60), (60, 160, 60), (60, 90, 230), (240, 190, 40), (170, 70, 200),
            (50, 190, 200))  # fmt: skip

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]
_Inside = Callable[[_Floats, _Floats], npt.NDArray[np.bool_]]
"""Whether points (x, y), in -1 .. 1, are part of a shape."""


@dataclass(frozen=True)
class Scene:
    """An image and what is in it."""

    image: _Bytes
    """[height, width, 3]"""
    mask: _Bytes
    """[height, width]: 0 is the canvas, k + 1 an object of class k"""
    boxes: _Ints
    """[objects, 4]: x0, y0, x1, y1 around the visible pixels, x1 and y1 exclusive"""
    categories: _Ints
    """[objects], places in `CLASSES`"""
    areas: _Ints
    """[objects]: visible pixels"""


def load() -> "datasets.DatasetDict":
    """Return the splits train, validation and test (1200, 200, 200 rows).

    The columns are media and mask ({"bytes": a PNG, "path": null} each; the mask has a palette, 0
    is the canvas and k + 1 class k), and objects: bbox, a list of [x0, y0, x1, y1] in pixels,
    category, a list of ClassLabel (`CLASSES`), iscrowd, a list of bool, and area, a list of visible
    pixels.
    """
    import datasets

    home = cache.folder() / "scenes" / str(RECIPE)
    copies = {name: home / f"{name}.arrow" for name in SIZES}
    if not all(copy.exists() for copy in copies.values()):
        digits = _digits()
        for name, copy in copies.items():
            schema = features().arrow_schema
            arrow_copy.write_batches(copy, schema, _batches(name, digits, schema))
    return datasets.DatasetDict(
        {
            name: arrow_copy.read(copy, name, f"scenes-{RECIPE}-{name}")
            for name, copy in copies.items()
        }
    )


def features() -> "datasets.Features":
    """Return the types of the columns."""
    import datasets

    file = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    return datasets.Features(
        {
            "media": file,
            "objects": objects_feature(CLASSES),
            "mask": file,
        }
    )


def draw(split: str, index: int, digits: _Floats, seed: int = SEED) -> Scene:
    """Return a scene.

    Args:
        split: one of `SIZES`.
        digits: [digits, 8, 8] in 0 .. 1, as scikit-learn has them. Every fifth is for test, the one
            after it for validation.
    """
    rng = np.random.RandomState([seed, list(SIZES).index(split), index])
    mine = np.arange(len(digits)) % 5
    digits = digits[{"test": mine == 0, "validation": mine == 1}.get(split, mine > 1)]
    ground = rng.randint(30, 226, 3)
    canvas = ground + _texture(rng)[:, :, None] * rng.randint(-30, 31, 3)
    owner = np.zeros((SIDE, SIDE), np.int64)  # the object at each pixel, counted from 1
    categories: list[int] = []
    colours = [ground]
    for _ in range(rng.randint(1, _MOST_OBJECTS + 1)):
        category = int(rng.randint(len(CLASSES)))
        placed = _placed(rng, CLASSES[category], digits, owner)
        if placed is None:
            continue
        where, coverage = placed
        categories.append(category)
        colours.append(_colour(rng, colours))
        own = owner[where]
        own[coverage >= 0.5] = len(categories)
        share = coverage[:, :, None]
        canvas[where] = canvas[where] * (1 - share) + colours[-1] * share
    canvas += rng.randint(-8, 9, canvas.shape, np.int8)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    places = [np.nonzero(owner == number) for number in range(1, len(categories) + 1)]
    boxes = [(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in places]
    return Scene(
        image,
        np.array([0, *(category + 1 for category in categories)], np.uint8)[owner],
        np.array(boxes, np.int64).reshape(-1, 4),
        np.array(categories, np.int64),
        np.array([len(y) for y, _ in places], np.int64),
    )


def _placed(
    rng: np.random.RandomState, name: str, digits: _Floats, owner: _Ints
) -> tuple[tuple[slice, slice], _Floats] | None:
    """Return where an object is drawn and how much of each pixel there it covers; None where it
    would hide too much of the others."""
    radius = int(rng.randint(_RADII[0], _RADII[1] + 1))
    turned = int(rng.randint(-15, 16) if name == "digit" else rng.randint(0, 360))
    coverage = _coverage(_SHAPES[name](rng, digits), radius, turned)
    side = len(coverage)
    pixels = np.bincount(owner.ravel())
    for _ in range(_TRIES):
        top, left = (int(place) for place in rng.randint(0, SIDE - side + 1, 2))
        where = slice(top, top + side), slice(left, left + side)
        hidden = np.bincount(owner[where][coverage >= 0.5], minlength=len(pixels))
        if (hidden[1:] <= _MOST_HIDDEN * pixels[1:]).all():
            return where, coverage
    return None


def _coverage(inside: _Inside, radius: int, degrees: int) -> _Floats:
    """Return the share of each pixel [2 radius, 2 radius] that a turned shape covers."""
    side = 2 * radius * _SAMPLES
    axis = (np.arange(side) + 0.5) / (side / 2) - 1
    cos, sin = _direction(degrees)
    x, y = axis[None, :], axis[:, None]
    hit = inside(x * cos + y * sin, y * cos - x * sin)
    fine = hit.reshape(2 * radius, _SAMPLES, 2 * radius, _SAMPLES)
    share: _Floats = fine.sum((1, 3)) / _SAMPLES**2
    return share


def _direction(degrees: float) -> tuple[float, float]:
    """Return cosine and sine, rounded: libraries differ in the last bit."""
    return round(math.cos(math.radians(degrees)), 9), round(math.sin(math.radians(degrees)), 9)


def _texture(rng: np.random.RandomState) -> _Floats:
    """Return a pattern [SIDE, SIDE] in -1 .. 1: stripes, checks, or clouds."""
    kind, period = rng.randint(3), int(rng.randint(4, 17))
    x, y = np.arange(SIDE)[None, :], np.arange(SIDE)[:, None]
    if kind == 0:
        across, down = rng.randint(-2, 3, 2)
        return _signs((across * x + down * y) // period)
    if kind == 1:
        return _signs(x // period + y // period)
    cells = SIDE // period + 2
    grid = rng.randint(-64, 65, (cells, cells)) / 64
    place, part = np.arange(SIDE) // period, (np.arange(SIDE) % period) / period
    rows = grid[place] * (1 - part)[:, None] + grid[place + 1] * part[:, None]
    clouds: _Floats = rows[:, place] * (1 - part) + rows[:, place + 1] * part
    return clouds


def _signs(cells: _Ints) -> _Floats:
    """Return 1 where a number is odd, and -1 where it is even."""
    return (cells % 2 * 2 - 1).astype(np.float64)


def _colour(rng: np.random.RandomState, others: Sequence[_Ints]) -> _Ints:
    """Return a colour [3] that stands out from others; five leave a tenth of all."""
    while True:
        colour = rng.randint(0, 256, 3)
        if all(np.abs(colour - other).max() >= _CONTRAST for other in others):
            return colour


def _half_planes(sides: int, least: int) -> _Inside:
    """Return what tells which points (x, y) lie within at least so many sides of a regular polygon
    whose corners, or for a star the tips, lie on the unit circle."""
    # the sides of a polygon are nearer to the centre than its corners, those of a pentagon whose
    # prolonged sides make a star are nearer still
    apothem = _direction(180 / sides if least == sides else 360 / sides)[0]
    normals = [_direction(360 * side / sides + 90) for side in range(sides)]

    def inside(x: _Floats, y: _Floats) -> npt.NDArray[np.bool_]:
        sides = np.array([x * nx + y * ny <= apothem for nx, ny in normals])
        enough: npt.NDArray[np.bool_] = sides.sum(0) >= least
        return enough

    return inside


def _plus(x: _Floats, y: _Floats) -> npt.NDArray[np.bool_]:
    across, down = np.abs(x), np.abs(y)
    return (np.maximum(across, down) <= 0.95) & (np.minimum(across, down) <= 0.3)


def _digit(rng: np.random.RandomState, digits: _Floats) -> _Inside:
    """Return what tells which points are ink of a random digit: its pixels, interpolated."""
    padded = np.pad(digits[rng.randint(len(digits))], 2)

    def inside(x: _Floats, y: _Floats) -> npt.NDArray[np.bool_]:
        # the 8 x 8 pixels fill the unit circle's square; outside lies padding
        rows, columns = (np.clip(axis * 4 + 5.5, 0, 10.999) for axis in (y, x))
        row, column = rows.astype(np.int64), columns.astype(np.int64)
        down, right = rows - row, columns - column
        above = padded[row, column] * (1 - right) + padded[row, column + 1] * right
        below = padded[row + 1, column] * (1 - right) + padded[row + 1, column + 1] * right
        ink: npt.NDArray[np.bool_] = above * (1 - down) + below * down >= 0.4
        return ink

    return inside


_SHAPES: dict[str, Callable[[np.random.RandomState, _Floats], _Inside]] = {
    "circle": lambda *_: lambda x, y: x * x + y * y <= 0.95,
    "cross": lambda *_: _plus,
    "digit": _digit,
    "square": lambda *_: lambda x, y: np.maximum(np.abs(x), np.abs(y)) <= 0.7,
    "star": lambda *_: _half_planes(5, 4),
    "triangle": lambda *_: _half_planes(3, 3),
}


def _digits() -> _Floats:
    from sklearn.datasets import load_digits

    images: _Floats = load_digits().images / 16
    return images


def _batches(name: str, digits: _Floats, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for start in range(0, SIZES[name], 100):
        rows = []
        for index in range(start, min(start + 100, SIZES[name])):
            scene = draw(name, index, digits)
            objects = {
                "bbox": scene.boxes.tolist(),
                "category": scene.categories.tolist(),
                "iscrowd": [False] * len(scene.boxes),
                "area": scene.areas.tolist(),
            }
            rows.append(
                {
                    "media": {"bytes": png.encode(scene.image), "path": None},
                    "objects": objects,
                    "mask": {"bytes": png.encode(scene.mask, _PALETTE), "path": None},
                }
            )
        yield pa.RecordBatch.from_pylist(rows, schema=schema)
