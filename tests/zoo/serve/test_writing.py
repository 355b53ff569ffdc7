"""A model in a worker that writes several texts at once: each is what it is alone, in whole
characters."""

import queue
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.generation.continuous import Request, Written
from zoo.predict.pipeline import Predictor
from zoo.serve.frames import Message
from zoo.serve.items import Chat
from zoo.serve.writing import WritingModel, answer

PROMPTS = ("the film was", "", "fine music", "a", "the cast was quite superb and the music")


@pytest.fixture(scope="module")
def predictor(gpt: Path) -> Predictor:
    return Predictor(gpt, device="cpu", threads=1)


@pytest.fixture
def model(predictor: Predictor) -> WritingModel:
    """The model, with a cache for three texts of its whole context."""
    made = WritingModel(predictor, 3 * 64)
    made.warm_up()
    return made


Told = dict[int, list[dict[str, Any]]]


def _step(model: WritingModel, told: Told) -> None:
    """Take a step, and add what it tells of each text."""
    for one in model.step():
        told.setdefault(one["number"], []).append(one)


def _all(model: WritingModel) -> Told:
    """What is told of each text until all have ended."""
    told: Told = {}
    while not model.is_idle:
        _step(model, told)
    return told


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "top_k": 40, "seed": 3}])
def test_texts_are_those_of_predict(
    model: WritingModel, predictor: Predictor, settings: dict[str, Any]
) -> None:
    settings = {"max_new_tokens": 20, "stop": ["q"], **settings}
    told: Told = {}
    for i, prompt in enumerate(PROMPTS):
        model.begin(i, prompt, {**settings, "usage": True, "tokens": True})
        _step(model, told)
    assert model.state()["cache_tokens"] == 192 and model.state()["running"] > 1
    while not model.is_idle:
        _step(model, told)
    task: Any = predictor.task
    for i, prompt in enumerate(PROMPTS):
        expected = "".join(predictor.write(prompt, **settings))
        prediction = told[i][-1]["prediction"]
        assert prediction["text"] == expected == "".join(one["piece"] for one in told[i])
        [row] = task.inputs([prompt])
        assert prediction["prompt_tokens"] == len(row["input_ids"][0])
        assert prediction["completion_tokens"] == len(told[i]) == len(prediction["tokens"]) <= 20
        assert all("prediction" not in one for one in told[i][:-1])
    assert model.state()["running"] == model.state()["cached_tokens"] == 0


def test_several_texts_behind_one_prompt_differ(model: WritingModel) -> None:
    drawn = {"temperature": 1.0, "seed": 3, "max_new_tokens": 12}
    for choice in range(3):
        model.begin(choice, "the", {**drawn, "choice": choice})
    texts = [told[-1]["prediction"]["text"] for told in _all(model).values()]
    assert len(set(texts)) == 3


def test_a_chat_is_answered_and_a_prompt_is_taken_as_it_stands(chat: Path) -> None:
    predictor = Predictor(chat, device="cpu", threads=1)
    model = WritingModel(predictor, None)
    messages = [{"role": "user", "content": "what is two?"}]
    settings = {"max_new_tokens": 8}
    asked: tuple[tuple[Any, dict[str, Any]], ...] = (
        (Chat(messages=messages), {}),
        ("what is two?", {}),
        ("what is two?", {"raw": True}),
    )
    for number, (item, more) in enumerate(asked):
        model.begin(number, item, {**settings, **more, "usage": True})
    found = [told[-1]["prediction"] for _, told in sorted(_all(model).items())]
    assert found[0] == found[1], "a model of chats takes a prompt for what a user says"
    assert found[0]["text"] == "".join(predictor.write(messages, **settings))
    assert found[2]["prompt_tokens"] < found[0]["prompt_tokens"]


def test_a_model_without_template_reads_no_chat(model: WritingModel) -> None:
    with pytest.raises(UserError, match="no chat template"):
        model.begin(1, Chat(messages=[{"role": "user", "content": "hi"}]), {})


