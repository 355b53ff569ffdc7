"""Texts by OpenAI's API: requests that are read or refused, and the package `openai` on a real
service."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

from tests.serving import Served, serving
from zoo.predict.pipeline import Predictor

PROMPTS = ("the film was", "", "fine music", "a", "the cast was quite superb and the music")
GREEDY = {"temperature": 0, "max_tokens": 24}


@pytest.fixture(scope="module")
def client(writer: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{writer.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def expected(gpt: Path) -> dict[str, str]:
    """The likeliest text behind each prompt, as `predict` writes it."""
    predictor = Predictor(gpt, device="cpu", threads=1)
    return {one: "".join(predictor.write(one, max_new_tokens=24)) for one in PROMPTS}


def test_texts_are_those_of_predict(client: openai.OpenAI, expected: Mapping[str, str]) -> None:
    found = client.completions.create(model="gpt", prompt=list(PROMPTS), **GREEDY)
    assert [one.text for one in found.choices] == list(expected.values())
    assert found.usage is not None and found.usage.completion_tokens <= 24 * len(PROMPTS)
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_many_streams_at_once_are_what_each_is_alone(
    client: openai.OpenAI, expected: Mapping[str, str]
) -> None:
    """More than the cache has room for."""
    texts: list[tuple[str, str, int]] = []

    def ask(prompt: str) -> None:
        options = {"include_usage": True}
        stream = client.completions.create(
            model="gpt", prompt=prompt, stream=True, stream_options=options, **GREEDY
        )
        chunks = list(stream)
        assert [len(chunk.choices) for chunk in chunks] == [1] * (len(chunks) - 1) + [0]
        reasons = [chunk.choices[0].finish_reason for chunk in chunks[:-1]]
        assert reasons[:-1] == [None] * (len(reasons) - 1) and reasons[-1] in ("stop", "length")
        usage = chunks[-1].usage
        assert usage is not None
        text = "".join(chunk.choices[0].text for chunk in chunks[:-1])
        texts.append((prompt, text, usage.completion_tokens))

    threads = [threading.Thread(target=ask, args=(one,)) for one in PROMPTS * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 15
    assert all(text == expected[prompt] for prompt, text, _ in texts)
    assert len({(prompt, tokens) for prompt, _, tokens in texts}) == 5


def test_draws_follow_from_their_seed(client: openai.OpenAI) -> None:
    def texts(**settings: Any) -> list[str]:
        found = client.completions.create(model="gpt", prompt="the", max_tokens=16, **settings)
        return [one.text for one in found.choices]

    first = texts(seed=5, n=3)
    assert len(set(first)) == 3 and first == texts(seed=5, n=3)
    assert first[:1] == texts(seed=5) != texts(seed=6)
    assert texts(temperature=1.0) != texts(temperature=1.0), "without a seed another each time"
    assert texts(temperature=0, seed=5, top_p=0.5, n=2) == [texts(temperature=0)[0]] * 2
    streamed = {0: "", 1: "", 2: ""}
    stream = client.completions.create(
        model="gpt", prompt="the", max_tokens=16, seed=5, n=3, stream=True
    )
    for chunk in stream:
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert list(streamed.values()) == first


def test_a_text_of_stop_ends_it(client: openai.OpenAI, expected: Mapping[str, str]) -> None:
    text = expected["the film was"]
    stop = text[5:7]
    found = client.completions.create(model="gpt", prompt="the film was", stop=stop, **GREEDY)
    assert found.choices[0].text == text[: text.index(stop)]
    assert found.choices[0].finish_reason == "stop"


WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"temperature": -1}, "temperature", "at least 0"),
    ({"temperature": "hot"}, "temperature", "is no number"),
    ({"top_p": 0}, "top_p", "above 0"),
    ({"max_tokens": 0}, "max_tokens", "at least 1"),
    ({"seed": -1}, "seed", "at least 0"),
    ({"stop": ""}, "stop", "an empty text"),
    ({"stop": [1]}, "stop", "not a text"),
    ({"stop": ["a"] * 17}, "stop", "17 texts: 16 at most"),
    ({"stop": ["a", "b" * 257]}, "stop", "257 characters: 256 at most"),
    ({"n": 0}, "n", "at least 1"),
    ({"logprobs": 0}, "logprobs", "can't be had here"),
    ({"best_of": 2}, "best_of", "can't be had here"),
    ({"response_format": {"type": "xml"}}, "response_format", "there is text, json_object"),
    ({"presence_penalty": 0.5}, "presence_penalty", "can't be had here"),
    ({"prompt": [1, 2]}, "prompt", "tokens can't be read"),
    ({"prompt": []}, "prompt", "neither a text"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "goes with stream"),
    ({"temprature": 1}, "temprature", "did you mean temperature"),
)


@pytest.mark.parametrize(("asked", "field", "said"), WRONG)
def test_what_is_wrong_is_told_with_its_field(
    writer: Served, asked: dict[str, Any], field: str, said: str
) -> None:
    body = {"model": "gpt", "prompt": "a", **asked}
    found = requests.post(f"{writer.url}/v1/completions", json=body, timeout=30)
    assert found.status_code == 400
    error = found.json()["error"]
    assert error["param"] == field and said in error["message"]
    assert error["type"] == "invalid_request_error"


FILM = {
    "type": "object",
    "properties": {"film": {"enum": ["good", "bad"]}},
    "required": ["film"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "review", "schema": FILM}}


def test_a_text_is_json_of_a_schema(writer: Served) -> None:
    pytest.importorskip("llguidance")
    body = {"model": "gpt", "prompt": "the", "seed": 3, "max_tokens": 40, "n": 3}
    url = f"{writer.url}/v1/completions"
    found = requests.post(url, json={**body, "response_format": FORMAT}, timeout=30).json()
    for one in found["choices"]:
        assert json.loads(one["text"])["film"] in ("good", "bad")
        assert one["finish_reason"] == "stop"
    texts = ["good (4.5)", "so-so"]
    named = {**body, "structured_outputs": {"choice": texts}}
    found = requests.post(url, json=named, timeout=30).json()
    assert {one["text"] for one in found["choices"]} <= set(texts)
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}
    for stream in (False, True):
        wrong = {**body, "stream": stream, "response_format": schema}
        refused = requests.post(url, json=wrong, timeout=30)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "json_schema"


def test_what_asks_for_nothing_is_no_mistake(client: openai.OpenAI) -> None:
    settings: dict[str, Any] = {"logprobs": None, "best_of": 1, "presence_penalty": 0.0}
    found = client.completions.create(model="gpt", prompt="a", user="me", **settings)
    assert found.usage is not None and found.usage.completion_tokens <= 16


def test_a_prompt_that_is_too_long_is_refused_before_a_stream_begins(
    client: openai.OpenAI,
) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="shorten the prompt"):
            client.completions.create(model="gpt", prompt="the " * 80, stream=stream)
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        client.completions.create(model="other", prompt="a", stream=True)
    with pytest.raises(openai.APIStatusError) as caught:
        client.completions.create(model="gpt", prompt="a", n=300)
    assert caught.value.status_code == 413


def _metric(writer: Served, name: str) -> float:
    page = requests.get(f"{writer.url}/metrics", timeout=30).text
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


def test_a_client_that_goes_has_nothing_more_written(writer: Served) -> None:
    before = _metric(writer, "zoo_first_token_seconds_count{")
    body = {"prompt": "a", "max_tokens": 60, "stream": True, "seed": 1, "n": 60}
    with requests.post(f"{writer.url}/v1/completions", json=body, stream=True, timeout=30) as found:
        next(found.iter_lines())
    while _metric(writer, "zoo_texts_running{") or _metric(writer, "zoo_queue_length{"):
        pass  # each request waits for its answer
    assert _metric(writer, "zoo_first_token_seconds_count{") - before < 40, "texts that have ended"


MESSAGES: list[Any] = [{"role": "user", "content": "what is two?"}]


def test_a_model_without_template_has_no_chat(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="no chat template"):
            client.chat.completions.create(model="gpt", messages=MESSAGES, stream=stream)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "is empty"),
        ("hi", "not a list"),
        ([{"role": "user"}], "content is null"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part that is no text"),
        ([{"role": "user", "content": "a", "tool": 1}], "tool"),
    ],
)
def test_messages_that_are_none(writer: Served, messages: Any, said: str) -> None:
    body = {"model": "gpt", "messages": messages}
    found = requests.post(f"{writer.url}/v1/chat/completions", json=body, timeout=30)
    assert found.status_code == 400 and said in found.json()["error"]["message"]


@pytest.mark.slow
def test_chats_are_answered(chat: Path) -> None:
    """In a service of their own, which takes seconds to start."""
    predictor = Predictor(chat, device="cpu", threads=1)
    expected = "".join(predictor.write(MESSAGES, max_new_tokens=8))
    with serving(f"{chat}=chat", "--threads", 1) as served:
        made = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        settings: dict[str, Any] = {"model": "chat", "messages": MESSAGES, "temperature": 0}
        found = made.chat.completions.create(**settings, max_completion_tokens=8, n=2)
        assert [one.message.content for one in found.choices] == [expected] * 2
        assert found.choices[0].message.role == "assistant"
        assert found.usage is not None and found.usage.completion_tokens <= 16
        chunks = list(made.chat.completions.create(**settings, max_tokens=8, stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks]
        assert deltas[0].role == "assistant"
        assert "".join(one.content or "" for one in deltas) == expected
        assert chunks[-1].choices[0].finish_reason in ("stop", "length")
        parts: Any = [{"role": "user", "content": [{"type": "text", "text": "what is two?"}]}]
        again = made.chat.completions.create(**{**settings, "messages": parts}, max_tokens=8)
        assert again.choices[0].message.content == expected
        typed = made.chat.completions.create(**settings, response_format=FORMAT)
        assert json.loads(typed.choices[0].message.content or "")["film"] in ("good", "bad")
        long = made.chat.completions.create(**settings)
        assert long.usage is not None and long.usage.total_tokens <= 64
        with pytest.raises(openai.BadRequestError, match="ends with the assistant"):
            wrong: Any = [*MESSAGES, {"role": "assistant", "content": "yes"}]
            made.chat.completions.create(**{**settings, "messages": wrong})


def test_what_it_can_do_is_told(writer: Served, client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == ["gpt"]
    paths = requests.get(f"{writer.url}/openapi.json", timeout=30).json()["paths"]
    assert {"/v1/completions", "/v1/chat/completions"} <= paths.keys()
    with pytest.raises(openai.NotFoundError, match="no model here answers /v1/embeddings"):
        client.embeddings.create(model="gpt", input="a")
