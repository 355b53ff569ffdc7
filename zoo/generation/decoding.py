"""How a text is generated: `Decoding`, what a user asks for, and `SpecialTokens`, what the model
itself says of its tokens; both out of a `generation_config.json`, without torch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from tasks import json_files
from tasks.bounds import (
    LIMITLESS,
    Bounded,
    Bounds,
    Count,
    CountOrZero,
    Positive,
    Seed,
)
from tasks.errors import UserError
from tasks.writes import Constraint, Exponent

FILE = "generation_config.json"

NEEDED = ("eos_token_id", "max_new_tokens")
OF_DRAWS = ("temperature", "top_k", "top_p")
OF_BEAMS = ("length_penalty", "early_stopping")
OF_ALL = ("repetition_penalty", "no_repeat_ngram_size", "min_new_tokens")
FOLLOWED = frozenset(("do_sample", "num_beams", *OF_DRAWS, *OF_BEAMS, *OF_ALL))
"""Fields of a generation config that say how a decoder chooses its tokens."""
USUAL_TOP_K = 50
"""What transformers takes where a config that asks for draws names no `top_k`."""
KNOWN = frozenset(
    (
        *NEEDED,
        "pad_token_id",
        "decoder_start_token_id",
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
        "cache_implementation",
        "is_multilingual",
        "max_initial_timestamp_index",
        "max_length",
        "prev_sot_token_id",
        "transformers_version",
        "use_cache",
    )
)

TokenId = Annotated[int, Bounds(0, LIMITLESS)]
UpToOne = Annotated[float, Bounds(0, 1, above=True)]


@dataclass(frozen=True)
class Decoding(Bounded):
    """How tokens are chosen; by default greedily: each is the likeliest one.

    Names and meanings are those of transformers' `GenerationConfig`. Raises `UserError` for a
    number outside its bounds, and for values that contradict each other.
    """

    max_new_tokens: Count = 128
    """tokens of a text at most, its prompt not counted"""
    min_new_tokens: CountOrZero = 0
    """tokens before which no text ends"""
    do_sample: bool = False
    """draw each token by its probability in place of taking the likeliest"""
    temperature: Positive = 1.0
    """of a draw: logits are divided by it, so that less than 1 sharpens probabilities"""
    top_k: CountOrZero = 0
    """of a draw: only the k likeliest tokens; 0: all"""
    top_p: UpToOne = 1.0
    """of a draw: only the likeliest tokens whose probabilities together reach it"""
    num_beams: Count = 1
    """texts that are kept at once, of which the one with the best score is given"""
    length_penalty: Exponent = 1.0
    """of beams: the sum of log probabilities is divided by the length to this power"""
    early_stopping: bool = False
    """of beams: end as soon as there are `num_beams` ended texts"""
    repetition_penalty: Positive = 1.0
    """divides positive logits of the tokens that the prompt and the text have, and multiplies
    negative ones; see `zoo.generation.penalties`"""
    no_repeat_ngram_size: CountOrZero = 0
    """no n tokens come twice in prompt and text, in the same order; 0: they may"""
    constraint: Constraint | None = None
    """what a text has to match"""
    stop: tuple[TokenId, ...] = ()
    """tokens that end a text, besides the model's own"""
    seed: Seed = 0
    """of a draw: the same text again, in whatever batch"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_new_tokens > self.max_new_tokens:
            raise UserError(
                f"`min_new_tokens` {self.min_new_tokens} is more than `max_new_tokens` "
                f"{self.max_new_tokens}"
            )
        if self.do_sample and self.num_beams > 1:
            raise UserError(f"`do_sample` draws one text: leave out `num_beams` {self.num_beams}")
        if not self.do_sample:
            for name, neutral in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0)):
                if (value := getattr(self, name)) != neutral:
                    raise UserError(f"`{name}` {value} is of draws: add `do_sample`")
        if not isinstance(self.early_stopping, bool):
            raise UserError(f"`early_stopping` {self.early_stopping!r} is neither True nor False")
        if self.num_beams == 1 and self.length_penalty != 1:
            raise UserError(f"`length_penalty` {self.length_penalty} is of beams: add `num_beams`")

    def fixed_length(self, tokens: int) -> Self:
        """Return a copy of this decoding for texts of exactly `tokens` tokens."""
        return dataclasses.replace(self, max_new_tokens=tokens, min_new_tokens=tokens)


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of a model's special tokens."""

    eos: tuple[int, ...]
    """those that end a text"""
    pad: int
    """what stands behind the end of a text in a batch"""
    prefix: tuple[int, ...] = ()
    """what the decoder of an encoder-decoder is given first; () where the prompt is the input"""
    suppress_tokens: tuple[int, ...] = ()
    """those that are never generated"""
    begin_suppress_tokens: tuple[int, ...] = ()
    """those that are not generated first"""
    forced_first: int | None = None
    """the one that is generated first, whatever its score"""


