"""What a thread draws ahead comes in order, ends with its errors, and leaves no thread behind."""

import itertools
import threading
from collections.abc import Iterator

import pytest
import torch

from tasks.errors import UserError
from zoo.train.device_feed import AHEAD, DeviceFeed, Pace, prefetched


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "batches"]


def test_in_order_and_to_the_end() -> None:
    with prefetched(iter(range(50)), 3) as items:
        assert list(items) == list(range(50))
    assert not threads()


def test_an_error_comes_when_its_turn_does() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise UserError("row 3 is bad")

    seen = []
    with pytest.raises(UserError, match="row 3 is bad"), prefetched(source(), 8) as items:
        seen.extend(itertools.islice(items, 2))
        next(items)
    assert seen == [1, 2] and not threads()


def test_who_stops_early_waits_for_nobody() -> None:
    drawn = []

    def endless() -> Iterator[int]:
        for i in itertools.count():
            drawn.append(i)
            yield i

    with prefetched(endless(), 2) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert not threads()
    assert len(drawn) <= 3 + 2 + 2  # those that waited, one in hand, one being drawn


def test_nothing_is_done_beside_on_the_cpu() -> None:
    steps: Iterator[int] = iter(range(3))
    feed = DeviceFeed(torch.device("cpu"), 0)
    with feed.steps(steps) as found:  # type: ignore[arg-type]
        assert found is steps
    feed.keep_pace()


def test_the_host_is_a_few_steps_ahead_of_the_device() -> None:
    done: list[int] = []

    class Mark:
        def __init__(self, step: int) -> None:
            self.step = step

        def synchronize(self) -> None:
            done.append(self.step)

    queued: Iterator[int] = itertools.count()
    pace = Pace(lambda: Mark(next(queued)))
    for step in range(10):
        pace.keep()
        assert done == list(range(step - AHEAD + 1))
