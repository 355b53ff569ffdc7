"""Greedy decoding as a `generation_config.json` asks for it: in numpy, without torch.

Each token is the likeliest one; then the text goes on behind it, until all rows of a batch have
ended. For Whisper this is what `generate` of transformers does where it writes no timestamps.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from tasks import json_files
from tasks.errors import UserError

FILE = "generation_config.json"

NEEDED = ("decoder_start_token_id", "eos_token_id", "pad_token_id", "max_new_tokens")
KNOWN = frozenset(
    (
        *NEEDED,
        "language",
        "lang_to_id",
        "task",
        "task_to_id",
        "no_timestamps_token_id",
        "suppress_tokens",
        "begin_suppress_tokens",
        # what makes no difference here
        "alignment_heads",
        "bos_token_id",
        "is_multilingual",
        "max_initial_timestamp_index",
        "max_length",
        "prev_sot_token_id",
        "transformers_version",
        "use_cache",
    )
)

Step = Callable[[np.ndarray], np.ndarray]
"""Tokens int64 [batch, n] behind those of the calls before, to logits float32 [batch, n,
vocabulary]."""


@dataclass(frozen=True)
class Greedy:
    """How a text begins, what it never says, and where it ends."""

    prefix: tuple[int, ...]  # tokens that every text begins with
    end: int
    pad: int
    most: int  # tokens behind the prefix
    never: tuple[int, ...] = ()
    never_first: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of a folder's `generation_config.json`.

        Raises `UserError` where it asks for what is not greedy decoding in one language.
        """
        path = folder / FILE
        try:
            config: dict[str, Any] = json_files.read_object(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} can't be read: {error}") from None
        asked = {k: v for k, v in config.items() if v is not None and v is not False}
        if asked.pop("num_beams", 1) != 1:
            raise UserError(f"{path} asks for beams; exported programs decode greedily")
        if strange := sorted(set(asked) - KNOWN):
            raise UserError(
                f"{path} asks for {strange[0]} {asked[strange[0]]!r}, which exported programs do "
                "not know: take it out, or use the checkpoint itself"
            )
        if missing := [name for name in NEEDED if name not in asked]:
            raise UserError(f"{path} has no {missing[0]}")
        return cls(
            _prefix(config, path),
            int(config["eos_token_id"]),
            int(config["pad_token_id"]),
            int(config["max_new_tokens"]),
            tuple(asked.get("suppress_tokens", ())),
            tuple(asked.get("begin_suppress_tokens", ())),
        )

    def exactly(self, tokens: int) -> Self:
        """The same for texts of so many tokens, which no token ends."""
        never = (*self.never, self.end)
        return dataclasses.replace(self, most=tokens, never=never)

    def write(self, step: Step, rows: int) -> np.ndarray:
        """The texts int64 [rows, tokens] without prefix and end, padded behind.

        Args:
            step: gives logits; called with the prefix, then with one token a row.
        """
        tokens = np.tile(np.array(self.prefix, np.int64), (rows, 1))
        lengths = np.full(rows, self.most)
        written: list[np.ndarray] = []
        while len(written) < self.most and (lengths == self.most).any():
            scores = step(tokens)[:, -1]
            banned = self.never if written else self.never + self.never_first
            scores[:, [token for token in banned if token < scores.shape[1]]] = -np.inf
            chosen = scores.argmax(-1)
            ended = lengths < self.most
            lengths[~ended & (chosen == self.end)] = len(written)
            tokens = np.where(ended, self.pad, chosen)[:, None]
            written.append(tokens)
        texts = np.concatenate(written, 1)[:, : lengths.max()]
        texts[np.arange(texts.shape[1]) >= lengths[:, None]] = self.pad
        return texts


def _prefix(config: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """Start, language, task, no timestamps: what of them the model has."""
    language, task = config.get("language"), config.get("task")
    if language is None and config.get("lang_to_id"):
        raise UserError(f"{path} names no language: exported programs do not find it out")
    found = [config["decoder_start_token_id"]]
    try:
        if language is not None:
            found.append(config["lang_to_id"][f"<|{language}|>"])
            found.append(config["task_to_id"][task or "transcribe"])
    except (KeyError, TypeError):
        raise UserError(f"{path} has no token for {language!r} or {task!r}") from None
    if config.get("no_timestamps_token_id") is not None:
        found.append(config["no_timestamps_token_id"])
    return tuple(map(int, found))
