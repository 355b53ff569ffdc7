"""Numbers of steps that are read later, and what is said of one that is not finite."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import UserError
from zoo.train.reporting.device_log import DeviceLog


class Told:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def log(self, record: dict[str, Any]) -> None:
        self.records.append(record)


def check(log: DeviceLog, step: int, loss: float, passed: tuple[bool, bool] = (True, True)) -> None:
    log.check(step, np.array([step, 7]), torch.tensor(loss), torch.tensor(passed))


def record(log: DeviceLog, step: int) -> None:
    log.record({"step": step}, torch.tensor(0.5))


def test_at_once_on_the_cpu() -> None:
    log = DeviceLog(told := Told())  # type: ignore[arg-type]
    check(log, 0, 1.0), check(log, 1, 3.0)
    record(log, 2)
    assert told.records == [{"step": 2, "loss": 2.0, "grad_norm": 0.5}]
    with pytest.raises(
        UserError, match=r"norm is not finite at step 2 .*rows 2, 7\); the weights are as before"
    ):
        check(log, 2, 1.0, (True, False))


def test_one_record_late_where_the_device_computes_ahead() -> None:
    log = DeviceLog(told := Told(), deferred=True)  # type: ignore[arg-type]
    check(log, 0, 1.0)
    record(log, 1)
    assert told.records == []
    check(log, 1, 5.0, (False, False))
    record(log, 2)  # reads what was there at the record before
    assert [one["loss"] for one in told.records] == [1.0]
    check(log, 2, 7.0)
    # later steps have been done meanwhile
    with pytest.raises(UserError, match=r"not finite at step 1 .*; that step has changed no w"):
        record(log, 3)


def test_everything_is_read_before_an_evaluation() -> None:
    log = DeviceLog(told := Told(), deferred=True)  # type: ignore[arg-type]
    check(log, 0, 1.0)
    record(log, 1)
    check(log, 1, 2.0)
    log.flush()
    assert [one["step"] for one in told.records] == [1]
    check(log, 2, 2.0, (False, True))
    with pytest.raises(UserError, match="step 2"):
        log.flush()
