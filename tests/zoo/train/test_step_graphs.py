"""Which steps are recorded, and what happens where one can't be."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tasks.base import Batch
from tasks.errors import UserError
from tests.tape import Tape, TapeRecorder, Waits
from tests.zoo.train.test_optimizer_step import batches, do, make_step, same, weights
from zoo.train import step_graphs
from zoo.train.methods.tuning import GradualUnfreezing
from zoo.train.optimizer_step import MicroBatch
from zoo.train.step_graphs import StepGraphs, graphs_for, shape_of, tensors_of


def run(graphs: StepGraphs, step: Any, micro: list[MicroBatch]) -> Any:
    return graphs.run(micro, lambda: do(step, micro))


def test_a_shape_is_recorded_when_it_has_come_often_enough() -> None:
    step, plain, recorder = make_step(), make_step(), TapeRecorder()
    graphs = StepGraphs(step, recorder, pytest.fail)
    for i in range(8):
        micro = batches(10)[i : i + 1]
        assert torch.equal(run(graphs, step, micro).packed(), do(plain, micro).packed())
    assert recorder.recorded == 2 and recorder.watched == 1  # a pass and what is behind it
    assert recorder.replayed == 2 * (8 - step_graphs.WARM_UP - 1)
    assert same(weights(step), weights(plain))


def test_results_stay_when_later_steps_are_replayed() -> None:
    step = make_step()
    graphs = StepGraphs(step, TapeRecorder(), pytest.fail)
    found = [run(graphs, step, batches(10)[i : i + 1]) for i in range(9)]
    kept = [float(result.loss) for result in found]
    assert len(set(kept)) == len(kept)


def test_learning_rates_reach_a_replay() -> None:
    from zoo.train.optim.optimizer import set_learning_rates

    step, plain = make_step(), make_step()
    graphs = StepGraphs(step, TapeRecorder(), pytest.fail)
    for i in range(8):
        for one in (step, plain):
            set_learning_rates(one.optimizer, 1 - i / 10)
        run(graphs, step, batches(1)), do(plain, batches(1))
    assert same(weights(step), weights(plain))


class Refuses(TapeRecorder):
    """Finds a reason."""

    @contextlib.contextmanager
    def watch(self, seed: int) -> Iterator[list[str]]:
        reasons: list[str] = []
        yield reasons
        reasons.append("a pass waits for the device")


def test_what_waits_is_not_recorded_and_told_once() -> None:
    step, plain, notes = make_step(), make_step(), []
    graphs = StepGraphs(step, recorder := Refuses(), notes.append)
    for i in range(12):
        micro = batches(1 + i % 2)
        run(graphs, step, micro), do(plain, micro)
    assert notes == ["steps are not replayed: a pass waits for the device"]
    assert recorder.recorded == 0 and same(weights(step), weights(plain))


class Activations:
    """Memory that a weak reference can watch."""


class Fails(TapeRecorder):
    """Fails as a capture does, before anything is computed."""

    recovered = 0

    def record(self, work: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
        held = Activations()
        self.held = weakref.ref(held)
        raise RuntimeError("operation not permitted when stream is capturing\nat line 3")

    def recover(self) -> None:
        assert self.held() is None  # or the device's memory could not be given back
        self.recovered += 1


def test_where_recording_fails_steps_go_on_plainly() -> None:
    step, plain, notes = make_step(), make_step(), []
    graphs = StepGraphs(step, recorder := Fails(), notes.append)
    for _ in range(8):
        ours, theirs = run(graphs, step, batches(2)), do(plain, batches(2))
        assert torch.equal(ours.packed(), theirs.packed())
    assert notes == ["steps are not replayed: operation not permitted when stream is capturing"]
    assert recorder.recovered == 1 and same(weights(step), weights(plain))


class Short(TapeRecorder):
    """Says when there is room, and counts how often memory is given back."""

    room, freed = True, 0

    def has_room(self) -> bool:
        return self.room

    def free(self) -> None:
        self.freed += 1


def test_no_more_shapes_are_recorded_where_memory_is_short() -> None:
    step, plain, notes = make_step(), make_step(), []
    graphs = StepGraphs(step, recorder := Short(), notes.append)
    for i in range(20):
        recorder.room = i < 8
        micro = batches(1 + i // 8)
        run(graphs, step, micro), do(plain, micro)
    assert notes == ["memory is short: steps of more shapes are not replayed"]
    assert recorder.recorded == 2 and recorder.replayed == 2 * (8 - step_graphs.WARM_UP - 1)
    assert same(weights(step), weights(plain))


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError, UserError])
def test_recorded_steps_give_their_memory_to_what_lacks_it(kind: type[Exception]) -> None:
    step, notes = make_step(), []
    graphs = StepGraphs(step, recorder := Short(), notes.append)
    for _ in range(5):
        run(graphs, step, batches(1))
    watched: list[weakref.ref[Activations]] = []

    def work() -> str:
        held = Activations()
        watched.append(weakref.ref(held))
        if not recorder.freed:
            step.accumulate(batches(1))
            raise kind("CUDA out of memory")
        assert watched[0]() is None and all(p.grad is None for p in step.parameters)
        return "done"

    assert graphs.with_room(work) == "done" and graphs.with_room(work) == "done"
    assert recorder.freed == 1 and len(watched) == 3
    assert notes == ["memory is short: steps are not replayed from here on"]

    def never() -> None:
        raise kind("CUDA out of memory")

    with pytest.raises(kind):  # nothing is left to be given
        graphs.with_room(never)
    assert recorder.freed == 1


def test_other_errors_leave_recorded_steps_alone() -> None:
    step = make_step()
    graphs = StepGraphs(step, recorder := Short(), pytest.fail)
    for _ in range(5):
        run(graphs, step, batches(1))
    with pytest.raises(RuntimeError, match="shapes"):
        graphs.with_room(lambda: torch.ones(2) @ torch.ones(3, 4))  # shapes do not fit
    run(graphs, step, batches(1))
    assert recorder.recorded == 2 and recorder.replayed == 4 and recorder.freed == 0


def test_what_is_known_of_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_graphs, "KNOWN", 3)
    step = make_step()
    graphs = StepGraphs(step, recorder := TapeRecorder(), pytest.fail)
    for i in range(2 * 5):  # two shapes that come in turns are known, five are forgotten
        run(graphs, step, batches(1 + i % 5))
    assert recorder.recorded == 0 and len(graphs._seen) == 3
    for i in range(2 * (step_graphs.WARM_UP + 1)):
        run(graphs, step, batches(1 + i % 2))
    assert recorder.recorded == 2 + 3


def test_a_dropped_recording_is_not_made_again() -> None:
    step, recorder, notes = make_step(), TapeRecorder(), []
    graphs = StepGraphs(step, recorder, notes.append)
    for _ in range(6):
        run(graphs, step, batches(1))
    graphs.drop("memory is short")
    for _ in range(6):
        run(graphs, step, batches(1))
    assert recorder.recorded == 2 and notes == ["memory is short"]


def test_shapes_tell_apart_what_can_not_be_replayed() -> None:
    def batch(**more: Any) -> Batch:
        return Batch({"x": torch.zeros(2, 3)}, torch.arange(2), **more)

    one = shape_of(batch())
    assert one == shape_of(batch()) and hash(one) is not None
    wider = Batch({"x": torch.zeros(2, 4)}, torch.arange(2))
    other = Batch({"x": torch.zeros(2, 3, dtype=torch.int64)}, torch.arange(2))
    parts = batch(parts={"weak": batch()})
    targets = [batch(targets={"n": n}) for n in (1, 2)]
    found = [shape_of(b) for b in (batch(), wider, other, parts, *targets)]
    assert len(set(found)) == len(found)
    assert shape_of([(batch(), 1.0)]) != shape_of([(batch(), 0.0)])
    assert shape_of(batch(targets={"words": object()})) is None
    assert shape_of(batch(targets={"words": ["of", "a", "text"]})) is None
    assert len(list(tensors_of(parts))) == 4


@pytest.mark.parametrize(
    ("flags", "hooks", "expected"),
    [
        ({"optim": "adamax"}, (), "`optim` adamax has no kernel"),
        ({"gradient_checkpointing": True}, (), "`gradient_checkpointing` looks"),
        ({}, (GradualUnfreezing(),), "`tune` gradual computes more"),
    ],
)
def test_what_can_not_be_replayed(
    flags: dict[str, Any], hooks: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_graphs, "recorder_for", lambda device: TapeRecorder())
    assert graphs_for(make_step(*hooks, **flags), pytest.fail) is None
    with pytest.raises(UserError, match=f"`cuda_graphs` on: {expected}"):
        graphs_for(make_step(*hooks, cuda_graphs="on", **flags), pytest.fail)


def test_on_the_cpu_steps_run_as_ever() -> None:
    for asked in ("auto", "off"):
        assert graphs_for(make_step(cuda_graphs=asked), pytest.fail) is None
    with pytest.raises(UserError, match="on: they are of NVIDIA's GPUs, and this trains on cpu"):
        graphs_for(make_step(cuda_graphs="on"), pytest.fail)


def test_the_tape_finds_what_waits() -> None:
    """Or the tests that nothing waits would say nothing."""
    x = torch.arange(4.0)
    for waits in (
        lambda: x.sum().item(),
        lambda: bool(x.any()),
        lambda: x[x > 1],
        lambda: x.unique(),
        lambda: x.nonzero(),
        lambda: float(x[0]),
        lambda: torch.tensor([1.0, 2.0]) + 1,
    ):
        with pytest.raises(Waits), Tape():
            waits()
