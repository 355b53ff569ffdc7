"""Samples of many lengths padded to few, so that batches have few shapes: on a GPU each new one
costs tens of milliseconds, in which kernels are chosen and memory is found."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from tasks.base import Batch, Collate

if TYPE_CHECKING:
    import numpy as np

MOST = 8
"""Lengths that batches are padded to."""
MULTIPLE = 8
"""The lengths are multiples of it, as products of bf16 on a GPU want them."""


@runtime_checkable
class PadsToBuckets(Protocol):
    """A task whose batches can be padded to one of a few lengths."""

    pads_to_buckets: ClassVar[bool]

    def collate(self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()) -> Batch:
        """Return the batch of `Task.collate`, padded to the smallest of the ascending `buckets`
        that is long enough; if none is, to the longest row."""
        ...


def collate_of(task: Any, lengths: "np.ndarray", device_type: str) -> Collate:
    """Return the function that collates a task's samples on a device; on a GPU, batches have few
    different shapes.

    Args:
        lengths: int64 [n] of the samples.
    """
    if device_type == "cuda" and isinstance(task, PadsToBuckets) and len(lengths):
        return functools.partial(task.collate, buckets=length_buckets(lengths))
    collate: Collate = task.collate
    return collate


def length_buckets(lengths: "np.ndarray") -> tuple[int, ...]:
    """Return at most MOST lengths in ascending order, with equally many samples between neighbours;
    the last is the length of the longest sample."""
    import numpy as np

    shares = np.arange(1, MOST + 1) / MOST
    longest = int(lengths.max())
    ends = np.quantile(lengths, shares, method="higher").astype(np.int64)
    return tuple(sorted({min(longest, -(-int(end) // MULTIPLE) * MULTIPLE) for end in ends}))
