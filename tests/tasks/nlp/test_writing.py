"""Texts that grow: what is sure of them, where they end, and how they are drawn."""

import itertools
import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tasks.errors import UserError
from tasks.nlp.writing import GrowingText, Writing, behind


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


PIECES = ("我们", "走。好", "吧", "a", "b.\n", "\nc", "end of", " text")


def _pieces(ids: Sequence[int]) -> str:
    return "".join(PIECES[i] for i in ids)


@pytest.mark.parametrize(
    ("ids", "stop", "text"),
    [
        ((0, 1, 2), ("。",), "我们走"),  # inside of a token
        ((0, 1, 2), ("好吧",), "我们走。"),  # over two
        ((3, 4, 5), ("\n\n",), "ab."),
        ((3, 6, 7, 0), ("of text我", "never"), "aend "),  # over three
        (
            (6, 7),
            ("of text", "end of text"),
            "",
        ),  # the one that begins first, of two that end at once
    ],
)
def test_a_stop_is_cut_off_exactly(ids: Sequence[int], stop: tuple[str, ...], text: str) -> None:
    growing = GrowingText(_pieces, stop, 99)
    seen = []
    for token in ids:
        growing.add(token)
        seen.append(growing.text)
    assert growing.text == text and growing.finish_reason == "stop"
    assert all(text.startswith(earlier) for earlier in seen)


def _tokenizer(kind: str) -> Any:
    """A tokenizer of five tokens, which leaves out the blank at the beginning of what it decodes,
    but for that of bytes."""
    from tokenizers import Tokenizer, decoders, models

    words = {
        "metaspace": ["▁The", "▁cat", "s", "▁", "."],
        "llama": ["▁The", "▁cat", "s", "▁▁", "."],
        "bytes": ["The", "Ġcat", "s", "Ġ", "."],
    }[kind]
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer = Tokenizer(models.WordLevel(dict(zip(words, range(5), strict=True)), "."))
    tokenizer.decoder = {
        "metaspace": decoders.Metaspace(),
        "llama": decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)]),
        "bytes": decoders.ByteLevel(),
    }[kind]
    return tokenizer


@pytest.mark.parametrize("kind", ["metaspace", "llama", "bytes"])
def test_the_blank_before_the_first_word_is_kept(kind: str) -> None:
    tokenizer = _tokenizer(kind)
    for ids in ([1, 2, 4], [2, 1], [3, 1], [4], [1, 3, 2]):
        whole = tokenizer.decode([0, *ids])
        assert whole == "The" + behind(0, tokenizer.decode)(ids)
    assert behind(0, tokenizer.decode)([]) == ""


@pytest.mark.parametrize("stop", [(), ("catcat",)], ids=["endless", "stop"])
@pytest.mark.parametrize("kind", ["metaspace", "llama", "bytes"])
def test_of_a_long_text_what_is_new_alone_is_decoded(kind: str, stop: tuple[str, ...]) -> None:
    decode, counts = behind(0, _tokenizer(kind).decode), []

    def counted(ids: Sequence[int]) -> str:
        counts.append(len(ids))
        return decode(ids)

    draws = random.Random(0)
    ids = [draws.choice((1, 2, 3, 3, 4)) for _ in range(300)]
    text = GrowingText(counted, stop, 1000)
    for length, token in enumerate(ids, 1):
        text.add(token)
        whole = decode(ids[:length])
        assert whole.startswith(text.text) and len(whole) - len(text.text) < 6
        assert stop or text.text == whole
    text.add(None)
    assert text.text == decode(ids) and sum(counts) < 12 * len(ids)


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
        ({"num_beams": 3, "temperature": 0.0}, {"num_beams": 3, "do_sample": False}),
        ({"repetition_penalty": 1.0}, {"repetition_penalty": 1.0}),
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
        ({"num_beams": 2, "seed": 1}, "`seed` is of a draw, and `num_beams` 2 draw nothing"),
        ({"num_beams": 0}, "`num_beams` 0: at least 1"),
        ({"top_p": [0.9]}, r"`top_p` \[0.9\] is no number"),
        ({"seed": [3]}, r"`seed` \[3\] is no whole number"),
        ({"max_new_tokens": [5]}, r"`max_new_tokens` \[5\] is no whole number"),
        ({"min_new_tokens": 9, "max_new_tokens": 8}, "`min_new_tokens` 9 is more than"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Writing(**asked)


def test_a_constraint_wants_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(UserError, match="`regex` and `json_schema` need the package llguidance"):
        Writing(regex="a+").settings_for(None)
    assert Writing(temperature=0.5).settings_for(None) == Writing(temperature=0.5).settings
