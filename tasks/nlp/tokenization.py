"""Texts to token ids: encoded once, in parallel, cached on disk; padded per batch."""

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tasks import panics
from tasks.base import Batch, Viewed
from tasks.data import arrow_copy, cache, fingerprint
from tasks.data.columns import values_of
from tasks.nlp import perturb
from tasks.nlp.perturb import PerturbVocabulary
from tasks.randomness import SampleRandom

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from tokenizers import Encoding


VERSION = 2  # of what is kept of the same texts: raise it with every change there
LIBRARIES = ("tokenizers", "transformers")  # other versions may read the same text otherwise


def encode(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: Any,
    max_length: int,
    window_overlap: int | None,
) -> dict[str, list[Any]]:
    """Token ids of each text as a list of windows (one, unless `window_overlap` is given).

    Returns input_ids and, where the tokenizer has them, token_type_ids (of single texts only where
    they are not all 0): for every text a list of windows, each a list of ints; and untruncated: the
    length in tokens before any cut. The Rust tokenizer spreads a call over all cores.
    """
    names, encoded, special = encodings(texts, pairs, tokenizer, max_length, window_overlap)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    untruncated = []
    for document in encoded:
        parts = [document, *document.overflowing]
        kept = parts if window_overlap is not None else parts[:1]
        columns["input_ids"].append([part.ids for part in kept])
        if "token_type_ids" in names:
            columns["token_type_ids"].append([part.type_ids for part in kept])
        repeated = (window_overlap or 0) * (len(parts) - 1)
        untruncated.append(special - repeated + sum(len(part) - special for part in parts))
    return columns | {"untruncated": untruncated}


def encodings(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: Any,
    max_length: int,
    window_overlap: int | None,
) -> "tuple[list[str], list[Encoding], int]":
    """Return what the package tokenizers makes of each text, its later windows in `overflowing`.

    Returns the names of the inputs too (input_ids, perhaps token_type_ids: see `encode`), and how
    many special tokens each window has.
    """
    names = ["input_ids"]
    backend = tokenizer.backend_tokenizer
    with panics.told("the tokenizer fails on a text"), _as_it_was(backend):
        backend.encode_special_tokens = tokenizer.split_special_tokens
        backend.no_padding()
        if "token_type_ids" in tokenizer.model_input_names and (
            pairs is not None or any(backend.encode("").type_ids)
        ):
            names.append("token_type_ids")
        backend.enable_truncation(
            max_length,
            stride=window_overlap or 0,
            strategy="only_first" if pairs is None else "longest_first",
            direction=tokenizer.truncation_side,
        )
        encoded = backend.encode_batch(
            list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        )
        return names, encoded, backend.num_special_tokens_to_add(pairs is not None)


