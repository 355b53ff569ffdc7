"""Keys and values that are written in place: what a layer of transformers would have, and no copy
of it for each token."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers.cache_utils import DynamicLayer

from tests.zoo.generation.networks import decoder, inputs_of, network
from zoo.generation import growing_cache
from zoo.generation import network as generation_network
from zoo.generation.decoding import Decoding
from zoo.generation.generate import sequences
from zoo.generation.growing_cache import GrowingLayer


def _append(layer: DynamicLayer, rng: np.random.Generator) -> None:
    rows = 3 if layer.keys is None else len(layer.keys)
    count = int(rng.integers(1, 6))
    keys, values = (rng.normal(size=(rows, 2, count, size)) for size in (4, 5))
    found = layer.update(torch.from_numpy(keys), torch.from_numpy(values))
    assert found[0] is layer.keys and found[1] is layer.values


def _reorder(layer: DynamicLayer, rng: np.random.Generator) -> None:
    rows = int(rng.integers(1, 5))
    layer.reorder_cache(torch.from_numpy(rng.integers(0, len(layer.keys), rows)))


def _take_back(layer: DynamicLayer, rng: np.random.Generator) -> None:
    layer.crop(-min(int(rng.integers(1, 4)), layer.get_seq_length() - 1))


def _cut_front(layer: DynamicLayer, rng: np.random.Generator) -> None:
    if layer.get_seq_length() > 1:
        layer.keys, layer.values = layer.keys[:, :, 1:], layer.values[:, :, 1:]


def _keep_first(layer: DynamicLayer, rng: np.random.Generator) -> None:
    layer.keys, layer.values = layer.keys[:1], layer.values[:1]


def _repeat(layer: DynamicLayer, rng: np.random.Generator) -> None:
    layer.batch_repeat_interleave(2 if len(layer.keys) < 8 else 1)


def _select(layer: DynamicLayer, rng: np.random.Generator) -> None:
    layer.batch_select_indices(torch.from_numpy(rng.integers(0, len(layer.keys), 2)))


CHANGES: tuple[Callable[[DynamicLayer, np.random.Generator], None], ...] = (
    *(_append,) * 8,
    *(_reorder, _take_back, _cut_front, _keep_first, _repeat, _select),
)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_done_to_it_it_is_a_layer_of_transformers(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_cache, "BLOCK", 5)
    theirs = DynamicLayer()
    _append(theirs, np.random.default_rng(seed))
    ours = GrowingLayer.of(theirs)
    for number, change in enumerate(np.random.default_rng(seed).choice(CHANGES, 60)):
        for layer in (theirs, ours):
            change(layer, np.random.default_rng([seed, number]))
        assert torch.equal(ours.keys, theirs.keys), (number, change.__name__)
        assert torch.equal(ours.values, theirs.values)
        assert ours.get_seq_length() == theirs.get_seq_length()
    ours.reset()
    _append(ours, np.random.default_rng(seed))


def test_a_token_is_written_in_place_and_the_rest_copied_once_a_block() -> None:
    layer, places, token = GrowingLayer(), list[int](), torch.zeros(2, 1, 1, 4)
    for _ in range(3 * growing_cache.BLOCK):
        layer.update(token, token)
        places.append(layer.keys.data_ptr())
        if len(places) % 50 == 0:  # beams go on in another order, and have room as well
            layer.reorder_cache(torch.tensor([1, 0]))
            before = layer.keys.data_ptr()
            layer.update(token, token)
            places.append(layer.keys.data_ptr())
            assert places[-1] == before
    moves = sum(one != other for one, other in itertools.pairwise(places))
    assert moves <= len(places) // growing_cache.BLOCK + len(places) // 50 + 1


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bart", "t5"])
def test_logits_and_texts_are_those_of_a_cache_that_is_copied(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_cache, "BLOCK", 3)
    model, inputs = network(kind), inputs_of(kind)
    tokens = np.random.default_rng(0).integers(8, 40, (5, 14))

    def run() -> list[np.ndarray]:
        runner = decoder(model)
        session = runner.start(inputs)
        logits = [runner.step(session, tokens[:, i : i + 1]) for i in range(7)]
        runner.reorder(session, np.array([4, 1, 1]))
        return logits + [runner.step(session, tokens[:3, i : i + 2]) for i in range(7, 13, 2)]

    def texts() -> list[np.ndarray]:
        beams = Decoding(max_new_tokens=14, num_beams=3)
        return [sequences(decoder(model), inputs), sequences(decoder(model), inputs, beams)]

    logits, written = run(), texts()
    monkeypatch.setattr(generation_network, "let_grow", lambda cache: None)
    for ours, theirs in zip(logits, run(), strict=True):  # a product rounds by where its rows lie
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    for ours, theirs in zip(written, texts(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_only_what_grows_has_room(kind: str) -> None:
    session = decoder(network(kind)).start(inputs_of(kind))
    cache = session.state["past_key_values"]
    mine = cache.self_attention_cache if kind == "t5" else cache
    assert {type(layer) for layer in mine.layers} == {GrowingLayer}
    if kind == "t5":
        assert {type(layer) for layer in cache.cross_attention_cache.layers} == {DynamicLayer}
