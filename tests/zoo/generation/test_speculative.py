"""A draft guesses tokens: the text is the same as without, whatever it guesses."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import UserError
from tests.zoo.generation.networks import decoder, inputs_of, network, trimmed
from zoo.generation.decoding import Decoding
from zoo.generation.generate import generate
from zoo.generation.network import PromptWriter
from zoo.generation.speculative import Acceptance, speculate

SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "seed": 3},
    "penalties": {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "min_new_tokens": 5},
}


def _texts(model: Any, draft: Any, settings: dict[str, Any], limits: list[int]) -> Acceptance:
    """Asserts that a draft changes nothing; returns what came of it."""
    inputs, acceptance = inputs_of("gpt2"), Acceptance()
    inputs["input_ids"] = inputs["input_ids"].clamp(max=32)
    decoding = Decoding(max_new_tokens=20, **settings)
    ids = [4, 5, 6, 7, 8]
    found = speculate(decoder(model), decoder(draft), inputs, decoding, ids, limits, acceptance)
    expected = list(generate(decoder(model), inputs, decoding, ids, limits))
    assert trimmed(np.stack(list(found), 1)) == trimmed(np.stack(expected, 1))
    return acceptance


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_text_is_the_same(kind: str, name: str) -> None:
    model, limits = network(kind), [20, 1, 7, 20, 12]
    strange = _texts(model, network(kind, seed=2), SETTINGS[name], limits)
    own = _texts(model, model, SETTINGS[name], limits)
    assert own.accepted > 2 * strange.accepted and own.passes < strange.passes
    assert own.passes < 25, "five tokens a pass, where nothing ends"
    assert "guessed tokens were accepted" in str(own) and "tokens a pass" in str(own)


@pytest.mark.parametrize("size", [33, 64])
def test_a_draft_may_pad_its_vocabulary_otherwise(size: int) -> None:
    """A smaller one knows less than what is written here; such tokens it is not given."""
    model, draft = network("llama"), network("llama")
    with torch.random.fork_rng(devices=[]):
        draft.resize_token_embeddings(size, mean_resizing=False)
    assert _texts(model, draft, {}, [20] * 5).accepted > 0


def test_tokens_are_taken_back() -> None:
    """Other counts in each row, twice; then the logits are those of what is left alone."""
    runner, inputs = decoder(network("llama")), inputs_of("llama", rows=3)
    tokens = np.random.default_rng(0).integers(8, 40, (3, 4))
    session = runner.start(inputs)
    for counts in ([2, 4, 1], [1, 3, 4]):
        runner.step(session, tokens)
        runner.rewind(session, np.array(counts))
    found = runner.step(session, tokens[:, :1])[:, -1]
    assert session.state["past_key_values"].get_seq_length() == 9 + 3 + 3 + 1
    for row, (one, other) in enumerate(([2, 3], [0, 1], [3, 0])):
        alone = inputs["input_ids"][row, inputs["attention_mask"][row].bool()].tolist()
        given = [*alone, *tokens[row, :one], *tokens[row, :other], tokens[row, 0]]
        again = runner.start({"input_ids": torch.tensor([given])}).logits[0]
        np.testing.assert_allclose(found[row], again, atol=1e-4)


def test_attention_that_counts_columns_sees_as_many_tokens() -> None:
    """GPT-Neo's second layer sees the last 4 columns: none may be one that was taken back."""
    import transformers

    config = transformers.GPTNeoConfig(
        vocab_size=40,
        max_position_embeddings=48,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=4,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.GPTNeoForCausalLM(config).eval()
    assert _texts(model, network("gpt2", seed=2), {}, [20, 1, 7, 20, 12]).guessed > 0


def test_beams_take_no_draft() -> None:
    writer = PromptWriter(network("gpt2"), 48)
    writer.draft = writer
    with pytest.raises(UserError, match="`draft` guesses one text, and `num_beams` 2"):
        next(writer([[9]], [5], ((2,), 0), [0], {"num_beams": 2}))


def test_a_cache_that_forgets_takes_no_draft() -> None:
    """Mistral's looks back over a window."""
    import transformers

    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 16, "sliding_window": 4}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = transformers.MistralForCausalLM(transformers.MistralConfig(**sizes, **heads)).eval()
    writer = PromptWriter(model, 48)
    writer.draft = PromptWriter(network("llama"), 48)
    with pytest.raises(UserError, match="`draft`: mistral keeps more"):
        list(writer([[9, 8]], [9], ((2,), 0), [0], {}))
