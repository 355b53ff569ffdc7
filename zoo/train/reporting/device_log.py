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


class DeviceLog:
    """Losses and logs since the last record, records not yet read, and whether all was finite."""

    def __init__(self, watcher: Watcher, optimizer: torch.optim.Optimizer, device: torch.device):
        self.losses: list[Tensor] = []
        self.logs: dict[str, list[Tensor]] = {}
        self._watcher = watcher
        self._optimizer = optimizer
        self._device = device
        self._deferred = device.type == "cuda" and bool(optimizer.defaults.get("fused"))
        self._records: list[tuple[dict[str, Any], tuple[str, ...], Tensor]] = []
        self._unchecked: list[tuple[int, np.ndarray, Tensor]] = []

    def check(self, step: int, ids: np.ndarray, loss: Tensor, norm: Tensor) -> None:
        """Called before the optimizer steps: a step that is not finite must change no weight.

        Raises `UserError` with the step and its samples.
        """
        values = torch.stack([loss.detach(), norm.detach()])
        self.losses.append(loss.detach())
        self._unchecked.append((step, ids, values))
        if self._deferred:
            self._optimizer.found_inf = (~values.isfinite().all()).float()  # type: ignore[attr-defined]
        else:
            self._refuse_nonfinite()

    def add(self, logs: Mapping[str, Tensor]) -> None:
        """What the objective logs of a step, a mean over what it counts; scalars."""
        for name, value in logs.items():
            self.logs.setdefault(name, []).append(value)

    def record(self, record: dict[str, Any], norm: Tensor) -> None:
        """A log record of the steps since the last one: the means of their losses and logs."""
        means = [torch.stack(values).mean() for values in (self.losses, *self.logs.values())]
        names = ("loss", *self.logs, "grad_norm")
        self.losses.clear()
        self.logs.clear()
        earlier = len(self._records)
        self._records.append((record, names, torch.stack([*means, norm.detach()])))
        self._write(earlier if self._deferred else earlier + 1)

    def flush(self) -> None:
        """Reads everything: before an evaluation, a saved state, and at the end."""
        self._refuse_nonfinite()
        self._write(len(self._records))

    def _write(self, count: int) -> None:
        for record, names, values in self._records[:count]:
            self._watcher.log(record | dict(zip(names, values.tolist(), strict=True)))
        del self._records[:count]
        if count and self._deferred:
            self._refuse_nonfinite()

    def _refuse_nonfinite(self) -> None:
        unchecked, self._unchecked = self._unchecked, []
        for step, ids, values in unchecked:
            loss, norm = values.isfinite().tolist()
            if not (loss and norm):
                raise UserError(
                    f"the {'gradient norm' if loss else 'loss'} is not finite at step {step} "
                    f"(training rows {_list(ids)}); the weights are as before that step: lower "
                    "--learning_rate, or look at these rows"
                )


def _list(ids: Sequence[int] | np.ndarray) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(str(i) for i in ids[:SHOWN]) + more
