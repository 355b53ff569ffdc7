"""The loop: where texts end, what is streamed when, and draws."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from tests.zoo.generation.networks import decoder, inputs_of, network
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.generate import draw, generate, sequences, softmax, warp
from zoo.generation.network import NetworkDecoder
from zoo.generation.session import Session, Suppression


class Script:
    """Says what it is told to, whatever it is given; 8 would be likelier still."""

    def __init__(self, said: list[list[int]], special: SpecialTokens) -> None:
        self.said, self.special_tokens = np.array(said), special
        self.decoding = Decoding(max_new_tokens=self.said.shape[1])
        self.given: list[list[int]] = []

    def start(self, inputs: Mapping[str, Any]) -> Session:
        return Session(self._logits(), {})

    def step(self, session: Session, tokens: np.ndarray) -> np.ndarray:
        self.given.append(tokens[:, 0].tolist())
        return self._logits()[:, None]

    def reorder(self, session: Session, rows: np.ndarray) -> None:
        raise AssertionError

    def _logits(self) -> np.ndarray:
        logits = np.zeros((len(self.said), 10), np.float32)
        logits[np.arange(len(self.said)), self.said[:, len(self.given)]] = 1
        logits[:, 8] = 2
        return logits


SPECIAL = SpecialTokens(eos=(3,), pad=4, suppress_tokens=(8, 99))
INPUTS = {"x": np.zeros((3, 1))}


def test_greedy_decoding() -> None:
    """Rows that end at once, later, and never; an end that is padded with another token."""
    script = Script([[3, 9, 9, 9], [1, 2, 3, 9], [2, 2, 2, 2]], SPECIAL)
    texts = sequences(script, INPUTS)
    assert texts.tolist() == [[4, 4, 4, 4], [1, 2, 4, 4], [2, 2, 2, 2]]
    assert script.given == [[4, 1, 2], [4, 2, 2], [4, 4, 2]]


def test_a_token_is_there_before_the_next_is_computed() -> None:
    script = Script([[1, 2, 3], [1, 2, 2], [5, 6, 7]], SPECIAL)
    tokens = generate(script, INPUTS)
    assert next(tokens).tolist() == [1, 1, 5] and script.given == []
    assert next(tokens).tolist() == [2, 2, 6] and script.given == [[1, 1, 5]]
    assert next(tokens).tolist() == [4, 2, 7] and len(script.given) == 2
    assert list(tokens) == [] and len(script.given) == 2  # none is computed in vain


def test_it_ends_when_all_have_ended() -> None:
    script = Script([[1, 3, 5, 5], [3, 5, 5, 5], [1, 6, 6, 6]], SPECIAL)
    texts = sequences(script, INPUTS, Decoding(max_new_tokens=4, stop=(6,)))
    assert texts.tolist() == [[1], [4], [1]] and len(script.given) == 1
    script = Script([[3, 1], [3, 1], [3, 1]], SPECIAL)
    assert sequences(script, INPUTS).shape == (3, 0)


def test_texts_of_a_fixed_length() -> None:
    """The end is not heeded, and the next best token comes in its place."""
    script = Script([[3, 1, 3], [3, 3, 3], [1, 1, 1]], SPECIAL)
    texts = sequences(script, INPUTS, script.decoding.fixed_length(3))
    assert texts.tolist() == [[0, 1, 0], [0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_tensors_are_suppressed_as_arrays_are(position: int) -> None:
    special = SpecialTokens((3,), 4, suppress_tokens=(8, 99), begin_suppress_tokens=(0, 5))
    suppression = Suppression(special, Decoding(max_new_tokens=9, min_new_tokens=2), 10)
    scores = np.arange(20, dtype=np.float32).reshape(2, 10)
    with torch.inference_mode():
        tensor = torch.from_numpy(scores.copy())
    found = suppression(tensor, position)  # of inference mode, and outside of it
    np.testing.assert_array_equal(found.numpy(), suppression(scores, position))
    banned = {0: {0, 3, 5, 8}, 1: {3, 8}, 2: {8}}[position]
    assert set(np.flatnonzero(np.isinf(scores[0]))) == banned


WARPS: list[dict[str, Any]] = [
    {"temperature": 0.3},
    {"top_k": 1},
    {"top_k": 7},
    {"top_p": 0.6},
    {"temperature": 1.7, "top_k": 20, "top_p": 0.9},
    {"top_k": 1000, "top_p": 0.01},
]


@pytest.mark.parametrize("settings", WARPS, ids=str)
def test_temperature_top_k_and_top_p_are_those_of_transformers(settings: dict[str, Any]) -> None:
    from transformers.generation import (
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    kinds = {
        "temperature": TemperatureLogitsWarper,
        "top_k": TopKLogitsWarper,
        "top_p": TopPLogitsWarper,
    }
    warpers = LogitsProcessorList(kinds[name](value) for name, value in settings.items())
    scores = np.random.default_rng(0).normal(0, 3, (50, 60)).astype(np.float32)
    scores[0, 5:7] = np.sort(scores[0])[-7]  # a tie at the border
    theirs = warpers(None, torch.from_numpy(scores)).numpy()
    np.testing.assert_allclose(warp(scores, Decoding(do_sample=True, **settings)), theirs, 1e-6)


@pytest.mark.parametrize("temperature", [1e-38, 1e-45, 1e-300])
def test_a_temperature_near_0_draws_the_likeliest(temperature: float) -> None:
    scores = np.array([[1, 2, 9, 8.99], [-1e4, -np.inf, -2e4, -3e4]], np.float32)
    decoding = Decoding(do_sample=True, temperature=temperature)
    assert draw(scores, decoding, np.array([0.5, 0.999])).tolist() == [2, 0]


def test_draws_have_the_probabilities_of_the_scores() -> None:
    """Every number in [0, 1) once: a token's share of them is its probability."""
    scores = np.array([[0.0, 1.0, -np.inf, 2.0, -1.0]], np.float32)
    n = 10_000
    grid = (np.arange(n) + 0.5) / n
    for settings in ({}, {"temperature": 0.5}, {"top_k": 2}):
        decoding = Decoding(do_sample=True, **settings)
        drawn = draw(np.repeat(scores, n, 0), decoding, grid)
        shares = np.bincount(drawn, minlength=5) / n
        np.testing.assert_allclose(shares, softmax(warp(scores, decoding))[0], atol=1e-4)
    most = np.array([1 - 2**-53])
    assert draw(scores, Decoding(do_sample=True), most) == 4
    assert draw(scores, Decoding(do_sample=True), np.zeros(1)) == 0


