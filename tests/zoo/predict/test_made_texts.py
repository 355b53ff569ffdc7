"""evaluate --samples: how varied the texts are that a model writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.metrics.distinct_ngrams import estimates
from tests import tiny_models
from tests.cli import Done, run_cli
from tests.sharing import shared
from zoo.nlp.gpt_lm import ENTRY
from zoo.predict import made_texts
from zoo.store import evidence


@pytest.fixture(scope="module")
def gpt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that goes on with texts, which is written into."""

    def make(folder: Path) -> None:
        tiny_models.checkpoint("gpt_lm", request.getfixturevalue, folder)

    read = shared(tmp_path_factory, "served-gpt", make) / "run"
    return Path(shutil.copytree(read, tmp_path_factory.mktemp("gpt") / "run"))


def evaluate(run: Path, *flags: object) -> Done:
    return run_cli(ENTRY, "evaluate", run, "--device", "cpu", "--mistakes", 0, *flags)


def texts_of(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.lines[-1])["texts"]
    return found


def test_texts_are_measured_beside_real_ones(gpt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They follow from the seed, and not from the batch."""
    seen: list[list[str]] = []

    def noted(texts: list[str]) -> Any:
        seen.append(texts)
        return estimates(texts)

    monkeypatch.setattr(made_texts, "estimates", noted)
    flags = ("--samples", 9, "--seed", 3, "--max_eval_samples", 16, "--json")
    found = texts_of(evaluate(gpt, *flags))
    made, real = seen
    assert len(made) == len(set(made)) == len(real) == 9
    assert (found["new_tokens"], found["seed"], found["temperature"]) == (32, 3, 1.0)
    assert list(found["sets"]) == ["made", "real texts"]
    one = found["sets"]["made"]["distinct_2"]
    assert one["n"] == 9 and one["low"] < one["value"] == estimates(made)[1].value
    assert texts_of(evaluate(gpt, *flags, "--per_device_eval_batch_size", 2)) == found
    assert seen[2] == made
    assert texts_of(evaluate(gpt, *flags[:2], "--seed", 4, *flags[4:])) != found
    facts = [one for one in evidence.read(gpt) if "distinct_1" in one.name]
    assert [(one.kind, one.label) for one in facts[:2]] == [
        ("metric", None),
        ("reference", "real texts"),
    ]
    assert facts[0].workload == {"new_tokens": 32, "temperature": 1.0, "seed": 3}


def test_the_table(gpt: Path) -> None:
    done = evaluate(gpt, "--samples", 3, "--max_eval_samples", 9)
    assert done.code == 0, done.err
    assert "distinct_1" in done.out and "real texts" in done.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--samples", 9999), "--samples 9,999: of the 60 texts of"),
        (("--seed", 1), "--seed is of texts that are written: give --samples"),
        (("--features", "."), "--features judges pictures that a model makes, and gpt_lm has"),
    ],
)
def test_what_can_not_be_measured(gpt: Path, flags: tuple[object, ...], said: str) -> None:
    done = evaluate(gpt, *flags)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1
