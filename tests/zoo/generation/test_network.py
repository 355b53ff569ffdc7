"""Networks with a cache, decoder-only and encoder-decoder, padded: as transformers generates."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.zoo.generation.networks import (
    ENDS,
    KINDS,
    PAD,
    decoder,
    inputs_of,
    network,
    of_transformers,
    trimmed,
)
from zoo.generation.decoding import Decoding
from zoo.generation.generate import sequences
from zoo.generation.network import NetworkDecoder


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_texts_are_those_of_transformers(kind: str) -> None:
    model, inputs = network(kind), inputs_of(kind)
    theirs = of_transformers(model, inputs)
    assert len(set(map(tuple, theirs))) > 2, "texts too much alike"
    ours = sequences(decoder(model), inputs)
    assert trimmed(ours) == theirs
    assert ours.shape == (5, max(map(len, theirs)))
    assert not np.isin(ours, ENDS).any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "speech_to_text"])
def test_padding_changes_no_text(kind: str) -> None:
    """But where convolutions go over the border of a sound and its padding."""
    runner = decoder(network(kind))
    inputs = inputs_of(kind)
    together = trimmed(sequences(runner, inputs))
    for row, text in enumerate(together):
        mask = inputs["attention_mask"][row].bool()
        alone = {name: array[row : row + 1, mask] for name, array in inputs.items()}
        assert trimmed(sequences(runner, alone)) == [text]
        del alone["attention_mask"]
        assert trimmed(sequences(runner, alone)) == [text]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_give_the_logits_of_one_pass(kind: str) -> None:
    """Tokens one by one, several at once, and rows put in another order in between."""
    model, inputs = network(kind), inputs_of(kind)
    runner = decoder(model)
    tokens = np.random.default_rng(0).integers(8, 40, (5, 5))
    order = np.array([3, 0, 0, 4])
    session = runner.start(inputs)
    first = np.concatenate(
        [runner.step(session, tokens[:, :1]), runner.step(session, tokens[:, 1:3])], 1
    )
    runner.reorder(session, order)
    later = runner.step(session, tokens[order, 3:])

    given = torch.from_numpy(tokens)
    if model.config.is_encoder_decoder:
        prefix = torch.full((5, 1), runner.special_tokens.prefix[0])
        whole = model(**inputs, decoder_input_ids=torch.cat([prefix, given], 1)).logits
    else:
        mask = torch.cat([inputs["attention_mask"], torch.ones_like(given)], 1)
        places = (mask.cumsum(1) - 1).clamp(min=0)
        ids = torch.cat([inputs["input_ids"], given], 1)
        whole = model(input_ids=ids, attention_mask=mask, position_ids=places).logits[:, 8:]
    wanted = whole.detach().numpy()
    np.testing.assert_allclose(session.logits, wanted[:, 0], atol=1e-4)
    np.testing.assert_allclose(first, wanted[:, 1:4], atol=1e-4)
    np.testing.assert_allclose(later, wanted[order, 4:], atol=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_what_its_generation_config_says(kind: str) -> None:
    runner = NetworkDecoder.of(network(kind))
    assert runner.special_tokens == decoder(runner.model).special_tokens
    assert runner.special_tokens.pad == PAD and runner.decoding == Decoding(max_new_tokens=16)


def test_what_is_suppressed_is_what_transformers_suppresses() -> None:
    model, inputs = network("bart"), inputs_of("bart")
    often = sequences(decoder(model), inputs)
    first, later = often[0, 0].item(), [int(often[0, 2]), int(often[1, 3])]
    options = {"suppress_tokens": later, "begin_suppress_tokens": [first], "min_new_tokens": 12}
    theirs = of_transformers(model, inputs, **options)
    assert theirs != trimmed(often) and min(map(len, theirs)) >= 12
    runner = decoder(model)
    runner.special_tokens = dataclasses.replace(
        runner.special_tokens, suppress_tokens=tuple(later), begin_suppress_tokens=(first,)
    )
    ours = sequences(runner, inputs, Decoding(max_new_tokens=16, min_new_tokens=12))
    assert trimmed(ours) == theirs
