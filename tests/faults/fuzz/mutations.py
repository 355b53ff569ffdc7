"""Damage done to bytes, texts and JSON, with a word for what was done."""

import codecs
import gzip
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

DEEP = 100_000
LONG = 200_000
STEERING = "\x1b]0;owned\x07\x1b[2J"
MARKUP = "[/b][red][/INST]"
WORDS = (
    "",
    " ",
    "x",
    "nan",
    "\0",
    "\ud800",
    "a\nb",
    "写真",
    "`</code><script>alert(1)</script>",
    "| a | b |",
    "../../etc/passwd",
    "/etc/passwd",
    "https://me:secret@example.org/x",
    STEERING,
    MARKUP,
)
"""Texts that are something to somebody."""
NUMBERS = (0, -1, 1, 1.5, 2**31, 2**64, -(2**63), 1e308, float("nan"), float("inf"), 10**30)
VALUES: tuple[Any, ...] = (None, True, False, *NUMBERS, *WORDS, [], {}, [None], ["x"], [[0]])
VALUES += ({"x": 1}, {"": None}, "x" * LONG)
Spoiled = tuple[bytes, str]

BYTES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "cut": lambda draw, content: content[: draw.randrange(len(content) or 1)],
    "cut by a byte": lambda draw, content: content[:-1],
    "empty": lambda draw, content: b"",
    "a byte changed": lambda draw, content: _changed(draw, content, 1),
    "twenty bytes changed": lambda draw, content: _changed(draw, content, 20),
    "noise": lambda draw, content: draw.randbytes(draw.choice((1, 100, 5000))),
    "NULs in the middle": lambda draw, content: _inserted(draw, content, b"\0" * 8),
    "a lone 0xff": lambda draw, content: _inserted(draw, content, b"\xff"),
    "a BOM": lambda draw, content: codecs.BOM_UTF8 + content,
    "twice": lambda draw, content: content * 2,
    "gzip": lambda draw, content: gzip.compress(content, mtime=0),
    "a tail": lambda draw, content: content + draw.randbytes(50),
}
"""Name to what it does."""

TEXTS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "UTF-16": lambda draw, content: content.decode("utf-8", "replace").encode("utf-16"),
    "Latin-1": lambda draw, content: b"caf\xe9 " + content,
    "CRLF": lambda draw, content: content.replace(b"\n", b"\r\n"),
    "CR": lambda draw, content: content.replace(b"\n", b"\r"),
    "without an end of line": lambda draw, content: content.rstrip(b"\n"),
    "an open quote": lambda draw, content: _inserted(draw, content, b'\n"'),
    "an escaped surrogate": lambda draw, content: _inserted(draw, content, b"\xed\xa0\x80"),
}


def spoil(draw: random.Random, content: bytes, is_text: bool = True) -> Spoiled:
    """Bytes damaged in one way, and which."""
    ways = {**BYTES, **TEXTS} if is_text else BYTES
    name = draw.choice([*ways])
    return ways[name](draw, content), name


def spoil_json(draw: random.Random, content: bytes) -> Spoiled:
    """JSON with one place changed (mostly), or damaged as a whole."""
    if draw.random() < 0.2:
        return spoil(draw, content)
    if draw.random() < 0.15:
        whole = draw.choice(("[]", "null", "{}", '"x"', "1", "NaN", "[" * DEEP, '{"a":' * DEEP))
        return whole.encode(), f"{whole[:6]} in its place"
    try:
        root = [json.loads(content)]
    except ValueError:  # a line that was torn by its bytes, a U+0085 of Latin-1 in a text, say
        return spoil(draw, content)
    place = draw.choice(list(_places(root[0])) or [()])
    what = _change(draw, root, (0, *place))
    return json.dumps(root[0], indent=2).encode(), f"{'.'.join(map(str, place)) or 'all'} {what}"


def _change(draw: random.Random, root: list[Any], place: tuple[Any, ...]) -> str:
    """Changes what stands at a place of nested containers; says how."""
    *outer, last = place
    inside: Any = root
    for key in outer:
        inside = inside[key]
    way = draw.random()
    if way < 0.2 and len(place) > 1:
        del inside[last]
        return "left out"
    if way < 0.25 and isinstance(inside, dict):
        inside[draw.choice(("x", "", "__class__", "auto_map"))] = inside.pop(last)
        return "under another name"
    if way < 0.3:
        inside[last] = [inside[last]]
        return "in a list"
    if way < 0.35:
        inside[last] = str(inside[last])
        return "as text"
    value = draw.choice(VALUES)
    inside[last] = value
    return f"is {json.dumps(value)[:30]}"


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The paths of keys to everything inside, but no more than some of a long list."""
    inside = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inside = list(enumerate(value))[:8]
    for key, item in list(inside)[:60]:
        yield (key,)
        for rest in _places(item):
            yield (key, *rest)


def _changed(draw: random.Random, content: bytes, count: int) -> bytes:
    spoiled = bytearray(content)
    for _ in range(count if spoiled else 0):
        spoiled[draw.randrange(len(spoiled))] = draw.randrange(256)
    return bytes(spoiled)


def _inserted(draw: random.Random, content: bytes, piece: bytes) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + piece + content[place:]
