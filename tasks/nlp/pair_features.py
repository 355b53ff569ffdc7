"""Pairs of texts as token ids: the source with its end, and the target with its own."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from tasks.nlp.tokenization import TokenFeatures, encode

if TYPE_CHECKING:
    import datasets


class PairFeatures(TokenFeatures):
    """The sources and targets of one split. Satisfies `tasks.base.Features`.

    A length counts the tokens of both. `untruncated` is that of the sources, before any cut. Rows
    have the text of the target too, but for training.
    """

    made = ("input_ids", "labels")
    _targets: "datasets.Dataset"

    def __init__(self, tokens: Any, *others: Any) -> None:
        """Take the columns of `encode`, and length and windows; others as `TokenFeatures`."""
        import numpy as np

        super().__init__(tokens, *others)
        columns = tokens.with_format("numpy", columns=["target_length", "target_untruncated"])
        written = np.asarray(columns["target_length"][:], dtype=np.int64)
        self.lengths = self.lengths + written
        self.target_untruncated = np.asarray(columns["target_untruncated"][:], dtype=np.int64)

    @classmethod
    def make(
        cls, examples: "datasets.Dataset", tokenizer: Any, encoding: Mapping[str, Any]
    ) -> Self:
        """Encode the pairs of a split, or find their tokens in the cache; see
        `TokenFeatures.make`."""
        found = super().make(examples, tokenizer, encoding)
        found._targets = examples.select_columns(["text_pair"])
        return found

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = super().__getitems__(indices)
        if self._view is not None:
            return rows
        texts = self._targets[list(indices)]["text_pair"]
        return [{**row, "target": text} for row, text in zip(rows, texts, strict=True)]

    @staticmethod
    def encode(rows: Mapping[str, Any], tokenizer: Any, **encoding: Any) -> dict[str, list[Any]]:
        """Return the tokens of a batch of pairs in columns: input_ids (a list of one list),
        untruncated, labels, target_length and target_untruncated.

        Args:
            encoding: `max_length` and `max_target_length`, the most tokens of either with its end,
                and `prefix`, which stands before every source.
        """
        sources = encode_sources(rows["text"], tokenizer, encoding)
        targets = encode(rows["text_pair"], None, tokenizer, encoding["max_target_length"], None)
        labels = [ids for [ids] in targets["input_ids"]]
        return {
            "input_ids": sources["input_ids"],
            "untruncated": sources["untruncated"],
            "labels": labels,
            "target_length": [len(ids) for ids in labels],
            "target_untruncated": targets["untruncated"],
        }

    def _flat(self) -> Any:
        """The token ids of all sources and targets, in one column."""
        import pyarrow as pa
        import pyarrow.compute as pc

        sources = super()._flat()
        labels = self._dataset.with_format(None).data.column("labels")
        targets = pc.list_flatten(labels).cast(sources.type)
        return pa.chunked_array([*_chunks(sources), *_chunks(targets)], sources.type)


def _chunks(column: Any) -> list[Any]:
    """Return the arrays of a column, which may be one."""
    return list(getattr(column, "chunks", [column]))


def encode_sources(
    texts: list[str], tokenizer: Any, encoding: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Return input_ids, a list of one list each, and untruncated of sources; see
    `PairFeatures.encode`."""
    texts = [encoding["prefix"] + text for text in texts] if encoding["prefix"] else list(texts)
    found = encode(texts, None, tokenizer, encoding["max_length"], None)
    return {name: found[name] for name in ("input_ids", "untruncated")}
