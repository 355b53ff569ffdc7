"""What accumulators of written texts share: a hypothesis and a reference a sample, by id."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics.accumulator import Answer, MetricAccumulator, checked_ids, rows_by_id
from tasks.metrics.arithmetic import Ints

_Array = npt.NDArray[Any]
Columns = tuple[Ints, list[str], list[str]]
"""Ids int64 [n], hypotheses and references."""


class TextPairMetric(MetricAccumulator):
    """Hypotheses and references of one evaluation; a subclass computes metrics of them."""

    def __init__(self) -> None:
        """Start with no samples."""
        super().__init__((np.empty(0, np.int64), [], []))

    def update(self, ids: _Array, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        """Count a batch: integers [b], and as many texts and texts. Else: ValueError."""
        ids = checked_ids(ids)
        if not len(ids) == len(hypotheses) == len(references):
            raise ValueError(
                f"{len(ids)} ids, {len(hypotheses)} hypotheses and {len(references)} references"
            )
        self._append((ids, [*hypotheses], [*references]))

    def only_answer(self) -> Answer | None:
        """Return the text, perhaps empty, that was written for every sample, where they are several
        whose references differ; else None."""
        _, hypotheses, references = self._columns()
        written = set(normalized_blanks(hypotheses))
        differ = len(set(normalized_blanks(references))) > 1
        return written.pop() if len(written) == 1 and differ else None

    def _distinct(self, chunks: Sequence[Columns]) -> Columns:
        kept = rows_by_id(
            (int(i), hypothesis, reference)
            for columns in chunks
            for i, hypothesis, reference in zip(*columns, strict=True)
        )
        hypotheses, references = ([row[i] for row in kept.values()] for i in (0, 1))
        return np.fromiter(kept, np.int64, len(kept)), hypotheses, references

    def _packed(self, columns: Columns) -> dict[str, _Array]:
        """Of each kind of text its UTF-8, uint8 [bytes], one after the other, and where each ends,
        int64 [n]."""
        packed: dict[str, _Array] = {"ids": columns[0]}
        packed["hypotheses"], packed["hypothesis_ends"] = _pack(columns[1])
        packed["references"], packed["reference_ends"] = _pack(columns[2])
        return packed

    def _unpacked(self, state: Mapping[str, _Array]) -> Columns:
        return (
            state["ids"],
            _unpack(state["hypotheses"], state["hypothesis_ends"]),
            _unpack(state["references"], state["reference_ends"]),
        )


def normalized_blanks(texts: Sequence[str]) -> list[str]:
    """Return texts with one space for white space of any kind and length, and none at the ends."""
    return [" ".join(text.split()) for text in texts]


def _pack(texts: list[str]) -> tuple[_Array, Ints]:
    """Texts as UTF-8, uint8 [bytes], and where each ends, int64 [n]."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return np.frombuffer(b"".join(parts), np.uint8).copy(), ends


def _unpack(data: _Array, ends: Ints) -> list[str]:
    raw = np.asarray(data, np.uint8).tobytes()
    begin, texts = 0, []
    for end in np.asarray(ends).tolist():
        texts.append(raw[begin:end].decode("utf-8", "surrogatepass"))
        begin = end
    return texts