def combined(own: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a model with those in their place that are asked for, as fields of
    `Decoding`.

    Where the likeliest token or beams are asked for, the model's settings of a draw are left out,
    and where a draw is asked for, those of beams.
    """
    draws, beams = ("do_sample", *OF_DRAWS), ("num_beams", *OF_BEAMS)
    left_out: tuple[str, ...] = ()
    if asked.get("do_sample") is False or asked.get("num_beams", 1) > 1:
        left_out += draws
    if asked.get("do_sample") or asked.get("num_beams") == 1:
        left_out += beams
    return {name: value for name, value in own.items() if name not in left_out} | dict(asked)


def read(folder: Path) -> tuple[SpecialTokens, Decoding]:
    """Return what the `generation_config.json` of an exported encoder-decoder says.

    Raises `UserError` as `from_config` does.
    """
    return from_config(read_config(folder), folder / FILE)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the fields of a `generation_config.json`. Raises `UserError` where it can't be
    read."""
    path = folder / FILE
    try:
        return json_files.read_object(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from None


def asked_by(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a generation config that ask for something; those that begin with "_"
    are notes that transformers writes for itself."""
    return {
        name: value
        for name, value in config.items()
        if value is not None and value is not False and not name.startswith("_")
    }


def from_config(
    config: Mapping[str, Any], where: str | Path, has_encoder: bool = True
) -> tuple[SpecialTokens, Decoding]:
    """Return the special tokens and decoding that a generation config of transformers describes.

    Args:
        config: the fields of the generation config.
        where: the name of the config in error messages.
        has_encoder: whether the model is an encoder-decoder, whose decoder is given a prefix.

    Raises `UserError` for a config that asks for what is not known here, and of an encoder-decoder
    for one that needs more than greedy decoding in one language.
    """
    asked = asked_by(config)
    if has_encoder and asked.pop("num_beams", 1) != 1:
        raise UserError(f"{where} asks for beams, and only greedy decoding is known here")
    known = KNOWN if has_encoder else KNOWN.union(FOLLOWED)
    if strange := sorted(set(asked) - known):
        raise UserError(
            f"{where} asks for {strange[0]} {asked[strange[0]]!r}, which is not known here: take "
            "it out, or use `deployment` eager"
        )
    needed = ("decoder_start_token_id", *NEEDED) if has_encoder else NEEDED[:1]
    if missing := [name for name in needed if name not in asked]:
        raise UserError(f"{where} has no {missing[0]}")
    special = SpecialTokens(
        eos=ends_of(config),
        pad=pad_of(config),
        prefix=_prefix(config, where) if has_encoder else (),
        suppress_tokens=tuple(asked.get("suppress_tokens", ())),
        begin_suppress_tokens=tuple(asked.get("begin_suppress_tokens", ())),
    )
    own = settings_of(config)
    if "max_new_tokens" in asked:
        own["max_new_tokens"] = int(config["max_new_tokens"])
    try:
        return special, Decoding(**own)
    except UserError as error:
        raise UserError(f"{where} can't be followed: {error}") from None


def ends_of(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the tokens that end a text as a generation config of transformers names them."""
    eos = config.get("eos_token_id")
    return tuple(map(int, eos if isinstance(eos, list) else [] if eos is None else [eos]))


def pad_of(config: Mapping[str, Any]) -> int:
    """Return the token that pads as a generation config of transformers names it; where it names
    none it is the first that ends a text, as there, and 0 where nothing ends one."""
    pad = config.get("pad_token_id")
    return int((*ends_of(config), 0)[0] if pad is None else pad)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Decoding` that a generation config of transformers sets, but for the
    length: none where it asks for plain greedy decoding.

    Settings of draws count where the config draws, those of beams where it has several, as in
    transformers; so does the `top_k` of 50 that it then takes where the config names none.
    """
    names: tuple[str, ...] = OF_ALL
    found: dict[str, Any] = {}
    if config.get("do_sample"):
        names, found = (*names, *OF_DRAWS), {"do_sample": True, "top_k": USUAL_TOP_K}
    if config.get("num_beams") not in (None, 1):
        names = (*names, "num_beams", *OF_BEAMS)
    neutral = {each.name: each.default for each in dataclasses.fields(Decoding)}
    given = {name: config[name] for name in names if config.get(name) is not None}
    return found | {
        name: value for name, value in given.items() if name in found or value != neutral[name]
    }


def _prefix(config: Mapping[str, Any], where: str | Path) -> tuple[int, ...]:
    """Return the decoder's prefix: start, language, task and no timestamps, where defined."""
    language, task = config.get("language"), config.get("task")
    if language is None and config.get("lang_to_id"):
        raise UserError(f"{where} names no language, and it is not found out here")
    found = [config["decoder_start_token_id"]]
    try:
        if language is not None:
            found.append(config["lang_to_id"][f"<|{language}|>"])
            found.append(config["task_to_id"][task or "transcribe"])
    except (KeyError, TypeError):
        raise UserError(f"{where} has no token for {language!r} or {task!r}") from None
    if config.get("no_timestamps_token_id") is not None:
        found.append(config["no_timestamps_token_id"])
    return tuple(map(int, found))
