"""Successive halving."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.decide import successive_halving
from bench.decide.successive_halving import keep
from tests.zoo.measure.machine import Machine, Noise
from zoo.measure import Arm, Outcome, Plan, measure

DROPS = st.lists(st.sampled_from([-0.001, 0.0, 0.001, 0.004]), min_size=1, max_size=12)


@given(DROPS, st.integers(1, 6))
def test_who_is_left_out_is_slower_and_loses_no_less(drops: list[float], most: int) -> None:
    names = [str(number) for number in range(len(drops))]  # ranked: the fastest first
    by_name = dict(zip(names, drops, strict=True))
    kept = keep(names, by_name, most)
    assert kept[: min(most, len(names))] == names[:most]
    for place, name in enumerate(names):
        if name not in kept:
            assert any(by_name[other] <= by_name[name] for other in names[:place] if other in kept)


def test_the_fast_and_the_exact_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that does not exist."""
    machine = Machine(0, Noise())

    def measured(arms: Sequence[Arm], plan: Plan, start: object) -> Outcome:
        return measure(arms, plan, start=machine.start, clock=machine.now)

    monkeypatch.setattr(successive_halving, "measure", measured)
    arms = [Arm(f"{n} times", "m:f", {"times": n}) for n in (8, 2, 4, 16, 6, 32, 64)]
    arms.append(Arm("dies", "m:f", {"dies_at": 1}))
    drops = {arm.name: 0.002 for arm in arms} | {"32 times": 0.0}
    found = successive_halving.halve(arms, drops, budget_s=10.0)
    assert found.left == ("2 times", "4 times", "6 times", "8 times", "32 times")
    assert [each.name for each in found.pruned] == ["16 times", "64 times"]
    assert "times as slow as 2 times" in found.pruned[0].why
    assert [each.arm for each in found.failed] == ["dies"]
    assert len(found.left) > successive_halving.FINALISTS, (
        "one more, as it keeps more of the metric"
    )
