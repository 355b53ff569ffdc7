"""Penalties of what a text has already: token for token as transformers applies them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from tests.zoo.generation.networks import (
    SPECIAL,
    Inputs,
    decoder,
    inputs_of,
    network,
    of_transformers,
    trimmed,
)
from zoo.generation.decoding import Decoding
from zoo.generation.generate import sequences
from zoo.generation.penalties import Penalties
from zoo.generation.session import Session

SETTINGS: list[dict[str, Any]] = [
    {"repetition_penalty": 1.5},
    {"repetition_penalty": 0.7, "min_new_tokens": 6},
    {"no_repeat_ngram_size": 1, "min_new_tokens": 6},
    {"no_repeat_ngram_size": 2, "min_new_tokens": 6},
    {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "min_new_tokens": 9},
]
BEAMS: list[dict[str, Any]] = [{}, {"num_beams": 3}]


def _row(inputs: Inputs, row: int) -> Inputs:
    """One row without its padding, which transformers would penalise too."""
    mask = inputs["attention_mask"][row].bool()
    return {name: array[row : row + 1, mask] for name, array in inputs.items()}


@pytest.mark.parametrize("beams", BEAMS, ids=str)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_texts_are_those_of_transformers(
    kind: str, settings: dict[str, Any], beams: dict[str, Any]
) -> None:
    """Alone and, as padding does not count here, in one batch."""
    model, inputs = network(kind), inputs_of(kind)
    asked = {**settings, **beams}
    together = trimmed(sequences(decoder(model), inputs, Decoding(max_new_tokens=16, **asked)))
    theirs = [of_transformers(model, _row(inputs, row), **asked)[0] for row in range(5)]
    assert together == theirs
    assert theirs != [of_transformers(model, _row(inputs, row), **beams)[0] for row in range(5)]


def test_draws_are_penalised() -> None:
    """Nothing comes twice, and each text is the one of its number, in whatever batch."""
    runner, inputs = decoder(network("llama")), inputs_of("llama")
    decoding = Decoding(max_new_tokens=16, do_sample=True, no_repeat_ngram_size=1, seed=2)
    together = trimmed(sequences(runner, inputs, decoding))
    for row, text in enumerate(together):
        given = _row(inputs, row)
        assert trimmed(sequences(runner, given, decoding, [row])) == [text]
        assert len(set(text)) == len(text)
        assert not set(text) & set(given["input_ids"][0].tolist())
    assert sum(map(len, together)) > 10


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_tensors_are_changed_as_arrays_are(settings: dict[str, Any]) -> None:
    decoding = Decoding(**settings)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 12, 9), rng.integers(0, 12, 4)]
    scores = rng.normal(size=(4, 12)).astype(np.float32)
    written = rng.integers(0, 12, (4, 6))
    with torch.inference_mode():
        tensor = torch.from_numpy(scores.copy())
    found = Penalties(decoding, prompts)(tensor, written)
    assert found.dtype == torch.float32 and torch.equal(tensor, torch.from_numpy(scores))
    np.testing.assert_array_equal(found.numpy(), Penalties(decoding, prompts)(scores, written))


@pytest.mark.parametrize("more", [{}, {"do_sample": True}, {"num_beams": 2}], ids=str)
@pytest.mark.parametrize("is_tensor", [False, True])
def test_where_no_token_is_left_the_text_ends(more: dict[str, Any], is_tensor: bool) -> None:
    """All but two of the nine tokens stand in the prompt, which has the ends among them."""
    runner, given = Alike(is_tensor), {"input_ids": np.array([[3, 4, 5, 6, 0, 2, 7]])}
    decoding = Decoding(max_new_tokens=9, no_repeat_ngram_size=1, **more)
    assert sorted(sequences(runner, given, decoding)[0].tolist()) == [1, 8]


class Alike:
    """A model to which all of nine tokens are alike."""

    special_tokens, decoding = SPECIAL, Decoding()

    def __init__(self, is_tensor: bool) -> None:
        self.is_tensor = is_tensor

    def start(self, inputs: Mapping[str, Any]) -> Session:
        return Session(self._scores(1)[:, -1], {})

    def step(self, session: Session, tokens: np.ndarray) -> Any:
        return self._scores(len(tokens))

    def reorder(self, session: Session, rows: np.ndarray) -> None:
        session.logits = session.logits[rows]

    def _scores(self, rows: int) -> Any:
        scores = np.zeros((rows, 1, 9), np.float32)
        return torch.from_numpy(scores) if self.is_tensor else scores
