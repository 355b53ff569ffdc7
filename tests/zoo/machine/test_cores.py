"""How many cores there are for busy threads."""

import itertools
import types

import pytest

from zoo.machine import cores


def test_it_is_processor_time_over_wall_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that get 1.1 cores, on clocks that do not exist."""
    wall = itertools.count()  # a look at it takes 10 ms
    clocks = types.SimpleNamespace(
        monotonic=lambda: next(wall) / 100, process_time=iter([7.0, 7.0 + 1.1 * 0.48]).__next__
    )
    monkeypatch.setattr(cores, "time", clocks)
    assert cores.granted_cores(2, 0.4) == pytest.approx(1.1, rel=0.1)


def test_threads_compute() -> None:
    assert 0 < cores.granted_cores(1, 0.05) < 1.5
