"""Numbers that are still being computed: kept on the device, read when that costs no waiting.

On a GPU a step is only queued when the loop goes on to the next. Reading its loss would wait for
it, so records are read one logging interval late, and a step whose loss is not finite is skipped by
the optimizer itself (`found_inf`) and reported at the next reading. On the CPU everything is there
at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import UserError
from zoo.train.resume.progress import Watcher

SHOWN = 16  # sample ids in an error


class Copied:
    """Values of a tensor that are being copied to the host; reading waits for the copy only, not
    for work queued later."""

    def __init__(self, values: Tensor) -> None:
        self._host, self._arrived = values, None
        if values.device.type == "cuda":
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> list[Any]:
        """Return the values as numbers, after waiting for the copy."""
        if self._arrived is not None:
            self._arrived.synchronize()
        found: list[Any] = self._host.tolist()
        return found


class DeviceLog:
    """Collects losses and logs of the steps on the device, and checks that they are finite."""

    def __init__(self, watcher: Watcher, deferred: bool = False) -> None:
        """Args: deferred: whether the optimizer itself skips steps whose loss or gradient is not
        finite."""
        self.losses: list[Tensor] = []
        self.logs: dict[str, list[Tensor]] = {}
        self._watcher = watcher
        self._deferred = deferred
        self._records: list[tuple[dict[str, Any], tuple[str, ...], Copied]] = []
        self._unchecked: list[tuple[int, np.ndarray, Tensor]] = []
        self._on_the_way: list[tuple[list[tuple[int, np.ndarray]], Copied]] = []

    def check(self, step: int, ids: np.ndarray, loss: Tensor, passed: Tensor) -> None:
        """Record a step's loss, and check it before the optimizer steps unless checks are deferred.

        Args: passed: bool [2], whether loss and gradient norm are finite.

        Raises `UserError` with the step and its samples if one is not finite.
        """
        self.losses.append(loss)
        if not self._deferred and all(passed.tolist()):
            return
        self._unchecked.append((step, ids, passed))
        if not self._deferred:
            self._refuse_nonfinite()

    def add(self, logs: Mapping[str, Tensor]) -> None:
        """Add the scalars that the objective logs for a step: means over what it counts."""
        for name, value in logs.items():
            self.logs.setdefault(name, []).append(value)

    def record(self, record: dict[str, Any], norm: Tensor) -> None:
        """Finish a log record with the mean losses and logs of the steps since the last record."""
        means = [torch.stack(values).mean() for values in (self.losses, *self.logs.values())]
        names = ("loss", *self.logs, "grad_norm")
        self.losses.clear()
        self.logs.clear()
        earlier = len(self._records)
        self._records.append((record, names, Copied(torch.stack([*means, norm.detach()]))))
        self._write(earlier if self._deferred else earlier + 1)
        self._send()

    def flush(self) -> None:
        """Read all pending values; called before an evaluation, before a saved state, and at the
        end."""
        self._refuse_nonfinite()
        self._write(len(self._records))

    def _write(self, count: int) -> None:
        for record, names, values in self._records[:count]:
            self._watcher.log(record | dict(zip(names, values.read(), strict=True)))
        del self._records[:count]
        if count and self._deferred:
            self._refuse(self._on_the_way)

    def _send(self) -> None:
        """Start copying unchecked values to the host."""
        if self._unchecked:
            passed = torch.stack([passed for _, _, passed in self._unchecked])
            steps = [(step, ids) for step, ids, _ in self._unchecked]
            self._on_the_way.append((steps, Copied(passed)))
            self._unchecked = []

    def _refuse_nonfinite(self) -> None:
        self._send()
        self._refuse(self._on_the_way)

    def _refuse(self, sent: list[tuple[list[tuple[int, np.ndarray]], Copied]]) -> None:
        while sent:
            steps, passed = sent.pop(0)
            for (step, ids), (loss, norm) in zip(steps, passed.read(), strict=True):
                if not (loss and norm):
                    raise UserError(
                        f"the {'gradient norm' if loss else 'loss'} is not finite at step {step} "
                        f"(training rows {_list(ids)}); {self._what_stands()}"
                    )

    def _what_stands(self) -> str:
        cure = "lower `learning_rate`, or look at these rows"
        if not self._deferred:
            return f"the weights are as before that step: {cure}"
        return f"that step has changed no weight: {cure}, and go on from the last saved state"


def _list(ids: Sequence[int] | np.ndarray) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(str(i) for i in ids[:SHOWN]) + more
