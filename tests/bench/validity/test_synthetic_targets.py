"""Targets of which the truth is known."""

import time

from bench.validity import synthetic_targets


def test_a_device_works_on_while_the_call_has_returned() -> None:
    device = synthetic_targets.Device(0.2, waits=True)
    begin = time.monotonic()
    device.call()
    device.call()
    assert time.monotonic() - begin < 0.15
    device.synchronize()
    assert time.monotonic() - begin >= 0.4, "one behind the other"
    assert not hasattr(synthetic_targets.Device(0.2, waits=False), "synchronize")


def test_work_is_what_was_asked_for() -> None:
    size = synthetic_targets.bytes_for(0.001)
    assert size > 10_000
    synthetic_targets.work(size)()
    synthetic_targets.nothing()()
    begin = time.monotonic()
    synthetic_targets.sleep(0.05)()
    assert time.monotonic() - begin >= 0.05


def test_an_allocation_is_touched_and_freed() -> None:
    synthetic_targets.allocation(1 << 20)()
