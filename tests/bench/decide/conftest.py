"""A decision of seconds: a tiny checkpoint, one other deployment, and nothing that is measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.decide import search
from bench.decide.successive_halving import Halved
from bench.measures import memory
from bench.record.results import MeasureResult, Value
from tests import tiny_models
from tests.zoo.measure.machine import Machine, Noise
from zoo.measure import Arm, compare, measure

Decide = Callable[..., int]


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of images, which a decision writes into."""
    folder = tmp_path_factory.mktemp("cnn")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


@pytest.fixture
def all_are_finalists(monkeypatch: pytest.MonkeyPatch) -> None:
    """All deployments are finalists, and their memory is made up."""

    def everyone(arms: Sequence[Arm], *_: Any, **__: Any) -> Halved:
        return Halved(tuple(arm.name for arm in arms))

    sizes = {"peak": Value(9e6, "bytes"), "size_on_disk": Value(1e6, "bytes")}
    monkeypatch.setattr(search, "halve", everyone)
    monkeypatch.setattr(memory, "of", lambda arm, timeout_s: MeasureResult(sizes))


@pytest.fixture
def decide(checkpoint: Path) -> Decide:
    """The command, of eager and eager+bf16, with more of its flags; gives its exit code."""

    def run(*more: object) -> int:
        words = ("decide", checkpoint, "--max_eval_samples", 32, "--max_drop", 0.5, *more)
        return cli.main([str(word) for word in (*words, "--deployments", "eager+bf16")])

    return run


@pytest.fixture
def made_up_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are those of a machine that does not exist: eager takes twice as long as others."""
    machine = Machine(0, Noise())

    def timed(arms: list[Arm], plan: Any, **_: Any) -> Any:
        times = [Arm(arm.name, "m:f", {"times": 1 + (arm.name == "eager")}) for arm in arms]
        took = measure if len(arms) == 1 else compare
        return took(times, plan, start=machine.start, clock=machine.now)

    monkeypatch.setattr(search, "measure", timed)
    monkeypatch.setattr(search, "compare", timed)
