"""How many cores there are for busy threads."""

import types

import pytest

from zoo.machine import cores


def test_it_is_processor_time_over_wall_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that get 1.1 cores, on clocks that do not exist."""
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += 1e-3  # a look at it takes a millisecond
        return now

    clocks = types.SimpleNamespace(monotonic=monotonic, process_time=lambda: 1.1 * now)
    monkeypatch.setattr(cores, "time", clocks)
    assert cores.granted_cores(2, 0.4) == pytest.approx(1.1, rel=0.02)


def test_threads_compute() -> None:
    assert 0 < cores.granted_cores(1, 0.05) < 1.5
