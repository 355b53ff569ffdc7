"""Tiny checkpoints that are served, and a service of three of them, for all tests here."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli import run_cli
from tests.serving import Served, serving

SERVED = ("bert_cls", "cnn_cls", "kws_cls")


@pytest.fixture(scope="session")
def checkpoints(exported_model: Callable[[str], Path]) -> dict[str, Path]:
    """A tiny checkpoint of texts, one of images, one of sounds, by model; each also as a program
    that starts without torch. They are read, not written."""
    return {name: exported_model(name) for name in SERVED}


@pytest.fixture(scope="session")
def service(checkpoints: dict[str, Path]) -> Iterator[Served]:
    """A service of the three, each under the name of its model."""
    words = [f"{folder}={name}" for name, folder in checkpoints.items()]
    with serving(
        *words, "--deployment", "onnx", "--max_body_mb", 1, "--slow_client_s", 2
    ) as served:
        yield served


@pytest.fixture(scope="session")
def gpt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that writes; it is read, not written."""
    folder = tmp_path_factory.mktemp("served-gpt")
    return tiny_models.checkpoint("gpt_lm", request.getfixturevalue, folder)


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that answers in chats; it is read, not written."""
    folder = tmp_path_factory.mktemp("served-chat")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"what is {word}?"},
                {"role": "assistant", "content": f"{word} is a word"},
            ]
        }
        for word in ("one", "two", "three", "four", "five", "six") * 4
    ]
    data = folder / "train.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ("pretrain", "--data", data, "--output_dir", folder / "run", *tiny_models.GPT)
    done = run_cli("zoo.nlp.gpt_lm", *words, *tiny_models.SHORT)
    assert done.code == 0, done.err
    return folder / "run"


@pytest.fixture(scope="session")
def writer(gpt: Path) -> Iterator[Served]:
    """A service of it, called gpt, with a cache for four texts of its whole context."""
    with serving(f"{gpt}=gpt", "--cache_tokens", 256, "--threads", 1) as served:
        yield served
