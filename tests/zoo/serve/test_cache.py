"""Answers out of the cache: the same, said to be so, and of this model alone."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests

from tests.serving import Served, serving
from zoo.serve import cache
from zoo.serve.cache import OVERHEAD, AnswerCache
from zoo.serve.items import Sound


def _model(sha256: str = "a", deployment: str = "eager") -> Any:
    return SimpleNamespace(sha256=sha256, deployment=deployment)


def test_what_decides_an_answer_is_in_its_key() -> None:
    sound = Sound(array=np.ones(4, np.float32), sampling_rate=8000)
    asked: list[tuple[Any, Any, Any]] = [
        (_model(), "a", {}),
        (_model("b"), "a", {}),
        (_model(deployment="onnx"), "a", {}),
        (_model(), "b", {}),
        (_model(), ("a", "b"), {}),
        (_model(), ("a", "c"), {}),
        (_model(), b"a", {}),
        (_model(), "a", {"top_k": 2}),
        (_model(), "a", {"labels": ["猫"]}),
        (_model(), sound, {}),
        (_model(), Sound(array=sound["array"], sampling_rate=16_000), {}),
        (_model(), Sound(array=sound["array"][:3], sampling_rate=8000), {}),
    ]
    keys = {cache.key_of(*one) for one in asked}
    assert len(keys) == len(asked)
    assert keys == {cache.key_of(*one) for one in asked}


def test_it_is_bounded_in_bytes() -> None:
    size = 10 * (OVERHEAD + len(b'{"text":"..."}'))
    answers = AnswerCache(size)
    for i in range(100):
        answers.put(bytes([i]), {"text": f"{i:03}"})
        assert answers.bytes <= size
    assert answers.get(bytes([99])) == {"text": "099"} and answers.get(bytes([0])) is None
    answers.put(b"large", {"text": "x" * size})
    assert answers.get(b"large") is None and answers.get(bytes([99])) is not None


def test_lfu_keeps_what_is_asked_often() -> None:
    answers = {name: AnswerCache(3 * (OVERHEAD + 9), name) for name in ("lru", "lfu")}  # type: ignore[arg-type]
    for one in answers.values():
        one.put(b"often", {"a": "b"})
        for _ in range(5):
            one.get(b"often")
        for i in range(3):
            one.put(bytes([i]), {"a": "c"})
    assert answers["lfu"].get(b"often") and not answers["lru"].get(b"often")


@pytest.fixture(scope="module")
def caching(checkpoints: dict[str, Path]) -> Iterator[Served]:
    """A service of texts with a cache of a megabyte."""
    with serving(
        f"{checkpoints['bert_cls']}=texts", "--cache_mb", 1, "--deployment", "onnx"
    ) as served:
        yield served


def _ask(service: Served, body: dict[str, Any]) -> tuple[str | None, Any]:
    done = requests.post(f"{service.url}/predict", json=body, timeout=60)
    return done.headers.get("x-cache"), done.json()


def _counted(service: Served, name: str) -> float:
    lines = requests.get(f"{service.url}/metrics", timeout=9).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{"))


def test_what_comes_again_is_the_same_answer(caching: Served) -> None:
    before = _counted(caching, "zoo_cache_hits_total")
    first = _ask(caching, {"text": "a good film"})
    again = _ask(caching, {"text": "a good film"})
    assert first[0] == "miss" and again == ("hit", first[1])
    assert _counted(caching, "zoo_cache_hits_total") == before + 1


def test_other_parameters_are_another_question(caching: Served) -> None:
    _ask(caching, {"text": "one more"})
    said, answer = _ask(caching, {"text": "one more", "top_k": 2})
    assert said == "miss" and "scores" in answer["predictions"][0]


def test_of_several_those_that_are_new_are_computed(caching: Served) -> None:
    _, alone = _ask(caching, {"text": "known"})
    said, both = _ask(caching, {"inputs": ["new", "known"]})
    assert said == "miss" and both["predictions"][1] == alone["predictions"][0]
    assert _ask(caching, {"inputs": ["known", "new"]})[0] == "hit"


def test_what_was_refused_is_not_kept(caching: Served) -> None:
    for _ in range(2):
        said, answer = _ask(caching, {"text": "a", "top_k": 99})
        assert said != "hit" or "error" not in answer


def test_without_it_nothing_is_said(service: Served) -> None:
    body = {"text": "a", "model": "bert_cls"}
    assert _ask(service, body)[0] is None and _ask(service, body)[0] is None
