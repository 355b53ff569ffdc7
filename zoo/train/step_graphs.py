"""Optimizer steps that are recorded once for each shape of their batches, and then replayed.

On a GPU a step of a small network is thousands of kernels, each launched by Python in more time
than it computes. A CUDA graph holds all of them: forward and backward passes, clipping, optimizer
and what hooks do behind it; replaying it is one launch. What differs from step to step must lie in
memory of a fixed place: batches are copied there, learning rates are tensors, and dropout reads the
seed that was set before the replay.

A shape is recorded when it has come a few times. What can't be recorded (passes that wait for the
device or draw numbers on the host, shapes that hardly come again) runs as it would without.
"""

import contextlib
import copy
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from tasks.base import Batch
from tasks.errors import UserError
from zoo.machine.memory import out_of_memory
from zoo.train.optim.optimizer import keep_rates_on_device, skips_by_itself
from zoo.train.optimizer_step import MicroBatch, OptimizerStep, StepResult

WARM_UP = 3
"""Steps of a shape before it is recorded: libraries choose kernels and take memory in the first
(https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture warms up as often)."""
MOST = 8
"""Shapes that are kept recorded."""
UNUSED = 200
"""Steps after which a recorded shape may give way to another one."""
KNOWN = 1024
"""Shapes of which is known how often they came."""
REFUSED = -1
"""In the place of that number: a shape that can't be recorded."""

Work = Callable[[], Tensor | None]
T = TypeVar("T")