def whole(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Return the token ids of each text, however long, without tokens around it."""
    return [document.ids for document in whole_encodings(texts, tokenizer)]


def whole_encodings(texts: Sequence[str], tokenizer: Any) -> "list[Encoding]":
    """Return what the package tokenizers makes of each text, however long, without tokens around
    it."""
    backend = tokenizer.backend_tokenizer
    with panics.told("the tokenizer fails on a text"), _as_it_was(backend):
        backend.encode_special_tokens = tokenizer.split_special_tokens
        backend.no_padding()
        backend.no_truncation()
        encoded: list[Encoding] = backend.encode_batch(list(texts), add_special_tokens=False)
    return encoded


def beginning(text: str, tokenizer: Any, tokens: int) -> str:
    """Return a text up to the end of its first `tokens` tokens, one at least."""
    [found] = whole_encodings([text], tokenizer)
    return text if len(found.ids) <= tokens else text[: found.offsets[tokens - 1][1]]


@contextlib.contextmanager
def _as_it_was(backend: Any) -> Iterator[None]:
    """Takes back the truncation and padding that are set in a fast tokenizer: what is saved of it
    must not depend on whether texts were encoded or found in the cache."""
    truncation, padding = backend.truncation, backend.padding
    try:
        yield
    finally:
        backend.no_truncation() if truncation is None else backend.enable_truncation(**truncation)
        backend.no_padding() if padding is None else backend.enable_padding(**padding)


class TokenFeatures(Viewed):
    """The tokens of one split, memory-mapped; in a strong view words are lost, swapped and masked,
    others change nothing. Satisfies `tasks.base.Features`.

    Only tokens lie in the cache. Labels are read from the examples: two runs may read one file with
    other labels.
    """

    given: ClassVar[tuple[str, ...]] = ("text", "text_pair")
    """Columns of the examples that are encoded."""
    made: ClassVar[tuple[str, ...]] = ("input_ids", "token_type_ids")
    """Columns of what `encode` makes of them that a sample has."""

    @staticmethod
    def encode(rows: Mapping[str, Any], tokenizer: Any, **encoding: Any) -> dict[str, list[Any]]:
        """The tokens of a batch of rows in columns, `untruncated` among them."""
        return encode(rows["text"], rows.get("text_pair"), tokenizer, **encoding)

    def __init__(
        self,
        tokens: "datasets.Dataset",
        labels: "datasets.Dataset | None",
        vocabulary: PerturbVocabulary,
        unknown: int | None,
    ) -> None:
        """
        Args:
            tokens: the columns of `encode`, and length and windows.
            labels: the column label of the same rows; None where they have none.
            unknown: id that stands for what the tokenizer can't read, where it has one.
        """
        import numpy as np

        columns = tokens.with_format("numpy", columns=["length", "windows", "untruncated"])
        self.lengths: np.ndarray = np.asarray(columns["length"][:], dtype=np.int64)
        self.rows: np.ndarray = np.asarray(columns["windows"][:], dtype=np.int64)
        self.untruncated: np.ndarray = np.asarray(columns["untruncated"][:], dtype=np.int64)
        self.origins: np.ndarray = np.arange(len(tokens))
        self._columns = [name for name in tokens.column_names if name in self.made]
        self._dataset = tokens.with_format(None).select_columns(self._columns)
        self._labels = labels
        self._vocabulary = vocabulary
        self.unknown = unknown

    @classmethod
    def make(
        cls, examples: "datasets.Dataset", tokenizer: Any, encoding: Mapping[str, Any]
    ) -> Self:
        """Encodes the columns `given` of a split, or finds their tokens in the cache.

        The cache file is named by the content of these columns and all that decides how they are
        encoded, so nothing stale can be read.
        """
        import datasets
        import pyarrow as pa

        texts = examples.select_columns(
            [name for name in cls.given if name in examples.column_names]
        )
        name = _key(texts, tokenizer, encoding)
        folder = cache.folder() / "tokens"
        folder.mkdir(parents=True, exist_ok=True)

        def encode_rows(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
            columns = cls.encode(rows, tokenizer, **encoding)
            ids = columns["input_ids"]
            return columns | {
                "length": [max(map(len, windows)) for windows in ids],
                "windows": [len(windows) for windows in ids],
            }

        with arrow_copy.disk_errors():
            encoded = texts.map(
                encode_rows,
                batched=True,
                batch_size=2000,
                remove_columns=texts.column_names,
                cache_file_name=str(folder / f"{name}.arrow"),
                load_from_cache_file=True,
                new_fingerprint=name,
                desc="tokenizing",
            )
        labels = None
        if "label" in examples.column_names:  # by themselves they are found at once
            labels = datasets.Dataset(pa.table({"label": values_of(examples, "label")}))
        return cls(encoded, labels, PerturbVocabulary.of(tokenizer), _unknown(tokenizer))

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        columns = self._dataset[list(indices)]
        if self._labels is not None:
            columns |= self._labels[list(indices)]
        rows = [
            {"sample_id": index} | {name: values[row] for name, values in columns.items()}
            for row, index in enumerate(indices)
        ]
        if self._view is None or self._view.strength != "strong":
            return rows
        draws = SampleRandom(self._view, indices)
        return [perturb.row(row, draws, i, self._vocabulary) for i, row in enumerate(rows)]

    def used_ids(self) -> "np.ndarray":
        """The distinct token ids of the split and its padding, sorted, int64."""
        import numpy as np
        import pyarrow.compute as pc

        values = pc.unique(self._flat()).to_numpy(zero_copy_only=False).astype("int64")
        return np.union1d(values, [self._vocabulary.pad])

    def unknown_share(self) -> float:
        """Return the share of tokens, those around a text left out, that stand for what can't be
        read; 0 to 1."""
        import pyarrow.compute as pc

        if self.unknown is None:
            return 0.0
        ids = self._flat()
        special = pc.is_in(ids, value_set=_array(self._vocabulary.special - {self.unknown}, ids))
        count = len(ids) - (pc.sum(special).as_py() or 0)
        unknown = pc.sum(pc.equal(ids, self.unknown)).as_py() or 0
        return unknown / count if count else 0.0

    def _flat(self) -> Any:
        """The token ids of all windows of all texts, in one column."""
        import pyarrow.compute as pc

        column = self._dataset.with_format("arrow")["input_ids"]
        chunks = getattr(column, "chunks", None)
        if chunks is None:
            column = self._dataset.data.column("input_ids")
        return pc.list_flatten(pc.list_flatten(column))


class OriginFeatures(TokenFeatures):
    """Tokens whose samples say in `document` which row of the split they come from."""

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = super().__getitems__(indices)
        return [
            {**row, "document": int(self.origins[index])}
            for row, index in zip(rows, indices, strict=True)
        ]


def _key(texts: "datasets.Dataset", tokenizer: Any, encoding: Mapping[str, Any]) -> str:
    """32 hex digits for the content of the texts and all that decides how they are encoded."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    # left over from the call before; every call sets its own
    rules = {name: part for name, part in backend.items() if name not in ("truncation", "padding")}
    how = {
        "version": VERSION,
        "libraries": [importlib.metadata.version(name) for name in LIBRARIES],
        "class": type(tokenizer).__name__,
        "rules": rules,
        "inputs": list(tokenizer.model_input_names),
        "truncation_side": tokenizer.truncation_side,
        "split_special_tokens": getattr(tokenizer, "split_special_tokens", False),
        "encoding": dict(encoding),
    }
    whole = [fingerprint.of_strings(texts), json.dumps(how, sort_keys=True)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


def _unknown(tokenizer: Any) -> int | None:
    """The id of what can't be read, where no other part of a tokenizer uses it (as in GPT-2)."""
    unknown: int | None = tokenizer.unk_token_id
    names = ("bos", "eos", "cls", "sep", "pad", "mask")
    others = [getattr(tokenizer, f"{name}_token_id", None) for name in names]
    return None if unknown in others else unknown


def _array(ids: Iterable[int], like: Any) -> Any:
    import pyarrow as pa

    return pa.array(sorted(ids), like.type)


def pad(
    rows: Sequence[Mapping[str, Any]],
    pad_token_id: int,
    side: str = "right",
    buckets: Sequence[int] = (),
) -> Batch:
    """All windows of all rows, padded to the longest; see `TextClassification.collate`.

    A text without any token becomes one token of padding that counts. Arrays are numpy's.

    Args:
        buckets: ascending lengths, to the first of which that is long enough all are padded.
    """
    import numpy as np

    windows = [
        window if len(window) else [pad_token_id] for row in rows for window in row["input_ids"]
    ]
    longest = max(map(len, windows))
    longest = next((bucket for bucket in buckets if bucket >= longest), longest)
    input_ids = np.full((len(windows), longest), pad_token_id, dtype=np.int64)
    mask = np.zeros((len(windows), longest), dtype=np.int64)
    places = [
        slice(longest - len(window), longest) if side == "left" else slice(len(window))
        for window in windows
    ]
    for i, (window, place) in enumerate(zip(windows, places, strict=True)):
        input_ids[i, place] = window
        mask[i, place] = 1
    inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask}
    if "token_type_ids" in rows[0]:
        types = np.zeros((len(windows), longest), dtype=np.int64)
        segments = (window for row in rows for window in row["token_type_ids"])
        for i, (window, place) in enumerate(zip(segments, places, strict=True)):
            types[i, place] = window if len(window) else 0
        inputs["token_type_ids"] = types
    ids: Any = np.array([row["sample_id"] for row in rows], np.int64)
    if len(windows) == len(rows):
        return Batch(inputs, ids)
    counts = [len(row["input_ids"]) for row in rows]
    owners: Any = np.repeat(np.arange(len(rows)), counts)
    return Batch(inputs, ids, windows=owners)
