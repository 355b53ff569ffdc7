"""Texts by the Hub's inference API, asked for by its own client, and by hand at /predict."""

from pathlib import Path
from typing import Any

import pytest
import requests
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError

from tests.serving import Served
from zoo.predict.pipeline import Predictor

PROMPT = "the film was"


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's client asks nobody where HF_HUB_OFFLINE is set, as it is for all tests."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="module")
def client(writer: Served) -> Any:
    return InferenceClient(model=writer.url)


@pytest.fixture(scope="module")
def expected(gpt: Path) -> str:
    return "".join(Predictor(gpt, device="cpu", threads=1).write(PROMPT, max_new_tokens=20))


def test_a_text_whole_and_as_it_is_written(client: Any, writer: Served, expected: str) -> None:
    assert client.text_generation(PROMPT, max_new_tokens=20) == expected
    named = InferenceClient(model=f"{writer.url}/models/gpt")
    pieces = list(named.text_generation(PROMPT, max_new_tokens=20, stream=True))
    assert "".join(pieces) == expected and len(pieces) > 1
    whole = client.text_generation(PROMPT, max_new_tokens=20, return_full_text=True)
    assert whole == PROMPT + expected
    assert client.text_generation(PROMPT, max_new_tokens=20, do_sample=False, seed=3) == expected


def test_details(client: Any, expected: str) -> None:
    found = client.text_generation(PROMPT, max_new_tokens=20, details=True)
    assert found.generated_text == expected == "".join(one.text for one in found.details.tokens)
    assert found.details.generated_tokens == len(found.details.tokens) <= 20
    reason = "length" if found.details.generated_tokens == 20 else "eos_token"
    assert found.details.finish_reason == reason
    *_, last = client.text_generation(PROMPT, max_new_tokens=20, details=True, stream=True)
    assert last.generated_text == expected and last.details.finish_reason == reason
    stopped = client.text_generation(PROMPT, stop=[expected[3:5]], details=True)
    assert stopped.details.finish_reason == "stop_sequence"
    assert stopped.generated_text == expected[: expected.index(expected[3:5])]


def test_draws(client: Any) -> None:
    drawn: dict[str, Any] = {"max_new_tokens": 20, "do_sample": True, "seed": 4}
    found = client.text_generation(PROMPT, details=True, **drawn)
    assert found.details.seed == 4
    assert client.text_generation(PROMPT, **drawn) == found.generated_text
    assert client.text_generation(PROMPT, **{**drawn, "seed": 5}) != found.generated_text
    other = client.text_generation(PROMPT, max_new_tokens=20, repetition_penalty=5.0)
    assert other != client.text_generation(PROMPT, max_new_tokens=20)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"top_p": 2.0}, "top_p"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"grammar": {"type": "json", "value": {}}}, "grammar"),
        ({"do_sample": False, "temperature": 0.5}, "do_sample"),
    ],
)
def test_what_can_not_be_kept_is_refused(client: Any, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client.text_generation(PROMPT, **asked)
    assert caught.value.response.status_code == 422
    assert caught.value.response.json()["field"] == field


def test_a_list_of_prompts_is_answered_by_a_list(writer: Served, expected: str) -> None:
    body: dict[str, Any] = {"inputs": [PROMPT, "a"], "parameters": {"max_new_tokens": 20}}
    found = requests.post(writer.url, json=body, timeout=30).json()
    assert found[0] == {"generated_text": expected} and len(found) == 2
    refused = requests.post(writer.url, json={**body, "stream": True}, timeout=30)
    assert (refused.status_code, refused.json()["field"]) == (422, "stream")
    plain = {"content-type": "text/plain"}
    [one] = requests.post(writer.url, data=PROMPT, headers=plain, timeout=30).json()
    assert one["generated_text"].startswith(expected)


def test_by_hand(writer: Served, expected: str) -> None:
    def asked(**body: Any) -> Any:
        return requests.post(f"{writer.url}/predict", json=body, timeout=30)

    found = asked(prompt=PROMPT, max_new_tokens=20).json()["predictions"]
    assert [one["text"] for one in found] == [expected]
    seeded = {"temperature": 1.0, "top_k": 30, "seed": 2}
    both = asked(inputs=[PROMPT, PROMPT], **seeded).json()["predictions"]
    assert both[0] == both[1] and both[0]["text"][:20] != expected[:20]
    for wrong, field in (({"seed": "x"}, "seed"), ({"labels": ["a", "b"]}, "labels")):
        refused = asked(prompt=PROMPT, **wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
