"""What a model has made for `evaluate`, measured beside the same of others."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from tasks.metrics.spec import metric_spec
from zoo.machine.formatting import NOTHING, short
from zoo.store import evidence

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tasks.base import Features
    from tasks.metrics.intervals import MetricEstimate

MADE = "made"
"""The name of the set that the model has made."""


class Judged:
    """Metrics of what a model has made, and of other sets beside it."""

    kind: ClassVar[str]
    """what is made, as JSON names it"""
    sets: "Mapping[str, Iterable[MetricEstimate]]"
    """metrics by the name of the set; that of the model is `MADE`"""

    @property
    def made(self) -> "Iterable[MetricEstimate]":
        """The metrics of what the model has made."""
        return self.sets[MADE]

    def described(self) -> dict[str, Any]:
        """Return how it was measured, as plain JSON."""
        raise NotImplementedError

    def workload(self) -> dict[str, Any]:
        """Return how it was measured, as evidence keeps it."""
        return self.described()

    def show(self) -> None:
        """Print the metrics as a table."""
        raise NotImplementedError

    def facts(self, common: Mapping[str, Any]) -> list[evidence.Fact]:
        """Return the metrics as facts: of what was made, and the scale beside them.

        Args:
            common: fields that all facts of the evaluation have.
        """
        workload = self.workload()
        return [
            evidence.fact(
                "metric" if name == MADE else "reference",
                one.name if name == MADE else evidence.REFERENCE + one.name,
                one.value,
                metric_spec(one.name).unit,
                n=one.n,
                interval=evidence.interval_of(one),
                label=None if name == MADE else name,
                workload=workload,
                **common,
            )
            for name, found in self.sets.items()
            for one in found
        ]


class Judge(Protocol):
    """Measures what a model makes."""

    def judge(self, model: "nn.Module", features: "Features", dtype: "torch.dtype") -> Judged:
        """Let the model make something, and return what it is worth.

        Args:
            features: what the model is evaluated on.
            dtype: that the model computes in.
        """
        ...


def cells(one: "MetricEstimate") -> tuple[str, str]:
    """Return a value and its interval as cells of a table."""
    if np.isnan(one.low):
        return short(one.value), NOTHING
    return short(one.value), f"{short(one.low)} to {short(one.high)}"
