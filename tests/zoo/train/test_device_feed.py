"""What a thread draws ahead comes in order, ends with its errors, and leaves no thread behind."""

import itertools
import threading
from collections.abc import Iterator

import pytest
import torch

from tasks.errors import UserError
from zoo.train.device_feed import fed, prefetched


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
    with fed(steps, torch.device("cpu"), 0) as found:  # type: ignore[arg-type, type-var]
        assert found is steps
