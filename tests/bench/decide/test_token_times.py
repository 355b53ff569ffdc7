"""How soon a finalist writes: what is timed, what 95 of 100 texts keep, and limits on both."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.decide import token_times
from bench.decide.pareto import Limits
from bench.decide.token_times import TokenTime, TokenTimes
from tests import tiny_models
from tests.bench.decide.conftest import Decide
from tests.bench.decide.test_pareto import point
from zoo.deploy import winner
from zoo.measure import Arm
from zoo.store import evidence


class Slow:
    """Writes three tokens, the first after 4 ms, the others after 2 ms each."""

    def __call__(self) -> list[int]:
        return list(self.stream())

    def stream(self) -> Iterator[int]:
        for seconds in (0.004, 0.002, 0.002):
            time.sleep(seconds)
            yield 0


def _times(first: float, further: float, texts: int = 100) -> TokenTimes:
    return TokenTimes(*(TokenTime.of([each] * texts) for each in (first, further)))


def test_first_and_further_tokens_are_timed_apart() -> None:
    target = f"{__name__}:{Slow.__name__}"
    told = token_times.run(target, {}, seconds=60, most=12)
    first, further = told["first_token"], told["further_token"]
    assert len(first) == len(further) == 12
    assert min(first) >= 0.004 and min(further) >= 0.002
    assert len(token_times.run(target, {}, seconds=0, most=12)["first_token"]) == 10, "at least"


def test_limits_are_kept_by_95_of_100_texts() -> None:
    asked = Limits(ttft_s=0.05, tpot_s=0.01)
    one = replace(point("a"), tokens=_times(0.04, 0.005))
    assert asked.broken_by(one) == "" and Limits().broken_by(point("a")) == ""
    late = replace(one, tokens=_times(0.06, 0.005))
    assert asked.broken_by(late) == "p95 of TTFT 60.00 ms"
    slow = replace(one, tokens=_times(0.04, 0.02))
    assert asked.broken_by(slow) == "p95 of TPOT 20.00 ms"
    few = replace(one, tokens=_times(0.04, 0.005, texts=10))
    assert asked.broken_by(few) == "too few texts (10) for a p95 of TTFT"
    assert asked.broken_by(point("a")) == "its TTFT is not measured"


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that writes, which a decision writes into."""
    folder = tmp_path_factory.mktemp("gpt")
    return tiny_models.checkpoint("gpt_lm", request.getfixturevalue, folder)


@pytest.mark.usefixtures("all_are_finalists", "made_up_times")
def test_the_winner_keeps_to_limits_of_tokens(
    decide: Decide,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Though another one takes half as long for a whole text."""

    def measured(arm: Arm, *_: Any) -> TokenTimes:
        assert arm.kwargs["new_tokens"] > 1
        return _times(0.04, 0.005) if arm.name == "eager" else _times(0.09, 0.002)

    monkeypatch.setattr(token_times, "measure", measured)
    assert decide("--ttft_ms", 50, "--tpot_ms", 10) == 0
    out = capsys.readouterr().out
    assert "winner: eager\n" in out and "p95 of TTFT 90.00 ms" in out and "TPOT [p95]" in out
    left = winner.read(checkpoint)
    assert left is not None and left.deployment == "eager"
    assert (left.limits["ttft_s"], left.limits["tpot_s"]) == (0.05, 0.01)
    facts = {fact.name: fact for fact in evidence.read(checkpoint) if fact.deployment == "eager"}
    assert facts["ttft_p95"].value == 0.04 and facts["tpot"].value == pytest.approx(0.005)
