"""Texts that match a regular expression or a JSON schema, by the package llguidance (an extra).

Willard and Louf 2023, "Efficient Guided Generation for Large Language Models": before each token
those are ruled out behind which no text could match. llguidance finds them by a lexer and an Earley
parser over bytes, for any tokenizer whose tokens are bytes.
"""

import copy
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks import json_files
from tasks.errors import UserError, shortened

AS_JSON_DUMPS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""The only blanks in JSON: a small model would write nothing but blanks where any are allowed."""


def grammar_of(regex: str | None, json_schema: str | None) -> str | None:
    """Return the grammar of the texts that match; None where nothing is asked for.

    Args:
        regex: a regular expression in the syntax of Rust's crate regex, which the whole text
            matches.
        json_schema: a JSON schema, as text.

    Raises `UserError` where both are given, for one that can't be read, and where llguidance is not
    installed.
    """
    if regex is None and json_schema is None:
        return None
    if regex is not None and json_schema is not None:
        raise UserError("give `regex` or `json_schema`, not both")
    matcher = _library().LLMatcher
    if regex is not None:
        _must_be_text(regex)
        grammar: str = matcher.grammar_from_regex(regex)
        name, asked = "regex", repr(regex)
    else:
        assert json_schema is not None
        _must_be_schema(json_schema)
        grammar = matcher.grammar_from_json_schema(json_schema, overrides=AS_JSON_DUMPS)
        name, asked = "json_schema", shortened(json_schema)
    if fault := matcher.validate_grammar(grammar):
        raise UserError(f"`{name}` {asked} can't be matched: {_one_line(fault)}")
    return grammar


def schema_of(asked: str) -> str:
    """Return a JSON schema that is given as text, or as the name of a file: for a person's own
    command line, and for no one else, whom files are not to be read for.

    Raises `UserError` for a file that can't be read.
    """
    if asked.lstrip().startswith("{"):
        return asked
    try:
        return json.dumps(json_files.read_object(Path(asked)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"`json_schema` {asked} can't be read: {reason}") from None


def _must_be_text(regex: str) -> None:
    try:
        regex.encode()
    except UnicodeEncodeError:
        raise UserError(f"`regex` {shortened(ascii(regex))} is not UTF-8 text") from None


def _must_be_schema(asked: str) -> None:
    try:
        asked.encode()
        schema = json_files.parse(asked, strict=True)
    except UnicodeEncodeError:
        raise UserError(f"`json_schema` {shortened(ascii(asked))} is not UTF-8 text") from None
    except ValueError as error:
        raise UserError(f"`json_schema` {shortened(asked)} is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise UserError(f"`json_schema` {shortened(asked)} is no JSON object")


def _one_line(fault: str) -> str:
    """Return an error of llguidance in one line, without the state of its parser."""
    lines = [line.strip() for line in fault.splitlines()]
    return next((line for line in lines if line.startswith("error: ")), lines[0])


def _library() -> Any:
    try:
        import llguidance
    except ImportError:
        raise UserError(
            "`regex` and `json_schema` need the package llguidance",
            hint="pip install -e '.[constrained]'",
        ) from None
    return llguidance


class Constraint:
    """What texts have to match; satisfies `tasks.writes.Constraint`."""

    def __init__(self, grammar: str, tokenizer: Any) -> None:
        """Take what `grammar_of` gives, and a tokenizer with a `backend_tokenizer` of tokenizers.

        Raises `UserError` for a tokenizer whose tokens are no bytes.
        """
        self._grammar, self._tokens = grammar, _tokens_of(tokenizer)

    def start(self) -> "TextMatcher":
        """Return what follows an empty text."""
        return TextMatcher(_library().LLMatcher(self._tokens, self._grammar, log_level=0))


class TextMatcher:
    """A text that has to match; satisfies `tasks.writes.Matcher`."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher
        self._read: list[int] = []

    def allowed(self, tokens: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return which tokens may follow a text: bool [n]; none from n on. Behind one that does
        not match, as a text that has ended and is padded, it is none: n is 0.

        Raises `UserError` for what is too complex to match.
        """
        same = 0
        while same < min(len(self._read), len(tokens)) and self._read[same] == tokens[same]:
            same += 1
        if same < len(self._read):
            self._matcher.rollback(len(self._read) - same)
            del self._read[same:]
        new = list(tokens[same:])
        if self._matcher.validate_tokens(new) < len(new):
            return np.ones(0, bool)
        self._matcher.consume_tokens(new)
        self._read += new
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            fault = _one_line(self._matcher.get_error())
            raise UserError(f"`regex` or `json_schema` can't be followed: {fault}")
        return np.unpackbits(bits, bitorder="little").astype(bool)


@lru_cache(maxsize=4)
def _tokens_of(tokenizer: Any) -> Any:
    """Return a tokenizer as llguidance reads it; a large one takes a second."""
    backend = copy.copy(tokenizer.backend_tokenizer)
    backend.no_padding()
    backend.no_truncation()
    try:
        return _library().LLTokenizer(backend.to_str(), eos_token=tokenizer.eos_token_id)
    except ValueError as error:
        raise UserError(
            f"`regex` and `json_schema` can't be followed with this tokenizer: {error}"
        ) from None