class Recorder(Protocol):
    """Records work on a device so that it can be replayed."""

    runs: bool
    """Whether what is recorded is also done meanwhile."""

    def stream(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which a training with recorded steps runs."""
        ...

    def watch(self, seed: int) -> contextlib.AbstractContextManager[list[str]]:
        """Return a context to run one step in, whose last pass had this seed; its list then has the
        reasons why the step can't be recorded."""
        ...

    def record(self, work: Work) -> Work:
        """Record `work`; return a function that replays it and returns its result in the same
        memory."""
        ...

    def recover(self) -> None:
        """Make the device usable again after `record` has failed."""
        ...

    def has_room(self) -> bool:
        """Return whether memory holds twice what a step needs, since recorded steps keep memory
        that other steps and evaluations can't use."""
        ...

    def free(self) -> None:
        """Release the memory of recorded work that was dropped."""
        ...


def graphs_for(step: OptimizerStep, note: Callable[[str], None]) -> "StepGraphs | None":
    """Return what replays the steps of a training, or None if `--cuda_graphs` or the step does not
    allow it.

    Raises `UserError` if replaying is required and impossible.
    """
    args = step.args
    if args.cuda_graphs == "off" or (args.cuda_graphs == "auto" and not args.speedups):
        return None
    try:
        return replayed(step, note)
    except NotReplayed as obstacle:
        if args.cuda_graphs == "on":
            raise UserError(f"`cuda_graphs` on: {obstacle}; leave it at auto") from None
    return None


class NotReplayed(Exception):
    """The reason why the steps of a training can't be replayed."""


def replayed(step: OptimizerStep, note: Callable[[str], None]) -> "StepGraphs":
    """Return the `StepGraphs` that replays the steps of a training.

    Raises `NotReplayed` if no step can be replayed.
    """
    recorder = recorder_for(step.accelerator.device)
    if recorder is None:
        device = step.accelerator.device
        raise NotReplayed(f"they are of NVIDIA's GPUs, and this trains on {device}")
    if (obstacle := _obstacle(step)) is not None:
        raise NotReplayed(obstacle)
    return StepGraphs(step, recorder, note)


def _obstacle(step: OptimizerStep) -> str | None:
    """Return why no step can be replayed; None if it may be possible."""
    if step.accelerator.num_processes > 1 or step.args.fsdp:
        return "several processes train together"
    if not skips_by_itself(step.optimizer):
        return f"`optim` {step.args.optim} has no kernel for it, adamw, adam and sgd have"
    if not all(hook.keeps_program for hook in step.hooks):
        return "`tune` gradual computes more from step to step"
    if step.args.gradient_checkpointing:
        return "`gradient_checkpointing` looks at the state of random numbers"
    return None


def recorder_for(device: torch.device) -> Recorder | None:
    """Return the recorder for a device; None if there is none."""
    return CudaGraphs(device) if device.type == "cuda" else None


@dataclass
class _Recorded:
    """A recorded step for batches of one shape."""

    batches: Sequence[Tensor]  # where the batches of all passes lie
    passes: Sequence[Work]
    finish: Work
    names: Sequence[str]  # of its logs
    used: int = 0  # the number of the step that has used it last


class StepGraphs:
    """Replays an `OptimizerStep` whenever its batches have a recorded shape."""

    def __init__(
        self, step: OptimizerStep, recorder: Recorder, note: Callable[[str], None]
    ) -> None:
        """Args: note: receives one message if recording fails."""
        self._step, self._recorder, self._note = step, recorder, note
        self._device = step.accelerator.device
        self._recorded: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._seen: OrderedDict[int, int] = OrderedDict()  # by a key's hash, the newest last
        self._steps = 0
        self._off = self._full = self._told = False
        keep_rates_on_device(step.optimizer, self._device)
        step.deferred = True  # nobody looks at a loss before the weights change

    @property
    def recorded(self) -> int:
        """Return how many shapes are recorded."""
        return len(self._recorded)

    def stream(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the whole training runs."""
        return self._recorder.stream()

    def run(self, batches: Sequence[MicroBatch], plain: Callable[[], StepResult]) -> StepResult:
        """Compute a whole step: replay it, or call `plain`.

        Later replays do not change the result returned.
        """
        self._steps += 1
        key = None if self._off else shape_of([(one.batch, one.weight) for one in batches])
        if key is None:
            return plain()
        if key in self._recorded:
            return self._replay(self._recorded[key], batches)
        seen = self._count(key)
        if seen == REFUSED:
            return plain()
        if seen <= WARM_UP or not self._has_room():
            return self._watched(key, batches, plain)
        fault = None
        try:
            first, recorded = self._record(batches)
        except Exception as error:  # whatever it is: the plain step says it better
            fault = _first(error)
        if fault is not None:  # here, where what the error held of memory is gone
            self.drop(f"steps are not replayed: {fault}")
            self._recorder.recover()
            self._step.drop_gradients()
            return plain()
        self._recorded[key] = recorded
        return first or self._replay(recorded, batches)

    def with_room(self, work: Callable[[], T]) -> T:
        """Return the result of `work`; if memory runs out, release that of recorded steps, drop the
        gradients and try once more."""
        try:
            return work()
        except (RuntimeError, MemoryError, UserError) as error:  # one that says so for the user
            if not (self._recorded and out_of_memory(error)):
                raise
        self.drop("memory is short: steps are not replayed from here on")
        self._step.drop_gradients()
        self._recorder.free()
        return work()

    def _count(self, key: Hashable) -> int:
        """Return how often a shape has come among recent ones, or REFUSED."""
        name = hash(key)
        seen = self._seen.pop(name, 0)
        self._seen[name] = seen if seen == REFUSED else seen + 1
        if len(self._seen) > KNOWN:
            self._seen.popitem(last=False)
        return self._seen[name]

    def drop(self, reason: str | None = None) -> None:
        """Release the memory of all recorded steps, and record no more."""
        if reason and not self._off:
            self._note(reason)
        self._off = True
        self._recorded.clear()

    def _has_room(self) -> bool:
        """Return whether another shape may be recorded, after dropping the one unused longest if
        needed."""
        oldest = None
        if len(self._recorded) == MOST:
            oldest = min(self._recorded, key=lambda key: self._recorded[key].used)
            if self._steps - self._recorded[oldest].used < UNUSED:
                return False
        if not (self._full or self._recorder.has_room()):
            self._full = True  # for good: it is the most memory so far that counts
            self._note("memory is short: steps of more shapes are not replayed")
        if self._full:
            return False
        if oldest is not None:
            del self._recorded[oldest]
        return True

    def _watched(
        self, key: Hashable, batches: Sequence[MicroBatch], plain: Callable[[], StepResult]
    ) -> StepResult:
        if self._seen[hash(key)] != WARM_UP:  # the first do what is done once
            return plain()
        with self._recorder.watch(batches[-1].seed) as reasons:
            result = plain()
        if reasons and not self._off:  # else memory ran out in it
            self._seen[hash(key)] = REFUSED
            if not self._told:
                self._told = True
                self._note(f"steps are not replayed: {reasons[0]}")
        return result

    def _record(self, batches: Sequence[MicroBatch]) -> tuple[StepResult | None, _Recorded]:
        """Record a step; return its result if recording also computed it, and the recorded step."""
        step, record = self._step, self._recorder.record
        kept = [copy.deepcopy(one.batch.to(self._device)) for one in batches]
        passes: list[Work] = []
        with _capturable(step.optimizer):
            for i, (one, batch) in enumerate(zip(batches, kept, strict=True)):
                torch.manual_seed(one.seed)
                passes.append(record(_pass(step, batch, one.weight, i, len(batches))))
            results: list[Tensor] = []

            def finish() -> Tensor:
                result = step.finish()
                step.update()
                results.append(result.packed())
                return results[-1]

            finished = record(finish)
        memory = [tensor for batch in kept for tensor in tensors_of(batch)]
        recorded = _Recorded(memory, passes, finished, step.log_names, self._steps)
        if not self._recorder.runs:
            return None, recorded
        return StepResult.unpacked(results[-1].clone(), recorded.names), recorded

    def _replay(self, recorded: _Recorded, batches: Sequence[MicroBatch]) -> StepResult:
        fresh = [tensor for one in batches for tensor in tensors_of(one.batch)]
        for place, tensor in zip(recorded.batches, fresh, strict=True):
            place.copy_(tensor, non_blocking=True)
        for one, again in zip(batches, recorded.passes, strict=True):
            torch.manual_seed(one.seed)
            again()
        packed = recorded.finish()
        assert packed is not None
        recorded.used = self._steps
        return StepResult.unpacked(packed.clone(), recorded.names)


def _first(error: BaseException) -> str:
    """Return the original reason of an error in one line; a failed capture is raised on top of
    it."""
    while error.__context__ is not None:
        error = error.__context__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _pass(step: OptimizerStep, batch: Batch, weight: float, i: int, passes: int) -> Work:
    def work() -> None:
        step.add(batch, weight, i == 0, i == passes - 1)

    return work


@contextlib.contextmanager
def _capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Context manager in which the optimizer can be captured; fused kernels need no change."""
    groups = [group for group in optimizer.param_groups if "capturable" in group]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in groups:
            group["capturable"] = False


class _NoKey(Exception):
    """Raised for a value in a batch that is neither a tensor, a number nor a collection of them."""


def shape_of(value: Any) -> Hashable | None:
    """Return a key that two values share if a step recorded with one can be replayed with the
    tensors of the other: shapes and dtypes of tensors, and other values themselves.

    Returns None if there is anything but tensors, numbers and collections of them, since texts
    rarely repeat.
    """
    try:
        return _shape_of(value)
    except _NoKey:
        return None


def _shape_of(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return ("tensor", tuple(value.shape), value.dtype, value.stride())
    if isinstance(value, Batch):
        return tuple((each.name, _shape_of(getattr(value, each.name))) for each in fields(value))
    if isinstance(value, Mapping):
        return tuple((name, _shape_of(one)) for name, one in value.items())
    if isinstance(value, list | tuple):
        return (type(value), *(_shape_of(one) for one in value))
    if value is None or isinstance(value, bool | int | float):
        return (type(value), value)
    raise _NoKey


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a batch, in the order of its fields."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Batch):
        for each in fields(value):
            yield from tensors_of(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_of(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_of(one)


class CudaGraphs:
    """Records steps with CUDA graphs
    (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).

    All of them share one pool of memory, since one runs at a time and each fills what it reads.
    """

    runs = False

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # graphs can't be captured on the usual one

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Context manager that switches to the stream of the recorded steps; steps that are not
        recorded warm it up."""
        usual = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(usual)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            usual.wait_stream(self._stream)

    @contextlib.contextmanager
    def watch(self, seed: int) -> Iterator[list[str]]:
        """Context manager whose list then has the reasons why the step within can't be recorded:
        waits for the device, or random numbers drawn on the host."""
        reasons: list[str] = []
        before = _host_draws()
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield reasons
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        if any("synchronizing CUDA operation" in str(one.message) for one in caught):
            reasons.append("a pass waits for the device")
        fresh = torch.Generator().manual_seed(seed).get_state()
        if before != _host_draws() or not torch.equal(fresh, torch.get_rng_state()):
            reasons.append("a pass draws random numbers on the host")

    def record(self, work: Work) -> Work:
        """Capture `work` as a CUDA graph; return a function that replays it and returns its
        result."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: other threads may pin memory and copy meanwhile
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            result = work()

        def again() -> Tensor | None:
            graph.replay()
            return result

        return again

    def recover(self) -> None:
        """Reset the allocator and the generator after a failed capture.

        torch leaves both as if the capture went on (seen up to torch 2.11: "Offset increment
        outside graph capture encountered").
        """
        with contextlib.suppress(RuntimeError):  # where the capture has ended in order
            torch._C._cuda_endAllocateToPool(self._device.index or 0, self._pool)
        index = self._device.index
        generator = torch.cuda.default_generators[
            torch.cuda.current_device() if index is None else index
        ]
        generator.graphsafe_set_state(torch.Generator(self._device).graphsafe_get_state())
        torch.cuda.synchronize(self._device)
        self.free()

    def has_room(self) -> bool:
        """Return whether the device has twice the memory that was in use at the peak so far."""
        total = torch.cuda.get_device_properties(self._device).total_memory
        return 2 * torch.cuda.max_memory_allocated(self._device) <= total

    def free(self) -> None:
        """Return the cached memory of dropped graphs to the device."""
        torch.cuda.empty_cache()


def _host_draws() -> tuple[Hashable, ...]:
    """Return the state of Python's and NumPy's random generators."""
    found: Any = np.random.get_state()
    return random.getstate(), found[1].tobytes(), found[2]
