"""Beams, which must end where those of transformers do."""

from typing import Any

import numpy as np
import pytest

from tests.zoo.generation.networks import decoder, inputs_of, network, of_transformers, trimmed
from zoo.generation.beam_search import largest
from zoo.generation.decoding import Decoding
from zoo.generation.generate import generate, sequences

SETTINGS: list[dict[str, Any]] = [
    {"num_beams": 2},
    {"num_beams": 4, "length_penalty": 0.0},
    {"num_beams": 4, "length_penalty": 2.5},
    {"num_beams": 3, "length_penalty": -1.0, "early_stopping": True},
    {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True, "min_new_tokens": 5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["gpt2", "llama", "bart", "speech_to_text"])
def test_texts_are_those_of_transformers(kind: str, settings: dict[str, Any]) -> None:
    model, inputs = network(kind), inputs_of(kind)
    ours = sequences(decoder(model), inputs, Decoding(max_new_tokens=16, **settings))
    assert trimmed(ours) == of_transformers(model, inputs, **settings)


def test_the_settings_matter() -> None:
    """Else the comparison above would show less than it seems to."""
    runner, inputs = decoder(network("gpt2")), inputs_of("gpt2")
    given = [{}, *SETTINGS]
    texts = [sequences(runner, inputs, Decoding(max_new_tokens=16, **one)) for one in given]
    assert len({str(trimmed(one)) for one in texts}) == len(given)


def test_more_beams_than_tokens() -> None:
    """Beams over the whole tree find the best text there is."""
    model, inputs = network("gpt2"), inputs_of("gpt2", rows=2)
    ours = sequences(decoder(model), inputs, Decoding(max_new_tokens=2, num_beams=100))
    assert trimmed(ours) == of_transformers(model, inputs, num_beams=100, max_new_tokens=2)


def test_beams_come_column_by_column() -> None:
    runner, inputs = decoder(network("bart")), inputs_of("bart")
    decoding = Decoding(max_new_tokens=16, num_beams=2)
    columns = list(generate(runner, inputs, decoding))
    np.testing.assert_array_equal(np.stack(columns, 1), sequences(runner, inputs, decoding))


def test_largest() -> None:
    scores = np.array([[1.0, 3.0, 2.0, 3.0], [-np.inf, 0.0, -1e9, 5.0]])
    assert largest(scores, 2).tolist() == [[1, 3], [3, 1]]
    assert largest(scores, 4).tolist() == [[1, 3, 2, 0], [3, 1, 2, 0]]
