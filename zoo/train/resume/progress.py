"""How far a run has come, and who is told of it."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from zoo.train.optim.schedules import Plateau
from zoo.train.resume.order import DataPosition


@dataclass
class Progress:
    """All counters of a run; every saved state has them."""

    step: int = 0
    place: DataPosition = field(default_factory=DataPosition)
    best: float | None = None
    evaluations_without_gain: int = 0
    stopped_early: bool = False
    samples: int = 0
    units: float = 0.0  # tokens, pixels or seconds, padding not counted
    seconds: float = 0.0  # evaluating and saving are not training
    data_seconds: float = 0.0  # of these, spent waiting for batches
    max_samples: int | None = None  # in a pass, where memory has forced it below what was asked
    sampling: str = "group_by_length"
    """How an epoch is ordered; see `--train_sampling_strategy`. A run that goes on keeps it."""
    threads: int | None = None
    """of the processor, where it computes; see `zoo.train.threads`. A run that goes on keeps it."""
    plateau: Plateau = field(default_factory=Plateau)

    @classmethod
    def read(cls, saved: dict[str, Any]) -> "Progress":
        """Return the progress in the JSON of a saved state."""
        names = set(cls.__dataclass_fields__) - {"place", "plateau"}
        names -= {"sampling", "threads"} - saved.keys()  # a state of before there was a choice
        return cls(
            **{name: saved[name] for name in names},
            place=DataPosition(**saved["place"]),
            plateau=Plateau(**saved.get("plateau", {})),  # older states have none
        )


class Watcher(Protocol):
    """What the loop reports to while it runs: progress bar, log, TensorBoard."""

    def step(self, progress: Progress, samples: int) -> None: ...
    def log(self, record: dict[str, Any]) -> None: ...
    def note(self, text: str) -> None: ...
    def fit(self, steps: int, seconds: float) -> None: ...
    def samples(self, step: int, place: DataPosition, ids: np.ndarray) -> None: ...
    def flush(self) -> None: ...
    def rewind(self, step: int) -> None: ...
