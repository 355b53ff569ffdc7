"""Where every other deployment falls out, eager fp32 is timed by itself and wins; and every winner
has golden inputs, also one without a program, and the workers that were chosen for a load."""

from pathlib import Path
from typing import Any

import pytest

from bench.decide import search
from bench.decide.services import ServiceContract, ServiceSetting, ServiceTried
from tests.bench.decide.conftest import Decide
from zoo.deploy import golden, winner
from zoo.deploy.candidate import Candidate
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

pytestmark = pytest.mark.usefixtures("all_are_finalists", "made_up_times")


@pytest.fixture
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    own = search.options.maker

    def maker(*asked: Any) -> Any:
        make = own(*asked)

        def made(deployment: Deployment) -> Candidate:
            if str(deployment) == "eager":
                return make(deployment)
            return Candidate(deployment, fault="it is not here")

        return made

    monkeypatch.setattr(search.options, "maker", maker)


def test_eager_wins_for_want_of_others(
    decide: Decide, checkpoint: Path, no_others: None, capsys: pytest.CaptureFixture[str]
) -> None:
    winner.forget(checkpoint)
    assert decide() == 0
    out = capsys.readouterr().out
    assert search.ALONE in out and "winner: eager" in out and "it is not here" in out
    found = winner.read(checkpoint)
    assert found is not None and found.deployment == "eager" and found.speedup is None
    assert golden.read(checkpoint, golden.EAGER, evidence.subject_digest(checkpoint))


def test_it_keeps_to_the_limits_too(
    decide: Decide, no_others: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide("--p95_ms", 1) == 1
    assert "none of them meets what was asked for" in capsys.readouterr().err


def test_a_winner_without_a_program_has_golden_inputs(decide: Decide, checkpoint: Path) -> None:
    assert decide() == 0
    found = winner.read(checkpoint)
    assert found is not None and found.deployment == "eager+bf16"
    deployment = Deployment.parse(found.deployment)
    inputs = golden.read(checkpoint, deployment, evidence.subject_digest(checkpoint))
    assert inputs and len(inputs) == golden.COUNT


def test_workers_and_batches_for_a_load_are_left_too(
    decide: Decide, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def best(contract: ServiceContract, _: Any, finalists: list[Candidate], *__: Any) -> Any:
        return ServiceTried(ServiceSetting(finalists[0], 2, 8, 1), None)

    monkeypatch.setattr(search.services, "choose", best)
    assert decide("--rate", 200, "--p99_ms", 50) == 0
    found = winner.read(checkpoint)
    assert found is not None and (found.workers, found.max_batch) == (2, 8)
    assert (found.limits["rate"], found.limits["p99_s"]) == (200, 0.05)
    assert decide() == 0
    found = winner.read(checkpoint)
    assert found is not None and (found.workers, found.max_batch) == (None, None)
    assert "rate" not in found.limits


def test_tokens_are_limited_of_what_writes(
    decide: Decide, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide("--tpot_ms", 5) == 2
    error = capsys.readouterr().err
    assert "--tpot_ms is of models that write texts, and not of cnn_cls" in error
    assert error.count("\n") == 1
