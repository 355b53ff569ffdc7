"""Commands that are printed to be typed next: quoted, so that they run as they stand."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import atomic

if TYPE_CHECKING:
    import datasets

OWN = ("--word", "--samples")
"""Flags of `predict` that take no example of the data."""
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"GIF8": ".gif", b"RIFF": ".wav"}
SUFFIXES |= {b"fLaC": ".flac", b"OggS": ".ogg"}
ROWS = 50  # that are looked at for an example
LONGEST = 60  # characters of one
NAMED = ("finetune", "pretrain")
"""Verbs of the command `zoo` that want the name of a model."""


def program() -> str | None:
    """Return how the command `zoo` was called, "zoo" or "python -m zoo"; None if this process is
    another program."""
    called = Path(sys.argv[0] if sys.argv else "")
    if called.name in ("zoo", "zoo.exe"):
        return "zoo"
    return "python -m zoo" if called.parts[-2:] == ("zoo", "__main__.py") else None


def python(module: str, *words: object) -> str:
    """Return the shell command `python -m MODULE ...`."""
    return shlex.join(["python", "-m", module, *map(str, words)])


def of_model(module: str, verb: str, *words: object) -> str:
    """Return the shell command of a model's verb: `zoo evaluate FOLDER` if this process was called
    so (an environment that is not active has no `python` with the package), else
    `python -m MODULE evaluate FOLDER`."""
    if program() != "zoo":
        return python(module, verb, *words)
    name = [module.rpartition(".")[2]] if verb in NAMED else []  # others read it in the folder
    return shlex.join(["zoo", verb, *name, *map(str, words)])


def example(usual: str, split: "datasets.Dataset", folder: Path) -> list[str]:
    """Return the words that give `predict` an example input, taken from the data if possible.

    Args:
        usual: the default words of the task, `--text "fine, I loved it"`, for data without a
            fitting example.
        split: examples of the task, with the column media (bytes, path) or text.
        folder: of the checkpoint; a picture or sound that has no file of its own is put into its
            `logs/`.
    """
    flag, *others = shlex.split(usual) or [""]
    own = flag in OWN or any("[MASK]" in word for word in others)  # no text will do
    for row in split.select(range(min(ROWS, len(split)))) if flag and not own else ():
        value = _media(row["media"], folder) if "media" in row else _text(row.get("text"))
        if value:
            return [flag, value]
    return [flag, *others] if flag else []


def _media(media: Any, folder: Path) -> str | None:
    path, content = (media.get(name) for name in ("path", "bytes"))
    if path and Path(path).is_file():
        return str(path)
    for begin, suffix in SUFFIXES.items():
        if content and content.startswith(begin):
            own = folder / "logs" / f"example{suffix}"
            atomic.write_bytes(own, content)
            return str(own)
    return None


def _text(text: Any) -> str | None:
    """Return the beginning of a text on one line; None if a shell or the flags would misread it."""
    plain = " ".join(str(text or "").split())
    if len(plain) > LONGEST:
        plain = plain[:LONGEST].rpartition(" ")[0] or plain[:LONGEST]
    return plain if plain and plain.isprintable() and not plain.startswith("-") else None
