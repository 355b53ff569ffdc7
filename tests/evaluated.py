"""A batch as the evaluation loop hands it to a task's metrics."""

from typing import Any

from tasks.base import Batch, Evaluated, Outputs, Task


def evaluated(task: Task, batch: Batch, outputs: Outputs, model: Any = None) -> Evaluated:
    """What the task makes of the outputs of a model."""
    predictions, references = task.predict(model, batch, outputs), task.references(batch)
    return Evaluated(batch, outputs, task.loss(outputs, batch), predictions, references)
