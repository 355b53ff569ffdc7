"""Values that say how a text is generated."""

import dataclasses
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.generation.decoding import Decoding, combined, from_config


def test_greedy_is_the_default() -> None:
    decoding = Decoding()
    assert not decoding.do_sample and decoding.num_beams == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        decoding.seed = 1  # type: ignore[misc]
    assert decoding.fixed_length(7) == Decoding(max_new_tokens=7, min_new_tokens=7)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` 0: at least 1"),
        ({"do_sample": True, "temperature": 0.0}, "`temperature` 0.0: above 0"),
        ({"do_sample": True, "temperature": float("nan")}, "`temperature` nan"),
        ({"do_sample": True, "top_p": 1.5}, "`top_p` 1.5"),
        ({"do_sample": True, "top_p": 0}, "`top_p` 0"),
        ({"top_k": -1}, "`top_k` -1: at least 0"),
        ({"num_beams": 2.5}, "`num_beams` 2.5 is no whole number"),
        ({"stop": (3, -1)}, "`stop` -1: at least 0"),
        ({"seed": -1}, "`seed` -1"),
        ({"length_penalty": float("inf")}, "`length_penalty` inf"),
        ({"length_penalty": 2000}, "`length_penalty` 2000 is outside its range, from -3 to 10"),
        ({"length_penalty": -5.0}, "`length_penalty` -5.0 is outside its range, from -3 to 10"),
        ({"max_new_tokens": 3, "min_new_tokens": 4}, "4 is more than `max_new_tokens` 3"),
        ({"do_sample": True, "num_beams": 2}, "leave out `num_beams` 2"),
        ({"temperature": 0.7}, "`temperature` 0.7 is of draws: add `do_sample`"),
        ({"top_k": 5}, "`top_k` 5 is of draws: add `do_sample`"),
        ({"length_penalty": 2.0}, "`length_penalty` 2.0 is of beams: add `num_beams`"),
        ({"num_beams": 2, "early_stopping": "never"}, "`early_stopping` 'never' is neither"),
        ({"repetition_penalty": 0}, "`repetition_penalty` 0: above 0"),
        ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` -1: at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Decoding(**fields)


def test_a_decoder_without_encoder() -> None:
    """Its prompt is its input, and several tokens may end its texts."""
    config = {"eos_token_id": [5, 6], "pad_token_id": 1, "max_new_tokens": 9}
    special, decoding = from_config(config, "here", has_encoder=False)
    assert (special.eos, special.pad, special.prefix) == ((5, 6), 1, ())
    assert decoding == Decoding(max_new_tokens=9)
    with pytest.raises(UserError, match="here has no decoder_start_token_id"):
        from_config(config, "here")


def test_an_encoder_decoder_pads_with_its_end_where_nothing_else_is_named() -> None:
    """As transformers does; other people's weights of Whisper are so."""
    config = {"eos_token_id": [7, 8], "decoder_start_token_id": 3, "max_new_tokens": 9}
    special, _ = from_config(config, "here")
    assert (special.eos, special.pad, special.prefix) == ((7, 8), 7, (3,))
    assert from_config({**config, "pad_token_id": 0}, "here")[0].pad == 0


def test_notes_of_transformers_ask_for_nothing() -> None:
    """It writes this beside a network that it made a generation config for."""
    config = {"_from_model_config": True, "eos_token_id": 5, "max_new_tokens": 9}
    special, decoding = from_config(config, "here", has_encoder=False)
    assert (special.eos, decoding) == ((5,), Decoding(max_new_tokens=9))


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({"do_sample": True}, {"do_sample": True, "top_k": 50}),
        (
            {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 0, "length_penalty": 2},
            {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 0},
        ),
        ({"temperature": 0.6, "top_k": 20}, {}),
        ({"num_beams": 4, "length_penalty": 2.0}, {"num_beams": 4, "length_penalty": 2.0}),
        (
            {"repetition_penalty": 1.05, "no_repeat_ngram_size": 3, "min_new_tokens": 2},
            {"repetition_penalty": 1.05, "no_repeat_ngram_size": 3, "min_new_tokens": 2},
        ),
    ],
)
def test_a_decoder_follows_its_config(asked: dict[str, Any], fields: dict[str, Any]) -> None:
    """As transformers does: it pads with the end where nothing else is named, takes the 50
    likeliest, and heeds settings of draws and beams only where these are asked for."""
    special, decoding = from_config({"eos_token_id": 5, **asked}, "here", has_encoder=False)
    assert (special.eos, special.pad) == ((5,), 5)
    assert decoding == Decoding(**fields)


def test_what_a_decoder_cannot_follow() -> None:
    with pytest.raises(UserError, match="here asks for typical_p 0"):
        from_config({"eos_token_id": 5, "typical_p": 0.5}, "here", has_encoder=False)
    with pytest.raises(UserError, match="here can't be followed: `temperature` 0: above 0"):
        config = {"eos_token_id": 5, "do_sample": True, "temperature": 0}
        from_config(config, "here", has_encoder=False)


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({}, {"do_sample": True, "top_p": 0.8, "repetition_penalty": 1.1}),
        ({"top_p": 0.5}, {"do_sample": True, "top_p": 0.5, "repetition_penalty": 1.1}),
        ({"do_sample": False}, {"do_sample": False, "repetition_penalty": 1.1}),
        ({"num_beams": 2}, {"num_beams": 2, "repetition_penalty": 1.1}),
    ],
)
def test_what_is_asked_for_goes_before_a_models_own(
    asked: dict[str, Any], fields: dict[str, Any]
) -> None:
    own = {"do_sample": True, "top_p": 0.8, "repetition_penalty": 1.1}
    assert combined(own, asked) == fields
    beams = {"num_beams": 4, "length_penalty": 2.0}
    assert combined(beams, {"do_sample": True}) == {"do_sample": True}
    assert combined(beams, {"num_beams": 1}) == {"num_beams": 1}
    likeliest = {"num_beams": 1, "do_sample": False}
    assert combined(own | beams, likeliest) == {"repetition_penalty": 1.1} | likeliest
