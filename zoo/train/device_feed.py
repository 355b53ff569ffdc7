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
    """One optimizer step: its samples in the order of the epoch, and this rank's passes."""

    ids: np.ndarray
    passes: list[MicroBatchIds]
    batches: list[Batch]


class DeviceFeed:
    """Brings the steps of a training to its device."""

    def __init__(self, device: torch.device, workers: int) -> None:
        """Args: workers: processes that prepare batches; without any, a thread does on a GPU."""
        self._workers = workers
        self._upload = Uploader(device) if device.type == "cuda" else None
        self._pace: Pace | None = None
        if device.type == "cuda":
            self._pace = Pace(lambda: torch.cuda.current_stream(device).record_event())

    @contextlib.contextmanager
    def steps(self, steps: Iterator[Step]) -> Iterator[Iterator[Step]]:
        """Within it, the steps with their batches on the device, or on the way there."""
        if self._upload is None:
            yield steps
            return
        beside = contextlib.nullcontext(steps) if self._workers else prefetched(steps, AHEAD)
        with beside as found:
            yield map(self._upload, found)

    def keep_pace(self) -> None:
        """Waits where more than AHEAD steps are queued on the device, and have their batches in
        its memory."""
        if self._pace is not None:
            self._pace.keep()


class Event(Protocol):
    """A place in a stream's work, as torch.cuda.Event has it."""

    def synchronize(self) -> None:
        """Waits until the device has come there."""
        ...


class Pace:
    """How far the host may be ahead of the device: AHEAD steps."""

    def __init__(self, mark: Callable[[], Event]) -> None:
        """Args: mark: gives the place behind all that is queued."""
        self._mark = mark
        self._queued: deque[Event] = deque()  # a mark behind each step

    def keep(self) -> None:
        """A step has been queued: waits for the one AHEAD steps before it."""
        self._queued.append(self._mark())
        if len(self._queued) > AHEAD:
            self._queued.popleft().synchronize()


class Uploader:
    """Copies the batches of a step to a GPU, while it still computes the steps before.

    Work is queued ahead of the GPU, so a copy on another stream than that of the computation runs
    at once; the computation waits for it on the device, and no one on the host.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def __call__(self, step: Step) -> Step:
        """The step with its batches on the device."""
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            batches = [batch.to(self._device) for batch in step.batches]
        computing.wait_stream(self._stream)
        for batch in batches:
            batch._each(lambda tensor: _used_by(tensor, computing))
        return replace(step, batches=batches)


def _used_by(tensor: torch.Tensor, stream: torch.cuda.Stream) -> torch.Tensor:
    """Its memory is not given away before the stream has come here."""
    tensor.record_stream(stream)
    return tensor


@contextlib.contextmanager
def prefetched(source: Iterator[T], ahead: int) -> Iterator[Iterator[T]]:
    """Within it, the items of an iterator that a thread draws ahead of time, in their order.

    What the iterator raises is raised here when its turn comes. When the context is left, the
    thread has ended.
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
