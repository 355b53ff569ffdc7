"""What `zoo.finetune` and `zoo.evaluate` give back: a checkpoint and what was measured of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.machine.formatting import interval

if TYPE_CHECKING:
    from tasks.metrics.intervals import MetricEstimate
    from zoo.evaluation.loop import Evaluation, Mistake


@dataclass(frozen=True, repr=False)
class CheckpointMetrics:
    """The metrics of a checkpoint on one split of a data set.

    It stands for its folder wherever a path does: `zoo.load(run)`, `Path(run)`.
    """

    folder: Path
    """folder of the checkpoint"""
    model: str
    """name of the model: "bert_cls" """
    data: str
    """name of the data set"""
    split: str
    """split that was measured: "test" where the data have one"""
    loss: float
    """mean loss of the split's targets, in nats for a classifier"""
    metrics: "Mapping[str, MetricEstimate]"
    """metrics by name, the main one first; each has value, n, low, high, level and method"""
    hardest: "Sequence[Mistake]" = ()
    """the wrong predictions of highest loss, the hardest first, where they were asked for"""

    @classmethod
    def of(
        cls, folder: Path, model: str, data: str, split: str, evaluation: "Evaluation"
    ) -> "CheckpointMetrics":
        """Return the result of an evaluation with what it is about."""
        metrics = {metric.name: metric for metric in evaluation.measured}
        return cls(folder, model, data, split, evaluation.loss, metrics, evaluation.hardest)

    def extended(self, more: "Iterable[MetricEstimate]") -> "CheckpointMetrics":
        """Return the result with more metrics behind those it has."""
        return replace(self, metrics={**self.metrics, **{metric.name: metric for metric in more}})

    def __fspath__(self) -> str:
        """Return the path of the checkpoint's folder."""
        return str(self.folder)

    def __repr__(self) -> str:
        """Return the metrics as a table of plain text."""
        width = max(map(len, self.metrics), default=0)
        rows = [
            f"  {name:<{width}}  {one.value:.4f}  {interval(one.low, one.high)}  n={one.n:,}"
            for name, one in self.metrics.items()
        ]
        return "\n".join([f"{self.folder}: {self.model} on {self.data}, {self.split}", *rows])
