"""Networks with a cache, decoder-only and encoder-decoder, padded: as transformers generates."""

import dataclasses
from typing import Any

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
from zoo.generation.network import NetworkDecoder, NetworkTargetWriter, PromptWriter
from zoo.generation.writer import left_padded


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


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(("kind", "forced"), [("bart", None), ("bart", 9), ("t5", None)])
def test_texts_from_sources(kind: str, forced: int | None, beams: int) -> None:
    """Among them those that all begin with a token, which counts where beams are compared."""
    model, inputs = network(kind), inputs_of(kind)
    model.generation_config.suppress_tokens = [PAD]
    model.generation_config.forced_bos_token_id = forced
    begins = [] if forced is None else [forced]
    limit = 12 - len(begins)
    theirs = of_transformers(model, inputs, max_new_tokens=12, num_beams=beams)
    assert len({tuple(text) for text in theirs}) > 1, "texts too much alike"
    write = NetworkTargetWriter(model)
    assert [begins + text for text in write(inputs, limit, beams)] == theirs
    for row in range(2):
        [alone] = write({name: each[row : row + 1] for name, each in inputs.items()}, limit, beams)
        assert begins + alone == theirs[row]


PROMPTS = [[11, 12, 13, 14, 15, 16, 17], [30], [21, 22, 23], [31, 32, 33, 34]]
DRAWN = {"do_sample": True, "temperature": 0.9, "top_k": 30, "seed": 4}
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": DRAWN,
    "penalties": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 2},
    "drawn with penalties": {**DRAWN, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3},
    "beams": {"num_beams": 3, "length_penalty": 2.0},
    "beams with penalties": {"num_beams": 2, "no_repeat_ngram_size": 2, "repetition_penalty": 1.1},
}


def written(
    writer: PromptWriter, chosen: list[int], limits: list[int], settings: dict[str, Any]
) -> list[list[int]]:
    """The tokens behind some of PROMPTS, in one batch."""
    given = [PROMPTS[i] for i in chosen]
    special = (ENDS, PAD)
    columns = list(writer(given, [limits[i] for i in chosen], special, chosen, settings))
    texts = [[int(column[row]) for column in columns] for row in range(len(chosen))]
    for text in texts:
        assert -1 not in text or set(text[text.index(-1) :]) == {-1}, "what has ended stays so"
    return [[token for token in text if token >= 0] for text in texts]


CASES = [*((name, False) for name in SETTINGS), ("greedy", True), ("drawn with penalties", True)]


@pytest.mark.parametrize(("name", "drafted"), CASES)
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_text_does_not_depend_on_its_batch(kind: str, name: str, drafted: bool) -> None:
    """Prompts padded on the left, which end at different steps; in any order, and alone."""
    settings = SETTINGS[name]
    writer = PromptWriter(network(kind), 48)
    if drafted:
        writer.draft = PromptWriter(network(kind, seed=2), 48)
    limits = [3, 16, 9, 12]
    together = written(writer, [0, 1, 2, 3], limits, settings)
    assert [len(text) <= limit for text, limit in zip(together, limits, strict=True)] == [True] * 4
    assert len({len(text) for text in together}) > 1
    rng = np.random.default_rng(0)
    for size in (1, 1, 2, 3):
        chosen = rng.permutation(4)[:size].tolist()
        assert written(writer, chosen, limits, settings) == [together[i] for i in chosen]
    if "drawn" in name:
        assert written(writer, [0, 1, 2, 3], limits, {**settings, "seed": 5}) != together


def test_a_long_prompt_beside_a_short_one_stays_within_its_places() -> None:
    """Rows that have ended are computed beside others, at no place that there is none of."""
    model = network("gpt2")
    model.generation_config.eos_token_id = None
    writer = PromptWriter(model, 48)
    prompts = [list(range(8, 38)) + list(range(8, 24)), [9]]  # of 46 and of 1 token
    columns = list(writer(prompts, [2, 47], ((39,), 39), [0, 1], {}))
    alone = list(writer(prompts[1:], [47], ((39,), 39), [1], {}))
    assert [column[0] >= 0 for column in columns[2:]] == [False] * (len(columns) - 2)
    assert [int(column[1]) for column in columns] == [int(column[0]) for column in alone]
    assert len(columns) > 2, "the short one goes on"


def test_prompts_are_padded_on_the_left() -> None:
    inputs = left_padded([[5, 6, 7], [8]], 1)
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [1, 1, 8]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
