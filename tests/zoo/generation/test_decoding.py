"""Values that say how a text is generated."""

import dataclasses
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.generation.decoding import Decoding, from_config


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
        ({"max_new_tokens": 3, "min_new_tokens": 4}, "4 is more than `max_new_tokens` 3"),
        ({"do_sample": True, "num_beams": 2}, "leave out `num_beams` 2"),
        ({"temperature": 0.7}, "`temperature` 0.7 is of draws: add `do_sample`"),
        ({"top_k": 5}, "`top_k` 5 is of draws: add `do_sample`"),
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
