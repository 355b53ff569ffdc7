"""Texts that are written to be timed: prompts that leave room, and what a further token reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.cases import generation, prepare
from bench.cases.case import Case
from bench.cases.job import Settings
from bench.measures import ceilings, token_work, work
from bench.measures.ceilings import Ceilings
from bench.record.results import MeasureResult, Result, Value
from bench.sweep import suite, table
from tasks.errors import UserError
from tests.zoo.generation.networks import decoder, inputs_of, network
from zoo.generation import growing_cache

ROWS, PROMPT, TOKENS = 3, 12, 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """A case of a decoder with random weights."""
    case = Case.of("gpt_lm", length=PROMPT, batch_size=ROWS, phase="generation", new_tokens=TOKENS)
    return prepare.prepare(case.to_json(), str(tmp_path_factory.mktemp("prepared")))


def test_prompts_are_as_long_as_asked_and_what_is_new_is_the_work(
    prepared: Mapping[str, Any],
) -> None:
    with np.load(prepared["inputs"]) as file:
        assert file["input_ids"].shape == (ROWS, PROMPT) and file["attention_mask"].all()
    assert prepared["work"] == {"samples": ROWS, "new_tokens": ROWS * TOKENS}
    made = generation.generation(
        prepared["checkpoint"], "eager", prepared["inputs"], "cpu", 1, TOKENS
    )
    texts = made.call()
    assert texts.shape == (ROWS, TOKENS)
    assert (made.rows, made.prompt_tokens) == (ROWS, ROWS * PROMPT)
    model = made.runner.model  # type: ignore[attr-defined]
    plain = model.generate(
        torch.from_numpy(made.inputs["input_ids"]),
        attention_mask=torch.from_numpy(made.inputs["attention_mask"]),
        max_new_tokens=TOKENS,
        min_new_tokens=TOKENS,
        eos_token_id=[-1],
        do_sample=False,
        pad_token_id=0,
    )
    np.testing.assert_array_equal(texts, plain[:, PROMPT:].numpy())


def test_what_a_further_token_reads_is_counted(prepared: Mapping[str, Any]) -> None:
    """GPT-2: the head is the embedding and read whole, of places one row; a layer has 12 h ** 2
    weights, and 13 h of biases and norms."""
    size, layers = 256, 4  # as gpt_lm comes
    told = token_work.count(prepared["checkpoint"], prepared["inputs"])
    vocabulary = told["weights"] - layers * (12 * size**2 + 13 * size) - 2 * size
    made = generation.generation(prepared["checkpoint"], "eager", prepared["inputs"], "cpu", 1)
    model = made.runner.model  # type: ignore[attr-defined]
    assert vocabulary == model.config.vocab_size * size + ROWS * size
    assert told["a_step"] == ROWS * layers * 2 * size
    assert told["before"] == PROMPT * told["a_step"]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_the_cache_is_measured_with_the_room_behind_it(kind: str) -> None:
    inputs = {name: each.numpy() for name, each in inputs_of(kind).items()}
    runner = decoder(network(kind))
    made = generation.Generation(_Tensors(runner), inputs, TOKENS, "cpu")
    rows, width = inputs["input_ids"].shape
    if kind == "llama":  # two layers, of two heads of 4 numbers, by 4 bytes
        places = width + 1 + growing_cache.BLOCK
        assert made.cache_bytes() == rows * places * 2 * (2 * 2 * 4) * 4
    else:  # two heads of 8; the encoder's have no room
        places = 1 + 1 + growing_cache.BLOCK + width
        assert made.cache_bytes() == rows * places * 2 * (2 * 2 * 8) * 4


class _Tensors:
    """A decoder that is given arrays."""

    def __init__(self, runner: Any) -> None:
        self.runner, self.step = runner, runner.step
        self.special_tokens = runner.special_tokens

    def start(self, inputs: Mapping[str, np.ndarray]) -> Any:
        return self.runner.start({name: torch.from_numpy(x) for name, x in inputs.items()})


def test_the_share_of_the_ceiling_is_that_of_a_further_token(
    prepared: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "find", lambda *_: Ceilings({}, 1e9))
    case = Case.of("gpt_lm", "eager+bf16", ROWS, PROMPT, phase="generation", new_tokens=TOKENS)
    made = prepare.Prepared(**prepared)
    told = {"weights": 1000, "before": 600, "a_step": 60}
    job = made.job(case, Settings())
    monkeypatch.setattr(type(job), "once", lambda *_: told)
    found = work.measure(job)
    values = {name: each.value for name, each in found.values.items()}
    assert values["cache_bytes_per_token"] == 60 / ROWS * 2, "of a row, by two bytes"
    assert values["token_bytes"] == 2 * (1000 + 600 + 60 * TOKENS / 2)
    assert values["least_token_seconds"] == values["token_bytes"] / 1e9
    taken = {"further_token": Value(4 * values["least_token_seconds"], "s")}
    results = {
        name: Result("key", case, name, each, 1.0, {}, {})
        for name, each in (("work", found), ("generation", MeasureResult(taken)))
    }
    cells = dict(zip(table.HEADER, table.row(case, results), strict=True))
    assert cells["of ceiling"] == "25%" and cells["model"] == "gpt_lm (generation of 6 tokens)"


@pytest.mark.parametrize(("length", "tokens"), [(250, 7), (None, 256)])
def test_a_prompt_that_leaves_no_room_is_refused(
    length: int | None, tokens: int, tmp_path: Path
) -> None:
    case = Case.of("gpt_lm", length=length, phase="generation", new_tokens=tokens)
    with pytest.raises(UserError, match=f"{length or 1} tokens of a prompt and {tokens} new ones"):
        prepare.prepare(case.to_json(), str(tmp_path))


def test_by_default_a_prompt_is_as_long_as_there_is_room(tmp_path: Path) -> None:
    case = Case.of("gpt_lm", phase="generation", new_tokens=200)
    made = prepare.prepare(case.to_json(), str(tmp_path))
    with np.load(made["inputs"]) as file:
        assert file["input_ids"].shape == (1, 256 - 200)


def test_new_tokens_are_of_texts_that_are_written() -> None:
    with pytest.raises(UserError, match="`new_tokens` is of texts"):
        suite.cross(["gpt_lm"], new_tokens=[8])
    cases = suite.cross(["gpt_lm"], phases=["inference", "generation"], new_tokens=[8, 32])
    assert [str(case.workload) for case in cases] == [
        "batch 1",
        "batch 1, generation of 8 tokens",
        "batch 1, generation",
    ]
