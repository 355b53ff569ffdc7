"""Images to predict on: files, folders, globs, a list of them."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from tasks.errors import UserError
from tasks.media import inputs


@dataclass(frozen=True)
class Inputs:
    """What is to be looked at."""

    image: tuple[str, ...] = ()
    """image files, folders, or globs such as 'photos/*.jpg'; - reads names from standard input"""
    on_bad_file: Literal["skip", "stop"] = "stop"
    """what to do about an image that can't be read"""


def read(asked: Inputs, stack: ExitStack) -> Iterator[dict[str, Any]]:
    """Media values (`bytes` None, `path`), one by one; a folder's sorted by path.

    Nothing is opened here. Raises `UserError` at once where nothing is asked for, and in its turn
    for a name with no file behind it.
    """
    from tasks.vision.images import IMAGE

    if not asked.image:
        raise UserError("what is to be looked at? give `image` with files, folders or globs")
    return (
        {"bytes": None, "path": str(path)}
        for path in inputs.expand(asked.image, IMAGE.suffixes, "images")
    )
