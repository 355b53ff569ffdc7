"""Rows of a table: vectors of the numbers that their columns become."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Task
from zoo.model import loading
from zoo.model.modality import Modality

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

NAMED = 20
"""Columns that a card names at most."""


class Table(Modality):
    """Rows as inputs: features float32 [batch, width]."""

    name = "tabular"
    axis = "width"  # nothing has this name so far: a model has one width
    unit = "values"

    def load_processor(self, folder: Path) -> Any:
        """Return what training learned of the columns of a checkpoint."""
        from zoo.tabular import table_network

        return table_network.load_processor(folder)

    def load_reader(self, folder: Path) -> Any:
        """Return what training learned of the columns, without transformers."""
        with loading.told(folder, "feature extractor"):
            return SimpleNamespace(**loading.load_json(folder, loading.PROCESSOR))

    def example_inputs(self, task: Task, processor: Any) -> tuple[Batch, Batch]:
        """Return a small and a large batch of rows: means and the most frequent categories, and
        what lies beside them."""
        columns: Any = task.schema  # type: ignore[attr-defined]
        rows = [{one.name: one.example(step) for one in columns} for step in range(3)]
        small, large = (task.collate(task.inputs(chosen)) for chosen in (rows[:2], rows))
        return small, large

    def random_inputs(
        self, signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
    ) -> dict[str, np.ndarray]:
        """Return noise with the mean and spread of scaled numbers."""
        rng = np.random.default_rng([seed, *sizes.values()])
        drawn = {}
        for port in signature.inputs:
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in port.dims)
            drawn[port.name] = rng.normal(size=shape).astype(port.dtype)
        return drawn

    def bounds(self, task: Task, model: "nn.Module") -> tuple[int, int | None]:
        """Return the least and the largest width of a row."""
        return 1, None

    def fixed_length(self, signature: "Signature", task: Task) -> float:
        """Return the columns that a row has."""
        return float(len(task.schema))  # type: ignore[attr-defined]

    def work(self, arrays: Mapping[str, np.ndarray], task: Task) -> dict[str, float]:
        """Return the number of rows, and of their values."""
        rows = len(arrays["features"])
        return {"samples": rows, self.unit: rows * len(task.schema)}  # type: ignore[attr-defined]

    def describe_inputs(self, task: Task) -> Iterator[str]:
        """Yield the columns that are read, and what becomes of what training never saw."""
        columns: Any = task.schema  # type: ignore[attr-defined]
        named = ", ".join(f"{one.name} ({one.kind})" for one in columns[:NAMED])
        more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
        yield f"Reads the columns {named}{more}, whatever their order."
        yield (
            "A number that is missing counts as the mean of the training rows, a category that they"
            " never showed as unknown."
        )


MODALITY = Table()
