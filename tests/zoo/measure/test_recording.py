"""The order of launches, rounds and blocks, on a machine that does not exist."""

import dataclasses
import json
import math
from collections import Counter

import pytest

from tests.zoo.measure.machine import CALL_S, Machine, Noise
from zoo.measure.arms import Arm
from zoo.measure.recording import Block, Plan, Recording, logs_of, record, rounds_of

A, B = Arm("a", "m:f"), Arm("b", "m:f", {"times": 1.1})
PLAN = Plan(launches=3, budget_s=30, min_rounds=4)
LOUD = Noise(launch=0.1)


def recorded(plan: Plan = PLAN, noise: Noise = LOUD, seed: int = 0, **kwargs) -> Recording:
    machine = Machine(seed, noise, **kwargs)
    return record([A, B], [("a", "b")], plan, machine.start, machine.now)


def test_every_round_has_every_arm_once_in_random_order() -> None:
    made = recorded()
    rounds = Counter((block.launch, block.round) for block in made.blocks)
    assert set(rounds.values()) == {2}
    first = Counter(block.arm for block in made.blocks if block.order == 0)
    assert min(first.values()) > 0.25 * len(rounds)
    begins = [block.began for block in made.blocks]
    assert begins == sorted(begins)
    assert {(each.arm, each.launch) for each in made.launches} == {
        (arm, launch) for arm in "ab" for launch in {block.launch for block in made.blocks}
    }


def test_the_order_follows_from_the_seed() -> None:
    orders = [
        [block.arm for block in recorded(dataclasses.replace(PLAN, seed=seed)).blocks][:40]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_it_stops_when_the_interval_is_narrow() -> None:
    made = recorded(Plan(budget_s=1000), Noise(launch=0.0, block=0.001, sample=0.001, spikes=0.0))
    assert made.stopped == "width"
    assert made.seconds < 60
    assert {block.launch for block in made.blocks} == set(range(5)), "all launches, though"


def test_it_stops_when_the_budget_is_spent() -> None:
    made = recorded(dataclasses.replace(PLAN, budget_s=60))
    assert made.stopped == "budget"
    assert 40 < made.seconds < 75
    poor = recorded(dataclasses.replace(PLAN, budget_s=0))
    rounds = Counter(block.launch for block in poor.blocks if block.arm == "a")
    assert rounds == {0: 3, 1: 3, 2: 3}, "the least there is"


@pytest.mark.parametrize("deadline", [5.0, 20.0, 60.0, 200.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_over_by_its_deadline(deadline: float, seed: int) -> None:
    """Also with fewer launches than were asked for; the first is made in any case."""
    plan = Plan(launches=50, budget_s=1000, deadline_s=deadline)
    made = recorded(plan, seed=seed)
    assert made.stopped == "budget"
    assert made.seconds <= 1.1 * deadline and made.seconds > 0.6 * deadline
    assert made.blocks and len({block.launch for block in made.blocks}) < 50


def test_a_deadline_that_is_far_changes_nothing() -> None:
    far = recorded(dataclasses.replace(PLAN, deadline_s=1e6))
    assert far.blocks == recorded().blocks


def test_launches_are_added_while_there_is_time() -> None:
    made = recorded(dataclasses.replace(PLAN, budget_s=200))
    assert len({block.launch for block in made.blocks}) > 3


def test_blocks_last_as_long_as_planned() -> None:
    made = recorded(dataclasses.replace(PLAN, block_s=0.05))
    samples = {len(block.ran.seconds) for block in made.blocks}
    assert 3 <= min(samples) <= max(samples) <= 8
    assert math.exp(made.blocks[0].log_median) == pytest.approx(CALL_S, rel=0.5)


def test_disturbed_rounds_are_measured_again_and_left_out() -> None:
    calm, some = recorded(), recorded(disturbed=0.1)
    assert len(some.blocks) >= len(calm.blocks)
    used = rounds_of(some.blocks, ["a", "b"])
    assert not any(b.ran.usage.disturbed for launch in used for by in launch for b in by.values())
    assert min(len(launch) for launch in used) >= PLAN.min_rounds
    always = recorded(disturbed=1.0)
    assert all(block.ran.usage.disturbed for block in always.blocks)
    used = rounds_of(always.blocks, ["a", "b"])
    assert sum(map(len, used)) == len(always.blocks) / 2, "for want of better ones"


def test_an_arm_that_fails_takes_no_further_part() -> None:
    machine = Machine(0, LOUD)
    dies = Arm("dies", "m:f", {"dies_at": 15})
    made = record([A, dies, B], [("a", "dies"), ("a", "b")], PLAN, machine.start, machine.now)
    assert [(each.arm, each.status) for each in made.failed] == [("dies", "oom")]
    assert {block.launch for block in made.blocks if block.arm == "dies"} <= {0}
    assert {block.launch for block in made.blocks if block.arm == "b"} >= {0, 1, 2}


def test_it_ends_where_no_pair_is_left() -> None:
    machine = Machine(0, LOUD)
    dies = Arm("dies", "m:f", {"dies_at": 1})
    made = record([dies, B], [("dies", "b")], PLAN, machine.start, machine.now)
    assert made.stopped == "failed"
    assert made.blocks == ()


def test_logs() -> None:
    rounds = rounds_of(recorded().blocks, ["a", "b"])
    ratio, own = logs_of(rounds, ("a", "b")), logs_of(rounds, ("a", None))
    others = logs_of(rounds, ("b", None))
    assert ratio[0][0] == pytest.approx(own[0][0] - others[0][0])
    assert logs_of(rounds, ("b", "a"))[2][1] == -ratio[2][1]


def test_a_recording_is_plain_data_and_blocks_come_back() -> None:
    made = recorded()
    content = json.loads(json.dumps(made.as_json()))
    assert tuple(Block.from_json(each) for each in content["blocks"]) == made.blocks
    assert content["plan"]["launches"] == 3
    assert content["arms"][1]["kwargs"] == {"times": 1.1}


@pytest.mark.parametrize(
    "wrong",
    [{"launches": 0}, {"min_rounds": 0}, {"budget_s": -1}, {"level": 1.0}, {"target_halfwidth": 0}],
)
def test_plans_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(PLAN, **wrong)


def test_arms_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        record([A, A], [], PLAN)
