"""Texts that join and leave a batch between two tokens are those that they are alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from tests.zoo.generation.networks import ENDS, PAD, VOCABULARY, network
from zoo.generation.continuous import ContinuousBatch, Request
from zoo.generation.decoding import Decoding
from zoo.generation.network import PromptWriter

CONTEXT = 48
SPECIAL = (ENDS, PAD)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def writer(request: pytest.FixtureRequest) -> PromptWriter:
    """A tiny network of random weights; one has learned positions, one rotary ones."""
    return PromptWriter(network(request.param), CONTEXT)


def _batch(
    writer: PromptWriter, cache_tokens: int = 300, prompt_tokens: int = 8
) -> ContinuousBatch:
    batch = writer.continuous(SPECIAL, None)
    return ContinuousBatch(batch._runner, batch._to_inputs, cache_tokens, prompt_tokens)


def _drawn(rng: np.random.Generator, number: int) -> Request:
    """A request of any length and decoding."""
    prompt = rng.integers(8, VOCABULARY, rng.integers(1, 30)).tolist()
    settings: dict[str, Any] = {"max_new_tokens": int(rng.integers(1, CONTEXT - len(prompt)))}
    if rng.random() < 0.6:
        drawn = {"temperature": 0.9, "top_p": float(rng.choice([0.8, 1.0]))}
        settings |= {"do_sample": True, "seed": int(rng.integers(9)), **drawn}
    if rng.random() < 0.3:
        settings |= {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3}
    if rng.random() < 0.3:
        settings["stop"] = (int(rng.integers(8, VOCABULARY)),)
    return Request(prompt, Decoding(**settings), number)


def _alone(writer: PromptWriter, one: Request) -> list[int]:
    """The text of a request by the loop that writes a batch from its beginning to its end."""
    asked = one.decoding
    names = ("stop", "min_new_tokens", "repetition_penalty", "no_repeat_ngram_size")
    sampling: dict[str, Any] = {name: getattr(asked, name) for name in names}
    for name in ("do_sample", "temperature", "top_p", "seed") if asked.do_sample else ():
        sampling[name] = getattr(asked, name)
    columns = writer([one.prompt], [asked.max_new_tokens], SPECIAL, [one.number], sampling)
    tokens = [int(column[0]) for column in columns]
    return tokens[: tokens.index(-1)] if -1 in tokens else tokens


def _written(batch: ContinuousBatch, texts: dict[Request, list[int]], over: set[Request]) -> None:
    """Take a step, and what it writes."""
    for one in batch.step():
        assert one.request not in over, "a text has one end"
        if not one.is_end:
            texts[one.request].append(one.token)
        if one.is_last:
            over.add(one.request)


@pytest.mark.parametrize("seed", range(2))
def test_a_text_is_the_one_that_it_is_alone(writer: PromptWriter, seed: int) -> None:
    """Whenever requests come, and whichever run beside them."""
    rng = np.random.default_rng(seed)
    requests = [_drawn(rng, number) for number in range(16)]
    batch = _batch(writer)
    texts: dict[Request, list[int]] = {one: [] for one in requests}
    over: set[Request] = set()
    coming, most, steps = list(requests), 0, 0
    while len(over) < len(requests):
        for _ in range(rng.integers(0, 4)):
            if coming:
                batch.add(coming.pop(0))
        _written(batch, texts, over)
        most, steps = max(most, batch.running), steps + 1
        assert batch.cached_tokens <= batch.cache_tokens and steps < 500
    assert most >= 3, "several ran at once"
    assert batch.running == batch.waiting == batch.cached_tokens == 0
    for one in requests:
        assert texts[one] == _alone(writer, one)


def test_the_cache_decides_how_many_run_and_the_others_wait_their_turn(
    writer: PromptWriter,
) -> None:
    endless = Decoding(max_new_tokens=10, min_new_tokens=10)
    requests = [Request([8 + i, 9], endless, i) for i in range(5)]
    batch = _batch(writer, cache_tokens=2 * 12 + 11)
    for one in requests:
        batch.add(one)
    texts: dict[Request, list[int]] = {one: [] for one in requests}
    over: set[Request] = set()
    seen = []
    while len(over) < len(requests):
        _written(batch, texts, over)
        seen.append((batch.running, batch.waiting))
    assert max(running for running, _ in seen) == 2
    assert seen[0] == (2, 3) and seen[-1] == (0, 0)
    assert all(len(text) == 10 for text in texts.values())


def test_a_long_prompt_lets_others_write_in_between(writer: PromptWriter) -> None:
    batch = _batch(writer)
    short = Request([9], Decoding(max_new_tokens=20, min_new_tokens=20))
    long = Request(list(range(8, 36)), Decoding(max_new_tokens=4, min_new_tokens=4))
    texts: dict[Request, list[int]] = {short: [], long: []}
    batch.add(short)
    _written(batch, texts, set())
    batch.add(long)
    lengths = []
    while len(texts[long]) < 4:
        _written(batch, texts, set())
        lengths.append((len(texts[short]), len(texts[long])))
    assert lengths[:4] == [(2, 0), (3, 0), (4, 0), (5, 1)], "28 tokens in parts of 8"
    assert texts[long] == _alone(writer, long)


def test_what_is_dropped_makes_room_at_once(writer: PromptWriter) -> None:
    endless = Decoding(max_new_tokens=20, min_new_tokens=20)
    running, waiting, last, read = (Request([8 + i, 9], endless, i) for i in range(4))
    read.prompt = list(range(8, 28))
    batch = _batch(writer, cache_tokens=40)
    texts: dict[Request, list[int]] = {one: [] for one in (running, waiting, last, read)}
    for one in (running, waiting, last, read):
        batch.add(one)
    _written(batch, texts, set())
    batch.drop(running)
    batch.drop(waiting)
    _written(batch, texts, set())
    assert (len(texts[running]), len(texts[waiting]), len(texts[last])) == (1, 0, 1)
    batch.drop(last)
    _written(batch, texts, set())
    assert (batch.running, batch.waiting) == (0, 1), "a long prompt is being read"
    batch.drop(read)
    assert batch.step() == [] and batch.waiting == 0
    batch.drop(read)  # it has gone already


def test_what_can_never_run_is_refused(writer: PromptWriter) -> None:
    batch = _batch(writer, cache_tokens=60)
    with pytest.raises(UserError, match="60 tokens, and `cache_tokens` 59"):
        _batch(writer, cache_tokens=59).add(Request([9] * 20, Decoding(max_new_tokens=40)))
    with pytest.raises(UserError, match="num_beams"):
        batch.add(Request([9], Decoding(num_beams=2)))
    with pytest.raises(UserError, match="`cache_tokens` 47 are less than the 48"):
        writer.continuous(SPECIAL, 47)
    assert writer.continuous(SPECIAL, None).cache_tokens == 64 * CONTEXT
    assert writer.continuous(SPECIAL, None, 2 * CONTEXT).cache_tokens == 64 * CONTEXT


def test_a_cache_holds_texts_as_long_as_they_are_written(
    writer: PromptWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the network's whole context, which may be much longer."""
    assert writer.continuous(SPECIAL, 20, 20).cache_tokens == 20
    with pytest.raises(UserError, match="`cache_tokens` 19 are less than the 20"):
        writer.continuous(SPECIAL, 19, 20)
    assert writer.continuous(SPECIAL, None, 20).cache_tokens == 64 * 20
    monkeypatch.setattr(writer, "available_memory", lambda: 0)
    assert writer.continuous(SPECIAL, None, 20).cache_tokens == 20


class _TooComplex:
    """A constraint, and its matcher, that can be followed for two tokens."""

    def start(self) -> "_TooComplex":
        return self

    def allowed(self, tokens: Sequence[int]) -> np.ndarray:
        if len(tokens) == 2:
            raise UserError("it is too complex")
        return np.ones(VOCABULARY, bool)


def test_a_constraint_that_fails_ends_its_own_text_alone(writer: PromptWriter) -> None:
    batch, texts, faults = _batch(writer), dict[Request, list[int]](), dict[Request, str]()
    settings: dict[str, Any] = {"max_new_tokens": 8, "min_new_tokens": 8}
    other = Request([9, 10], Decoding(**settings))
    failing = Request([9, 10], Decoding(**settings, constraint=_TooComplex()))
    for one in (other, failing):
        batch.add(one)
    while batch.running or batch.waiting:
        for one in batch.step():
            if one.fault is not None:
                assert one.is_last
                faults[one.request] = str(one.fault)
            else:
                texts.setdefault(one.request, []).append(one.token)
    assert faults == {failing: "it is too complex"}
    assert texts[other] == _alone(writer, other) and texts[failing] == texts[other][:2]
