"""What a process and its machine did between two readings."""

import time

import pytest

from zoo.measure.usage import Reading, Usage, read


def usage(wall: float = 0.1, foreign: float | None = 0.0, waited: float | None = 0.0) -> Usage:
    return Usage(wall, wall, foreign, waited, 0, 0)


def test_readings_are_of_this_process() -> None:
    before = read()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    touched = bytearray(64 << 20)
    used = before.until(read())
    assert 0.05 <= used.cpu < used.wall + 0.01
    assert used.faults > 0 <= used.switches
    assert used.foreign is None or used.foreign >= 0
    assert used.waited is None or used.waited >= 0
    del touched


def test_what_is_foreign() -> None:
    before = Reading(wall=10.0, cpu=1.0, busy=100.0, waited=0.1, switches=1, faults=2)
    after = Reading(wall=12.0, cpu=2.5, busy=104.0, waited=0.4, switches=3, faults=9)
    used = before.until(after)
    assert used == Usage(2.0, 1.5, 1.25, pytest.approx(0.3), 2, 7)
    unknown = Reading(wall=12.0, cpu=2.5, busy=None, waited=None, switches=3, faults=9)
    assert before.until(unknown).foreign is None is before.until(unknown).waited


def test_what_disturbs() -> None:
    assert not usage().disturbed
    assert not usage(foreign=None, waited=None).disturbed
    assert usage(foreign=0.5).disturbed
    assert not usage(wall=0.02, foreign=0.9).disturbed, "two ticks of the clock say nothing"
    assert usage(waited=0.006).disturbed
    assert not usage(foreign=0.2, waited=0.004).disturbed
