"""What the requests carry: inputs out of data, of mixed lengths as they come there."""

import base64
import dataclasses
import importlib
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError

if TYPE_CHECKING:
    from zoo.store.checkpoint import Checkpoint

MOST = 1_000
"""Inputs at most: drawn from the data by a seed, and sent again and again."""
MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"RIFF", "audio/wav"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
)
"""How a file begins, and its type."""
MEDIA = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".wav", ".flac", ".ogg", ".mp3")
)
JSON = "application/json"


@dataclass(frozen=True)
class Payload:
    """The body of a request and its content type."""

    content_type: str
    body: bytes


def of_text(text: str, text_pair: str | None = None) -> Payload:
    """Return the request for a text, or for a pair of texts."""
    given = text if text_pair is None else [text, text_pair]
    return Payload(JSON, json.dumps({"input": given}, ensure_ascii=False).encode())


def of_media(content: bytes) -> Payload:
    """Return the request for an image or a sound: the encoded file as the body."""
    for begin, name in MAGIC:
        if content.startswith(begin):
            return Payload(name, content)
    return Payload("application/octet-stream", content)


def of_checkpoint(checkpoint: "Checkpoint", data: str | None, seed: int) -> list[Payload]:
    """Return inputs of the test split of the data that a checkpoint was trained on, or of other
    data: a folder of splits, or a file, whose labels are not looked at.

    Raises `UserError` for data that can't be read, or that has no inputs.
    """
    if data is not None and Path(data).is_file():
        return of_file(Path(data), getattr(checkpoint.task, "columns", {}), seed)
    from tasks.data.source import DataArgs

    trained = checkpoint.manifest["config"]["data"]
    args = dataclasses.replace(
        DataArgs(**trained),
        data=data or trained["data"],
        data_config=None if data else trained["data_config"],
        max_eval_samples=None,
    )
    module = importlib.import_module(checkpoint.entry.task)
    examples = module.for_evaluation(
        checkpoint.task, args, None, checkpoint.manifest["data"]["fingerprint"]
    )
    (rows,) = examples.splits.values()
    return [of_row(rows[place]) for place in _drawn(len(rows), seed, str(args.data))]


def of_row(row: Mapping[str, Any]) -> Payload:
    """Return the request for a row of data, as tasks read it. Raises `UserError` for a row that
    has no text and no file, or one that can't be read."""
    if "media" in row:
        media = row["media"]
        content = media["bytes"] if media.get("bytes") else _content(Path(media["path"]))
        return of_media(content)
    if "text" in row:
        return of_text(row["text"], row.get("text_pair"))
    raise UserError(
        f"a service is loaded with texts, images or sounds; the data has {', '.join(row)}"
    )


def of_data(data: Path, seed: int) -> list[Payload]:
    """Return inputs of a file or folder for a service of which nothing is known: texts (a table
    with a column of texts, a line a text), or a folder of images or sounds.

    Raises `UserError` for data that can't be read, or that has no inputs.
    """
    if not data.exists():
        raise UserError(f"`data` {data}: there is no such file")
    if data.is_file() and data.suffix.lower() in MEDIA:
        return [of_media(_content(data))]
    if data.is_dir():
        found = sorted(path for path in data.rglob("*") if path.suffix.lower() in MEDIA)
        if found:
            drawn = _drawn(len(found), seed, str(data))
            return [of_media(_content(found[place])) for place in drawn]
    return of_file(data, {}, seed)


def _content(file: Path) -> bytes:
    """Return the bytes of a file. Raises `UserError` where it can't be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"`data` {file}: {error.strerror}") from None


def of_file(file: Path, known: Mapping[str, str | None], seed: int) -> list[Payload]:
    """Return the texts of a file; `known` are the columns of the training."""
    from tasks.nlp import text_inputs

    with ExitStack() as stack:
        items = list(text_inputs.read(text_inputs.Inputs(file=file), known, stack))
    drawn = _drawn(len(items), seed, str(file))
    return [of_text(items[place]["text"], items[place].get("text_pair")) for place in drawn]


def _drawn(count: int, seed: int, where: str) -> list[int]:
    if not count:
        raise UserError(f"{where} has no inputs")
    return random.Random(f"inputs {seed}").sample(range(count), min(count, MOST))


def as_json(payloads: Sequence[Payload]) -> str:
    """Return requests as `bench.load.generator.Target.payloads` has them."""
    return json.dumps(
        [[each.content_type, base64.b64encode(each.body).decode()] for each in payloads]
    )
