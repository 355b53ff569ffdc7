"""Batches that say in which range a network's values lie."""

import numpy as np

from tasks.base import Batch, Features, Task

SAMPLES = 256
BATCH = 8


def batches(task: Task, features: Features) -> list[Batch]:
    """Return batches of samples drawn from the whole split, the same ones each time."""
    rng = np.random.default_rng(0)
    size = min(SAMPLES, len(features))
    chosen = np.sort(rng.choice(len(features), size, replace=False)).tolist()
    rows = features.__getitems__(chosen)
    return [task.collate(rows[i : i + BATCH]) for i in range(0, size, BATCH)]
