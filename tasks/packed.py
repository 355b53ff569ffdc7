"""Samples that lie one after the other in one row, without padding between them.

Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"
(https://arxiv.org/abs/2107.02027): attention stays within a sequence, positions begin anew in each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from tasks.base import Batch


@dataclass(frozen=True)
class PackedShape:
    """The shape of every packed batch of a run, whatever its content.

    A row has `tokens` tokens in `sequences` + `fillers` sequences: those of the samples, one token
    of padding in the place of each that is missing, and padding up to the end. None is empty.
    """

    tokens: int
    """in a row"""
    samples: int
    """most samples in a row"""
    sequences: int
    """most sequences of samples in a row: more than `samples` where texts are cut in windows"""
    longest: int
    """tokens of the longest sequence, 2 at least"""

    @property
    def fillers(self) -> int:
        """The number of padding sequences at the end of a row, each of 1 to `longest` tokens."""
        return -(-self.tokens // self.longest)

    def fits(self, samples: int, sequences: int, tokens: int) -> bool:
        """Whether `samples` samples, with so many sequences and tokens in total, fit into a row."""
        if samples > self.samples or sequences > self.sequences:
            return False
        return tokens + (self.sequences - sequences) + self.fillers <= self.tokens


@runtime_checkable
class Packs(Protocol):
    """A task whose samples can be packed into one row."""

    packs_windows: ClassVar[bool]
    """Whether samples that are cut in several windows can, too."""

    def collate_packed(self, rows: Sequence[Mapping[str, Any]], shape: PackedShape) -> Batch:
        """Return a packed batch of that shape; its padding has no weight in the task's loss.

        The inputs are input_ids and position_ids int64 [1, tokens] (token_type_ids, too, where rows
        have them), and cu_seqlens int32 [sequences + fillers + 1], where each sequence begins and
        the last ends. The ids are int64 [samples], -1 where there is none.
        """
        ...
