"""One image or sound as Python gives it: a path, a file's content, an open file, a record of these.

Arrays and what only one kind of media has are the kind's own: see `tasks.vision.image_items` and
`tasks.speech.audio_items`.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.errors import UserError
from tasks.media.source import BadFile
from tasks.media.tables import URL

CONTENT = bytes | bytearray | memoryview


def is_tensor(raw: Any) -> bool:
    """Return whether an input is one of torch's tensors, without an import of torch."""
    return hasattr(raw, "detach") and hasattr(raw, "dtype")


def is_array(raw: Any) -> bool:
    """Return whether an input is an array or tensor of numbers."""
    if is_tensor(raw):
        return True
    kind = getattr(getattr(raw, "dtype", None), "kind", None)
    return hasattr(raw, "ndim") and hasattr(raw, "shape") and kind in tuple("biufc")


def is_one(raw: Any, dims: int) -> bool:
    """Return whether an input from Python is a single image or sound, and not a list of them.

    Args:
        dims: dimensions that the array of one has at most.
    """
    if type(raw).__name__ == "DataFrame":  # a loop over it would give the names of its columns
        raise UserError("a table is no row of files: give a column of it, table['path'].tolist()")
    if is_array(raw):
        return int(raw.ndim) <= dims
    single = isinstance(raw, str | os.PathLike | Mapping | CONTENT) or hasattr(raw, "read")
    return single or not isinstance(raw, Iterable)


def media_of(raw: Any, kind: str) -> Mapping[str, Any] | None:
    """A file as `tasks.media.source` has it: its content under `bytes`, or its `path`; None for
    what is no file, as an array.

    Args:
        kind: "image" or "sound", for messages.

    Raises `UserError` for a URL, and for a file opened as text.
    """
    if isinstance(raw, Mapping):
        if raw.get("bytes") is None and raw.get("path") is None:
            return None
        return {"bytes": raw.get("bytes"), "path": raw.get("path")}
    if isinstance(raw, CONTENT):
        return {"bytes": bytes(raw), "path": None}
    if isinstance(raw, str | os.PathLike):
        path = os.fspath(raw)
        name = os.fsdecode(path) if isinstance(path, bytes) else path
        if URL.match(name):
            raise UserError(f"{name[:100]} is a URL: download the {kind}, and give its path")
        return {"bytes": None, "path": name}
    if hasattr(raw, "read") and not is_array(raw):
        content = raw.read()
        if not isinstance(content, CONTENT):
            raise UserError(f"the file of the {kind} was opened as text: open(path, 'rb')")
        return {"bytes": bytes(content), "path": None}
    return None


def name_of(media: Mapping[str, Any], kind: str) -> str:
    """Return what messages call a file: its path, or that it was given as bytes."""
    return str(media["path"]) if media.get("path") else f"the {kind} given as bytes"


@contextlib.contextmanager
def named_errors(media: Mapping[str, Any] | None, kind: str) -> Iterator[None]:
    """Raises a `BadFile` as a `UserError` that names the file; None: it was none.

    Args:
        kind: "image" or "sound".
    """
    try:
        yield
    except BadFile as problem:
        name = f"the {kind}" if media is None else name_of(media, kind)
        raise UserError(f"{name}: {problem}") from None


def no_media(raw: Any, kind: str, give: str) -> UserError:
    """The error that says that something is no image or sound, and to `give` what instead."""
    shown = f"a mapping of {', '.join(map(str, raw))}" if isinstance(raw, Mapping) else repr(raw)
    return UserError(
        f"{shown[:80]} is no {kind}: give a path, bytes, {give} (it is a {type(raw).__name__})"
    )


def to_numpy(raw: Any) -> Any:
    """The numbers of an array or tensor, on the CPU, floats of 16 bits as float32."""
    import numpy as np

    if is_tensor(raw):
        tensor = raw.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    array = np.asarray(raw)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def shape_of(array: Any) -> str:
    """An array's shape and type in words: "float32 [3, 20, 20]"."""
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"