class Tensors(NetworkDecoder):
    """Gives tensors of inference mode, as a network on a GPU does."""

    def start(self, inputs: Mapping[str, Any]) -> Session:
        session = super().start(inputs)
        with torch.inference_mode():
            session.logits = torch.tensor(session.logits)
        return session

    def step(self, session: Session, tokens: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return torch.tensor(super().step(session, tokens))


@pytest.mark.parametrize("settings", [{}, {"do_sample": True}, {"num_beams": 3}], ids=str)
def test_logits_may_be_tensors(settings: dict[str, Any]) -> None:
    runner, inputs = decoder(network("bart")), inputs_of("bart")
    special = dataclasses.replace(runner.special_tokens, suppress_tokens=(9, 21))
    decoding = Decoding(max_new_tokens=16, min_new_tokens=3, **settings)
    ours, theirs = (
        sequences(kind(runner.model, special, decoding), inputs)
        for kind in (Tensors, NetworkDecoder)
    )
    np.testing.assert_array_equal(ours, theirs)


DRAWN = Decoding(max_new_tokens=12, do_sample=True, temperature=0.8, top_k=30, seed=5)


def test_a_draw_follows_from_seed_sample_and_position() -> None:
    """Not from the batch."""
    runner, inputs = decoder(network("gpt2")), inputs_of("gpt2")
    ids = [40, 3, 7, 100, 2]
    together = sequences(runner, inputs, DRAWN, ids)
    np.testing.assert_array_equal(sequences(runner, inputs, DRAWN, ids), together)
    for row, number in enumerate(ids):
        mask = inputs["attention_mask"][row].bool()
        alone = {name: array[row : row + 1, mask] for name, array in inputs.items()}
        (text,) = sequences(runner, alone, DRAWN, [number])
        np.testing.assert_array_equal(text, together[row][: len(text)])
        assert (together[row][len(text) :] == 0).all()
    others = [sequences(runner, inputs, DRAWN, [0, 1, 2, 3, 4])]
    others += [
        sequences(runner, inputs, Decoding(12, do_sample=True, seed=seed)) for seed in (5, 6)
    ]
    assert len({other.tobytes() for other in (together, *others)}) == 4


def test_rows_and_positions_are_drawn_apart() -> None:
    """The same prompt many times: first tokens are shared out by their probabilities, and what
    comes second does not depend on the draw of the first."""
    runner, n = decoder(network("gpt2")), 1500
    ids = inputs_of("gpt2", rows=1)["input_ids"].repeat(n, 1)
    decoding = Decoding(max_new_tokens=2, min_new_tokens=2, do_sample=True, temperature=2.0)
    texts = sequences(runner, {"input_ids": ids}, decoding)
    logits = runner.start({"input_ids": ids[:1]}).logits
    logits[:, list(runner.special_tokens.eos)] = -np.inf
    wanted = softmax(warp(logits, decoding))[0]
    found = np.bincount(texts[:, 0], minlength=40)
    often = wanted * n >= 5
    chi2 = (((found - wanted * n) ** 2) / np.maximum(wanted * n, 1e-9))[often].sum()
    assert (
        often.sum() > 10 and chi2 < 2.2 * often.sum()
    )  # a chance of about 1e-4; the seed is fixed
    second = texts[texts[:, 0] == found.argmax(), 1]
    assert len(np.unique(second)) > 5
