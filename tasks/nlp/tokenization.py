"""Texts to token ids: encoded once, in parallel, cached on disk; padded per batch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from tasks import cache, panics
from tasks.draws import Draws
from tasks.nlp import perturb
from tasks.nlp.perturb import Vocabulary

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from tasks.base import Batch
    from tasks.draws import View


def encode(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: Any,
    max_length: int,
    window_overlap: int | None,
) -> dict[str, list[Any]]:
    """Token ids of each text as a list of windows (one, unless `window_overlap` is given).

    Returns input_ids and, for pairs, token_type_ids where the tokenizer has them: for every text a
    list of windows, each a list of ints; and untruncated: the length in tokens before any cut. The
    Rust tokenizer spreads a call over all cores.
    """
    windows = window_overlap is not None
    names = ["input_ids"]
    if pairs is not None and "token_type_ids" in tokenizer.model_input_names:
        names.append("token_type_ids")
    with panics.told("the tokenizer fails on a text"):
        encoded = tokenizer(
            list(texts),
            None if pairs is None else list(pairs),
            truncation=("only_first" if pairs is None else "longest_first"),
            max_length=max_length,
            stride=window_overlap or 0,
            return_overflowing_tokens=True,
            return_token_type_ids="token_type_ids" in names,
            return_attention_mask=False,
        )
    columns: dict[str, list[Any]] = {name: [[] for _ in texts] for name in names}
    special = tokenizer.num_special_tokens_to_add(pair=pairs is not None)
    untruncated = [special] * len(texts)
    previous = -1
    for row, document in enumerate(encoded["overflow_to_sample_mapping"]):
        first = document != previous
        previous = document
        length = len(encoded["input_ids"][row]) - special
        untruncated[document] += length - (0 if first else window_overlap or 0)
        if first or windows:
            for name in names:
                columns[name][document].append(encoded[name][row])
    return columns | {"untruncated": untruncated}


class TokenFeatures:
    """The tokens of one split, memory-mapped. Satisfies `tasks.base.Features`."""

    def __init__(self, dataset: "datasets.Dataset", vocabulary: Vocabulary) -> None:
        import numpy as np

        self._dataset = dataset.with_format(None)
        columns = dataset.with_format("numpy", columns=["length", "windows", "untruncated"])
        self.lengths: np.ndarray = np.asarray(columns["length"][:], dtype=np.int64)
        self.rows: np.ndarray = np.asarray(columns["windows"][:], dtype=np.int64)
        self.untruncated: np.ndarray = np.asarray(columns["untruncated"][:], dtype=np.int64)
        self.origins: np.ndarray = np.arange(len(dataset))
        self._columns = [
            name
            for name in dataset.column_names
            if name in ("input_ids", "token_type_ids", "label")
        ]
        self._dataset = self._dataset.select_columns(self._columns)
        self._vocabulary = vocabulary
        self._view: View | None = None

    @classmethod
    def make(
        cls,
        examples: "datasets.Dataset",
        tokenizer: Any,
        cache_key: str,
        encoding: Mapping[str, Any],
    ) -> Self:
        """Encodes a split, or finds it in the cache.

        The cache file is named by the sum of `cache_key` (the data), the tokenizer's whole content
        and the settings, so nothing stale can be read.
        """
        content = tokenizer.backend_tokenizer.to_str()
        key = json.dumps([cache_key, hashlib.sha256(content.encode()).hexdigest(), dict(encoding)])
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        folder = cache.folder() / "tokens"
        folder.mkdir(parents=True, exist_ok=True)
        pair = "text_pair" in examples.column_names

        def encode_rows(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
            columns = encode(
                rows["text"], rows["text_pair"] if pair else None, tokenizer, **encoding
            )
            ids = columns["input_ids"]
            return columns | {
                "length": [max(map(len, windows)) for windows in ids],
                "windows": [len(windows) for windows in ids],
            }

        encoded = examples.map(
            encode_rows,
            batched=True,
            batch_size=2000,
            remove_columns=["text", "text_pair"] if pair else ["text"],
            cache_file_name=str(folder / f"{name}.arrow"),
            load_from_cache_file=True,
            new_fingerprint=name,
            desc="tokenizing",
        )
        return cls(encoded, Vocabulary.of(tokenizer))

    def view(self, view: "View") -> Self:
        """The same texts; in a strong view words are lost, swapped and masked, others change
        nothing."""
        import copy

        seen = copy.copy(self)
        seen._view = view
        return seen

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        columns = self._dataset[list(indices)]
        rows = [
            {"sample_id": index} | {name: columns[name][row] for name in self._columns}
            for row, index in enumerate(indices)
        ]
        if self._view is None or self._view.strength != "strong":
            return rows
        draws = Draws(self._view, indices)
        return [perturb.row(row, draws, i, self._vocabulary) for i, row in enumerate(rows)]

    def used_ids(self) -> "np.ndarray":
        """The distinct token ids of the split, sorted, int64."""
        import pyarrow.compute as pc

        column = self._dataset.with_format("arrow")["input_ids"]
        chunks = getattr(column, "chunks", None)
        if chunks is None:
            column = self._dataset.data.column("input_ids")
        flat = pc.list_flatten(pc.list_flatten(column))
        values: np.ndarray = pc.unique(flat).to_numpy(zero_copy_only=False).astype("int64")
        values.sort()
        return values


def pad(rows: Sequence[Mapping[str, Any]], pad_token_id: int) -> "Batch":
    """All windows of all rows, padded on the right to the longest; see
    `TextClassification.collate`."""
    import numpy as np
    import torch

    windows = [window for row in rows for window in row["input_ids"]]
    longest = max(map(len, windows))
    input_ids = np.full((len(windows), longest), pad_token_id, dtype=np.int64)
    mask = np.zeros((len(windows), longest), dtype=np.int64)
    for i, window in enumerate(windows):
        input_ids[i, : len(window)] = window
        mask[i, : len(window)] = 1
    batch = {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)}
    if "token_type_ids" in rows[0]:
        types = np.zeros((len(windows), longest), dtype=np.int64)
        segments = (window for row in rows for window in row["token_type_ids"])
        for i, window in enumerate(segments):
            types[i, : len(window)] = window
        batch["token_type_ids"] = torch.from_numpy(types)
    if len(windows) > len(rows):
        counts = torch.tensor([len(row["input_ids"]) for row in rows])
        batch["document"] = torch.repeat_interleave(torch.arange(len(rows)), counts)
    return batch
