"""Texts that grow: what is sure of them, where they end, and how they are drawn."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from tasks.errors import UserError
from tasks.nlp.writing import GrowingText, Writing


def _bytes(ids: Sequence[int]) -> str:
    """Tokens are bytes, as a byte-level tokenizer decodes them."""
    return bytes(ids).decode("utf-8", "replace")


def _grown(content: bytes, stop: tuple[str, ...] = (), limit: int = 99) -> tuple[list[str], Any]:
    text = GrowingText(_bytes, stop, limit)
    seen = []
    for token in content:
        text.add(token)
        seen.append(text.text)
    text.add(None)
    return [*seen, text.text], text.finish_reason


def test_half_a_character_is_held_back() -> None:
    seen, reason = _grown("né€".encode())
    assert seen == ["n", "n", "né", "né", "né", "né€", "né€"] and reason == "stop"


def test_what_is_no_character_is_shown_in_the_end() -> None:
    seen, _ = _grown(b"a\xff")
    assert seen == ["a", "a", "a\ufffd"]


@pytest.mark.parametrize(
    ("content", "stop", "text"),
    [
        (b"one. two", (".",), "one"),
        (b"a\n\nb", ("\n\n",), "a"),
        (b"a\nb\n\n", ("\n\n",), "a\nb"),
        (b"ab abc", ("abc",), "ab "),
        (b"xyz", ("yz", "xy"), ""),
        (b"ab", ("abc",), "ab"),
    ],
)
def test_a_stop_ends_it_and_is_left_out(content: bytes, stop: tuple[str, ...], text: str) -> None:
    seen, reason = _grown(content, stop)
    assert seen[-1] == text and reason == "stop"
    for earlier, later in itertools.pairwise(seen):
        assert later.startswith(earlier), "what was sure never changes"


def test_it_is_as_long_as_it_may_be() -> None:
    seen, reason = _grown(b"abcdef", limit=3)
    assert seen[-1] == "abc" and reason == "length"
    seen, reason = _grown(b"ab.", stop=(".",), limit=3)
    assert seen[-1] == "ab" and reason == "stop"


@pytest.mark.parametrize(
    ("asked", "settings"),
    [
        ({}, {}),
        ({"temperature": 0.0, "seed": 3}, {"do_sample": False}),
        ({"seed": 3}, {"do_sample": True, "seed": 3}),
        ({"temperature": 0.7}, {"do_sample": True, "temperature": 0.7}),
        ({"top_k": 5, "top_p": 0.9}, {"do_sample": True, "top_k": 5, "top_p": 0.9}),
    ],
)
def test_when_tokens_are_drawn(asked: dict[str, Any], settings: dict[str, Any]) -> None:
    assert Writing(**asked).settings == settings


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stop": (".", "")}, "`stop` has an empty text"),
        ({"temperature": 0.0, "top_k": 5}, "`temperature` 0 takes .* `top_k` is of a draw"),
        ({"max_new_tokens": 0}, "`max_new_tokens` 0: at least 1"),
        ({"top_p": 0.0}, "`top_p` 0.0"),
        ({"temperature": -1.0}, "`temperature` -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Writing(**asked)
