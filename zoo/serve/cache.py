"""Answers that were given before, by what decides them: the model's digest, its deployment, the
input, the parameters. Another version has another digest, so nothing has to be thrown away."""

import hashlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal

import cachetools

from zoo.serve.description import Description
from zoo.serve.items import Item

Policy = Literal["lru", "lfu"]
"""What goes where there is no room: what was not asked for the longest, or the least often."""
POLICIES: Mapping[str, type[cachetools.Cache[bytes, bytes]]] = {
    "lru": cachetools.LRUCache,
    "lfu": cachetools.LFUCache,
}
OVERHEAD = 256
"""Bytes that an entry takes beside its answer: the key, and Python's objects."""
SAID: ContextVar[dict[str, str] | None] = ContextVar("zoo_cache_said", default=None)
"""What is said of the request that is being answered; its `cache` is "hit" or "miss"."""


class AnswerCache:
    """Answers, as JSON, in a bounded number of bytes."""

    def __init__(self, size: int, policy: Policy = "lru") -> None:
        """`size` in bytes, at most."""
        self._answers = POLICIES[policy](size, lambda answer: len(answer) + OVERHEAD)

    def get(self, key: bytes) -> dict[str, Any] | None:
        """Return an answer, of which the caller may do what it will; None where it is not known."""
        answer = self._answers.get(key)
        return None if answer is None else json.loads(answer)

    def put(self, key: bytes, answer: Mapping[str, Any]) -> None:
        """Keep an answer, if it is small enough to be kept at all."""
        content = json.dumps(answer, separators=(",", ":")).encode()
        if len(content) + OVERHEAD <= self._answers.maxsize:
            self._answers[key] = content

    @property
    def bytes(self) -> int:
        """How many it takes now."""
        return int(self._answers.currsize)


def key_of(model: Description, item: Item, parameters: Mapping[str, Any]) -> bytes:
    """Return the key of an answer, 32 bytes."""
    said: list[Any] = [model.sha256, model.deployment, dict(parameters)]
    content = b""
    if isinstance(item, bytes):
        said.append("file")
        content = item
    elif isinstance(item, str | tuple) or "messages" in item or "row" in item:
        said.append(item)
    else:
        said.append(item["sampling_rate"])
        content = item["array"].tobytes()
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    digest.update(b"\0")  # JSON has none
    digest.update(content)
    return digest.digest()


def tell(hit: bool) -> None:
    """Have the answer say where it is from: it is a hit where all of its parts are."""
    said = SAID.get()
    if said is not None:
        said["cache"] = "hit" if hit and said.get("cache") != "miss" else "miss"
