"""Which values of the training images are black and white, where they have more than 8 bits."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tasks.errors import UserError
from tasks.media.source import BadFile, name_of
from tasks.vision import deep_images, images
from tasks.vision.image_args import ImageArgs

if TYPE_CHECKING:
    import datasets

LOOKED_AT = 1000  # images of more than 8 bits whose values are read to find their range
ROWS_A_JOB = 256
NEVER_DEEP = (b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")  # how files begin that have 8 bits
PNG = b"\x89PNG"

A = TypeVar("A", bound=ImageArgs)


class Extent(NamedTuple):
    """The least and the largest value of an image, and whether it has decimal numbers."""

    low: float
    high: float
    decimals: bool
    white: float | None  # what the file itself declares as white
    name: str


def with_range(args: A, train: "datasets.Dataset") -> A:
    """Return the arguments with the range of values that the images of more than 8 bits have, where
    the training split has such and no range was asked for.

    It begins at 0 and ends with what holds the largest value: 1 for decimal numbers up to 1, else
    the smallest of 255, 511, 1023, ... (of a thousand images, where there are more).

    Raises `UserError` where that can't be said: of values below 0, of decimal numbers of no usual
    range, or where whole and decimal numbers are mixed.
    """
    if args.value_range is not None:
        return args
    deep = _deep_rows(train)
    if not deep:
        return args
    chosen = deep[:: -(-len(deep) // LOOKED_AT)]
    with ThreadPoolExecutor(_threads(), thread_name_prefix="values") as pool:
        extents = pool.map(lambda row: _extent(train[row]["media"], row, args.max_pixels), chosen)
        known = [extent for extent in extents if extent is not None]
    if not known:  # all of them are broken, which whoever decodes them says
        return args
    lowest, highest = min(known, key=lambda one: one.low), max(known, key=lambda one: one.high)
    decimals = {one.decimals for one in known}
    several = len(decimals) > 1
    if lowest.low < 0 or several or (highest.high > 65535 and True in decimals):
        odd = lowest if lowest.low < 0 else highest
        what = "some whole and some decimal numbers" if several else "no usual range"
        raise UserError(
            f"train has images of more than 8 bits with values from {lowest.low:g} to"
            f" {highest.high:g} ({what}; see {odd.name}): say which are black and white, such as"
            f" `value_range` {lowest.low:g} {highest.high:g}"
        )
    found = [one.white or deep_images.full_scale(one.high, one.decimals) for one in known]
    return replace(args, value_range=(0.0, max(found)))


def _deep_rows(train: "datasets.Dataset") -> list[int]:
    """Rows with an image of more than 8 bits, by their headers."""
    stored = train.select_columns(["media"]).with_format("arrow")

    def job(start: int) -> list[int]:
        column = stored[start : start + ROWS_A_JOB].column("media")
        return [row for row, media in enumerate(column, start) if _is_deep(media.as_py())]

    with ThreadPoolExecutor(_threads(), thread_name_prefix="headers") as pool:
        found = pool.map(job, range(0, train.num_rows, ROWS_A_JOB))
        return [row for rows in found for row in rows]


def _is_deep(media: Mapping[str, Any] | None) -> bool:
    if media is None:
        return False
    try:
        start = _start(media)
        if start.startswith(NEVER_DEEP):
            return False
        if start.startswith(PNG):
            return start[24:25] == b"\x10"
        return images.is_deep(media)
    except (BadFile, OSError, ValueError):  # which whoever decodes it says
        return False


def _start(media: Mapping[str, Any]) -> bytes:
    if media["bytes"] is not None:
        return bytes(media["bytes"][:32])
    if not media["path"]:
        return b""
    with Path(media["path"]).open("rb") as file:
        return file.read(32)


def _extent(media: Mapping[str, Any], row: int, max_pixels: int) -> Extent | None:
    try:
        found = images.values_of(media, max_pixels)
        if found is None:
            return None
        low, high = deep_images.check_finite(found.values)
    except BadFile:
        return None
    white = found.declared[1] if found.explicit and found.declared else None
    return Extent(low, high, found.declared is None, white, name_of(media, row))


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
