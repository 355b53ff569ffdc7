"""JSON that may come from anywhere: what is no JSON, or nested without end, is a ValueError."""

import errno
import json
import math
import stat
from pathlib import Path
from typing import Any

LARGEST = 256 * 2**20
"""Bytes of a file: the largest tokenizers have a tenth of that."""
DEEPEST = 100
"""Levels of nesting. Configurations have ten at most, and what walks through them recurses."""


def parse(text: str | bytes, strict: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        strict: refuse NaN and Infinity, which Python writes and JSON (RFC 8259) does not have, and
            numbers that are too large for a float, which would be read as one of these.

    Raises ValueError for what is no JSON, has numbers of thousands of digits, or is nested deeper
    than `DEEPEST`.
    """
    try:
        constant, number = (_no_constant, _finite) if strict else (None, None)
        value = json.loads(text, parse_constant=constant, parse_float=number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _has_halves(text, value):
        raise ValueError("it holds half a character, which nothing can write")
    if _is_deep(value):
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return value


def read(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises OSError where it can't be read, ValueError as `parse` does or for a file of more than
    `LARGEST` bytes.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # reading a pipe waits for whoever writes to it
        raise OSError(errno.EINVAL, "it is no file", str(path))
    if state.st_size > LARGEST:
        raise ValueError(f"it has {state.st_size:,} bytes")
    return parse(path.read_bytes())


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises as `read` does, and ValueError if the value is not
    an object."""
    value = read(path)
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value


def _has_halves(text: str | bytes, value: Any) -> bool:
    """Whether a text in a value has a lone surrogate, as an escape like "\\ud800" gives."""
    if (rb"\u" if isinstance(text, bytes) else r"\u") not in text:  # type: ignore[operator]
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += [child for child in one.values() if isinstance(child, dict | list)]
            elif isinstance(one, list):
                below += [child for child in one if isinstance(child, dict | list)]
        if not below:
            return False
        level = below
    return True