def test_a_prompt_far_too_long_is_refused_before_its_tokens_are_counted(
    model: WritingModel, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 64 * (1 + max(map(len, predictor.processor.get_vocab())))
    with pytest.raises(UserError, match=r"has [\d,]+ tokens, .* are 64 .* shorten the prompt"):
        model.begin(1, "the " * (most // 4), {})

    def counted(*_: Any) -> None:
        raise AssertionError("its tokens were counted")

    monkeypatch.setattr(type(predictor.task), "inputs", counted)
    said = f"has {most + 1:,} characters, .* are 64 tokens, which have {most:,} at most: shorten"
    chat = Chat(messages=[{"role": "user", "content": ""}] * (most + 1))
    for item in ("a" * (most + 1), chat):
        with pytest.raises(UserError, match=said):
            model.begin(1, item, {})
    assert model.is_idle


class _Scripted:
    """Stands for a `ContinuousBatch`; writes what it is told to."""

    running = waiting = cached_tokens = cache_tokens = 0

    def __init__(self, tokens: list[int]) -> None:
        self._tokens, self._requests = tokens, list[Request]()

    def add(self, request: Request) -> None:
        """As `ContinuousBatch.add`."""
        self._requests.append(request)

    def drop(self, request: Request) -> None:
        """As `ContinuousBatch.drop`."""

    def clear(self) -> None:
        """As `ContinuousBatch.clear`."""

    def step(self) -> list[Written]:
        """As `ContinuousBatch.step`."""
        token = self._tokens.pop(0)
        return [Written(one, token, token < 0, token < 0) for one in self._requests]


def test_no_character_is_cut_between_two_pieces(model: WritingModel) -> None:
    text = "中文 naïve 🙂字"
    ids = model.predictor.processor(text, add_special_tokens=False)["input_ids"]
    assert len(ids) > len(text), "a character is several tokens"
    model.batch = _Scripted([*ids, -1])  # type: ignore[assignment]
    model.begin(1, "a", {"max_new_tokens": 50})
    [told] = _all(model).values()
    pieces = [one["piece"] for one in told]
    assert "".join(pieces) == told[-1]["prediction"]["text"] == text
    assert all("\ufffd" not in piece for piece in pieces) and pieces.count("") > 3


def test_a_model_that_fails_goes_on_with_what_comes(
    model: WritingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        monkeypatch.undo()
        raise MemoryError

    model.begin(1, "a", {})
    monkeypatch.setattr(model.batch, "step", fail)
    assert model.step() == [{"number": 1, "failure": "MemoryError"}]
    assert model.is_idle
    model.begin(2, "a", {"max_new_tokens": 2})
    assert "prediction" in _all(model)[2][-1]


def test_a_config_that_asks_for_beams_is_served_without_them(
    model: WritingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _written(model, "the film")
    own = {"num_beams": 4, "length_penalty": 2.0, "do_sample": True, "temperature": 0.7}
    config = {**model.write.own_config(), **own}
    monkeypatch.setattr(type(model.write), "own_config", lambda self: config)
    assert _written(model, "the film", temperature=0) == expected


def _written(model: WritingModel, prompt: str, **more: Any) -> str:
    model.begin(1, prompt, {"max_new_tokens": 8, **more})
    text: str = _all(model)[1][-1]["prediction"]["text"]
    return text


def test_what_can_not_be_written_is_the_clients_mistake(model: WritingModel) -> None:
    with pytest.raises(UserError, match="shorten the prompt"):
        model.begin(1, "the " * 80, {})
    with pytest.raises(UserError, match="temperature"):
        model.begin(1, "the", {"temperature": -1})
    assert model.is_idle


def test_messages_are_obeyed_between_two_tokens(model: WritingModel) -> None:
    def asked(number: int, **more: Any) -> Message:
        content = {"type": "write", "number": number, "item": "a", "parameters": more}
        return Message(content)

    inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    said: list[dict[str, Any]] = []
    heard: set[int] = set()

    def say(message: dict[str, Any]) -> None:
        said.append(message)
        for event in message["events"]:
            if "piece" in event and event["number"] == 1 and 1 not in heard:
                heard.add(1)
                inbox.put(Message({"type": "drop", "number": 1}))
                inbox.put(asked(3, temperature="hot"))
                inbox.put(asked(2, max_new_tokens=3))
            if event["number"] == 2 and "prediction" in event:
                inbox.put(None)

    def told() -> Iterator[Message]:
        while (message := inbox.get()) is not None:
            yield message

    inbox.put(asked(1, max_new_tokens=60))
    answer(model, told(), say)
    events = [event for message in said for event in message["events"]]
    assert 1 <= sum(event["number"] == 1 for event in events) < 60, "it was dropped"
    [fault] = [event["fault"] for event in events if "fault" in event]
    assert fault["field"] == "temperature"
    assert said[-1]["running"] == 0 and said[-1]["cache_tokens"] == 192


def test_a_deployment_that_writes_one_text_at_a_time_is_refused(predictor: Predictor) -> None:
    class Other:
        """A model without `write`."""

    model = predictor.model
    predictor.model = Other()
    try:
        with pytest.raises(UserError, match="can't write several texts at once; serve it eager"):
            WritingModel(predictor, None)
    finally:
        predictor.model = model


def test_a_cache_too_small_for_the_context_is_told(predictor: Predictor) -> None:
    with pytest.raises(UserError, match="`cache_tokens` 63 are less than the 64"):
        WritingModel(predictor, 63)


def test_a_cache_holds_what_the_task_writes_of_a_longer_context(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    task: Any = predictor.task
    shorter = replace(task, args=replace(task.args, max_length=32))
    monkeypatch.setattr(predictor, "task", shorter)
    model = WritingModel(predictor, 32)
    model.warm_up()
    model.begin(1, "the film", {"max_new_tokens": 1000, "usage": True})
    [told] = _all(model).values()
    ended = told[-1]["prediction"]
    assert ended["prompt_tokens"] + ended["completion_tokens"] <= 32
    assert model.state()["cache_tokens"] == 32
