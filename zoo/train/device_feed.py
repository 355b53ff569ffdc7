"""Batches on their way to the device: collated beside the training, copied on a stream of their
own.

On the CPU nothing is done beside: steps are prepared when they are asked for.
"""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import torch

from tasks.base import Batch
from zoo.train.resume.order import MicroBatchIds

AHEAD = 3  # steps that are prepared and wait, and those that are queued on the device
PATIENCE = 0.1  # seconds between looks at whether anybody still waits

T = TypeVar("T")


@dataclass
class Step:
    """One optimizer step: its samples in the order of the epoch, and the passes of this rank with
    their batches."""

    ids: np.ndarray
    passes: list[MicroBatchIds]
    batches: list[Batch]


class DeviceFeed:
    """Moves the batches of a training to its device, ahead of their steps."""

    def __init__(self, device: torch.device, workers: int) -> None:
        """Args: workers: processes that prepare batches; with 0, a thread prepares them if the
        device is a GPU."""
        self._workers = workers
        self._upload = Uploader(device) if device.type == "cuda" else None
        self._pace: Pace | None = None
        if device.type == "cuda":
            self._pace = Pace(lambda: torch.cuda.current_stream(device).record_event())

    @contextlib.contextmanager
    def steps(self, steps: Iterator[Step]) -> Iterator[Iterator[Step]]:
        """Context manager that yields the steps with their batches on the device, or being copied
        to it."""
        if self._upload is None:
            yield steps
            return
        beside = contextlib.nullcontext(steps) if self._workers else prefetched(steps, AHEAD)
        with beside as found:
            yield map(self._upload, found)

    def keep_pace(self) -> None:
        """Wait while more than AHEAD steps are queued on the device, since their batches fill its
        memory."""
        if self._pace is not None:
            self._pace.keep()


class Event(Protocol):
    """A recorded point in a stream's work, such as a torch.cuda.Event."""

    def synchronize(self) -> None:
        """Wait until the device has reached this point."""
        ...


class Pace:
    """Limits how many steps the host may run ahead of the device to AHEAD."""

    def __init__(self, mark: Callable[[], Event]) -> None:
        """Args: mark: records an event after all work that is queued, and returns it."""
        self._mark = mark
        self._queued: deque[Event] = deque()  # a mark behind each step

    def keep(self) -> None:
        """Note that a step has been queued, and wait for the step AHEAD steps earlier to finish."""
        self._queued.append(self._mark())
        if len(self._queued) > AHEAD:
            self._queued.popleft().synchronize()


class Uploader:
    """Copies the batches of a step to a GPU while the GPU computes earlier steps.

    Copies have their own stream, so they run at once although work is queued ahead of the GPU. The
    computation waits for them on the device; the host does not wait.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def __call__(self, step: Step) -> Step:
        """Return the step with its batches on the device."""
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            batches = [batch.to(self._device) for batch in step.batches]
        computing.wait_stream(self._stream)
        for batch in batches:
            batch._each(lambda tensor: _used_by(tensor, computing))
        return replace(step, batches=batches)


def _used_by(tensor: torch.Tensor, stream: torch.cuda.Stream) -> torch.Tensor:
    """Return the tensor, after telling the allocator to keep its memory until the stream is done
    with it."""
    tensor.record_stream(stream)
    return tensor


@contextlib.contextmanager
def prefetched(source: Iterator[T], ahead: int) -> Iterator[Iterator[T]]:
    """Context manager that yields the items of an iterator in order, drawn ahead of time by a
    thread.

    An exception of the iterator is raised when its turn comes. The thread has ended when the
    context is left.
    """
    ready: queue.Queue[tuple[list[T], BaseException | None]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(found: list[T], error: BaseException | None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((found, error), timeout=PATIENCE)
                return

    def draw() -> None:
        try:
            for one in source:
                put([one], None)
                if stopped.is_set():
                    return
            put([], None)  # the end
        except BaseException as error:  # raised where the items are used
            put([], error)

    def items() -> Iterator[T]:
        while True:
            found, error = ready.get()
            if error is not None:
                raise error
            if not found:
                return
            yield found[0]

    thread = threading.Thread(target=draw, name="batches", daemon=True)
    thread.start()
    try:
        yield items()
    finally:
        stopped.set()
        thread.join()
