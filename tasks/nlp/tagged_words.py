"""Words with tags: columns of lists, what is wrong with them, and the tokens of words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tasks.data.label_checks import warning
from tasks.data.labels import UNLABELLED
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED
from tasks.nlp.tokenization import TokenFeatures, encodings

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

    from tasks.metrics.spans import TagScheme
    from tasks.preflight import Finding

Words = Sequence[tuple[int, int]]
"""Where the words of a text begin and end, in characters."""
NAMED = 5  # tags that a line names at most


@dataclass(frozen=True, eq=False)
class TagsPrediction:
    """The predicted tag of each word of a text."""

    tags: "np.ndarray"  # int64 [words]
    scores: "np.ndarray"  # float32 [words]: the tag's probability
    text: str | None = None
    """The text, where it was given as one."""
    words: Words = ()
    """Where its words stand in it."""


def tagged(prediction: TagsPrediction, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return each word of a text with its tag: label, score, start, end (characters) and text."""
    rows = zip(prediction.words, prediction.tags, prediction.scores, strict=True)
    return [_at(prediction, labels[tag], score, span) for span, tag, score in rows]


def spans_of(prediction: TagsPrediction, scheme: "TagScheme") -> list[dict[str, Any]]:
    """Return the spans that the tags of a text stand for, as `tagged` does its words; a score is
    the mean of its words'."""
    import numpy as np

    found = scheme.spans(prediction.tags, np.array([len(prediction.tags)]))
    spans = []
    for kind, first, last in zip(found.type, found.start, found.end, strict=True):
        place = prediction.words[first][0], prediction.words[last - 1][1]
        score = prediction.scores[first:last].mean()
        spans.append(_at(prediction, scheme.types[kind], score, place))
    return spans


def _at(
    prediction: TagsPrediction, label: str, score: Any, span: tuple[int, int]
) -> dict[str, Any]:
    assert prediction.text is not None, "only texts have characters"
    start, end = span
    text = prediction.text[start:end]
    return {"label": label, "score": float(score), "start": start, "end": end, "text": text}


class Names(NamedTuple):
    """The names of the tags of a data set."""

    given: list[str]
    """In the order of the data's own ClassLabel; empty where it has none."""
    found: list[str]
    """All that words of any split have."""

    def in_order(self) -> tuple[str, ...]:
        """Return all tags as a network numbers them: in the data's order, where it has one."""
        from tasks.metrics.spans import TagScheme

        return tuple(self.given or TagScheme(self.found).order())


def checked(
    splits: "datasets.DatasetDict", tokens: str, tags: str, where: str
) -> "datasets.DatasetDict":
    """The splits, whose columns tokens and label are lists. Raises `UserError` where they are not,
    with the columns' own names."""
    import pyarrow as pa

    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_null)
    for name, split in splits.items():
        for column, own, flag in (("tokens", tokens, "token"), ("label", tags, "tag")):
            stored = split.data.schema.field(column).type
            if not any(is_kind(stored) for is_kind in kinds):
                raise UserError(
                    f"the column {own!r} of {where} holds {stored} in {name}, not a list for each "
                    f"row: name another (`{flag}_column`)"
                )
    return splits


def untagged(splits: "datasets.DatasetDict") -> list[str]:
    """The splits beside train in which no row has tags: they are missing, or -1 in a column of
    ClassLabels."""
    return [
        name
        for name, split in splits.items()
        if name != "train" and split.num_rows and not _has_tags(split)
    ]


def _has_tags(split: "datasets.Dataset") -> bool:
    import pyarrow.compute as pc

    _, values = _flat(split, "label")
    if _class_names(split) is None:
        return bool(values.null_count < len(values))
    return bool(pc.any(pc.greater(values, UNLABELLED)).as_py())


def _class_names(split: "datasets.Dataset") -> list[str] | None:
    import datasets

    inner = getattr(split.features["label"], "feature", None)
    return list(inner.names) if isinstance(inner, datasets.ClassLabel) else None


def _flat(split: "datasets.Dataset", column: str) -> "tuple[np.ndarray, pa.Array]":
    """Return how many values each row has, int64 [rows] (0 where there is no list), and all
    values."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = split.select_columns([column]).with_format("arrow")[:].column(0)
    if pa.types.is_null(lists.type):
        return np.zeros(len(lists), np.int64), pa.nulls(0)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    parts = [chunk.flatten() for chunk in lists.chunks]
    kind = parts[0].type if parts else pa.null()
    if pa.types.is_string(kind):
        kind = pa.large_string()  # an array of strings holds 2 GB at most
    return lengths, pa.concat_arrays([part.cast(kind) for part in parts] or [pa.nulls(0)])


def names(splits: "Mapping[str, datasets.Dataset]") -> Names:
    """Return the names of the tags in splits."""
    import numpy as np

    given: list[str] = []
    found: set[str] = set()
    for split in splits.values():
        given = given or _class_names(split) or []
        own, codes, _ = _coded(split)
        found |= {own[code] for code in np.unique(codes[codes >= 0])}
    return Names(given, sorted(found))


def _coded(split: "datasets.Dataset") -> "tuple[list[str], np.ndarray, np.ndarray]":
    """Names of tags, int64 codes of all words (-1 where a tag is missing), and lengths of rows."""
    import numpy as np
    import pyarrow.compute as pc

    lengths, values = _flat(split, "label")
    own = _class_names(split)
    if own is not None:
        codes = np.asarray(pc.fill_null(values, UNLABELLED), np.int64)
        wrong = (codes < UNLABELLED) | (codes >= len(own))
        if wrong.any():
            raise UserError(
                f"a tag is {codes[wrong][0]}, and the {len(own)} tags have the codes 0 to"
                f" {len(own) - 1}"
            )
        return own, codes, lengths
    encoded = pc.dictionary_encode(values)
    codes = np.asarray(pc.fill_null(encoded.indices, -1), np.int64)
    return [str(value).strip() for value in encoded.dictionary.to_pylist()], codes, lengths


def encode(split: "datasets.Dataset", labels: Sequence[str], name: str) -> "datasets.Dataset":
    """The split with `label` as lists of int64, the places of tags in `labels`.

    Raises `UserError`, naming the row, where a row has another number of tags than of words, or a
    tag is missing or none of `labels`.
    """
    import datasets
    import numpy as np
    import pyarrow as pa

    words, strings = _flat(split, "tokens")
    own, codes, tags = _coded(split)
    if (words != tags).any():
        row = int((words != tags).argmax())
        raise UserError(
            f"{name}, row {row + 1}: {_counted(int(words[row]), 'word')} and"
            f" {_counted(int(tags[row]), 'tag')}; every word needs one"
        )
    index = {label: i for i, label in enumerate(labels)}
    places = np.array([index.get(each, -2) for each in own] + [-1], np.int64)[codes]
    if (places < 0).any():
        word = int((places < 0).argmax())
        row = int(np.searchsorted(np.cumsum(words), word, side="right"))
        if codes[word] < 0:
            raise UserError(f"{name}, row {row + 1}: a tag is missing; every word needs one")
        raise UserError(
            f"{name}, row {row + 1}: the tag {own[codes[word]]!r} is none that training saw; it"
            f" saw {', '.join(labels)}"
        )
    offsets = np.concatenate([[0], np.cumsum(words)])
    texts = strings.cast(pa.large_string()).fill_null("")
    table = pa.table(
        {
            "tokens": pa.LargeListArray.from_arrays(offsets, texts),
            "label": pa.LargeListArray.from_arrays(offsets, pa.array(places)),
        }
    )
    return datasets.Dataset(table)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'s'[: n != 1]}"


def has_words_of_punctuation(split: "datasets.Dataset") -> bool:
    """Return whether any word of a split has neither letter nor digit, nor "_"."""
    import pyarrow.compute as pc

    words = pc.unique(_flat(split, "tokens")[1])
    is_word = pc.match_substring_regex(words, r"[\pL\pN_]")
    return bool(pc.any(pc.and_(pc.invert(is_word), pc.not_equal(words, ""))).as_py())


def check(splits: "datasets.DatasetDict", scheme: "TagScheme") -> "Iterator[Finding]":
    """Yield what is suspicious in encoded tags: spans that begin with I-, tags that train lacks."""
    import numpy as np

    seen: dict[str, set[int]] = {}
    for name, split in splits.items():
        lengths, values = _flat(split, "label")
        codes = np.asarray(values, np.int64)
        seen[name] = set(np.unique(codes).tolist())
        if count := scheme.without_begin(codes, lengths):
            spans = "1 span begins" if count == 1 else f"{count:,} spans begin"
            yield warning(
                f"{name}: {spans} with an I- that follows an O or begins the text; each is read as"
                " a span, as seqeval and conlleval do",
                "begins_inside",
                name,
                count,
            )
    for name, tags in seen.items():
        if missing := sorted(tags - seen.get("train", tags)):
            named = ", ".join(scheme.names[code] for code in missing[:NAMED])
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            yield warning(f"{name} has tags that train has not: {named}{more}")


def places(words: Sequence[str]) -> Words:
    """Return where words begin and end when they are joined by blanks."""
    found, start = [], 0
    for word in words:
        found.append((start, start + len(word)))
        start += len(word) + 1
    return found


def encode_words(
    texts: Sequence[str],
    words: Sequence[Words] | Literal["blanks", "tokenizer", "pieces"],
    tokenizer: Any,
    max_length: int,
    window_overlap: int | None,
) -> dict[str, list[Any]]:
    """Token ids of texts in windows (one, unless `window_overlap` is given), and where words stand.

    Args:
        words: of each text; or what a word is: what stands between blanks, what the tokenizer takes
            for one, or each piece that it makes.

    Returns input_ids (and token_type_ids, where they are not all 0): for every text a list of
    windows, each a list of ints; untruncated: the length in tokens before any cut; words: as given,
    or as they were found; and of each word word_windows and word_positions: the window, and the
    place in it, of its first piece. Of several windows it is the one with most tokens to the nearer
    side; -1 where the tokenizer makes nothing of the word, or a cut took it.
    """
    import numpy as np

    names, encoded, special = encodings(texts, None, tokenizer, max_length, window_overlap)
    keys = (*names, "untruncated", "words", "word_windows", "word_positions")
    columns: dict[str, list[Any]] = {name: [] for name in keys}
    for i, text in enumerate(texts):
        parts = [encoded[i], *encoded[i].overflowing]
        lengths = [len(part) - special for part in parts]
        overlap = (len(lengths) - 1) * (window_overlap or 0)
        columns["untruncated"].append(special + sum(lengths) - overlap)
        kept = parts if window_overlap is not None else parts[:1]
        pieces = [_Pieces.of(part) for part in kept]
        found = _words_of(text, pieces, words) if isinstance(words, str) else words[i]
        begins = np.array([begin for begin, _ in found], np.int64)
        ends = np.array([end for _, end in found], np.int64)
        windows, positions = _central(pieces, begins, ends)
        columns["words"].append(found)
        columns["word_windows"].append(windows)
        columns["word_positions"].append(positions)
        columns["input_ids"].append([part.ids for part in kept])
        if "token_type_ids" in names:
            columns["token_type_ids"].append([part.type_ids for part in kept])
    return columns


class WordFeatures(TokenFeatures):
    """The tokens of one split, and of each word where its first piece stands."""

    given = ("tokens",)
    made = (*TokenFeatures.made, "word_windows", "word_positions")

    @staticmethod
    def encode(rows: Mapping[str, Any], tokenizer: Any, **encoding: Any) -> dict[str, list[Any]]:
        """Encode the words of rows, with a blank between them, as `encode_words` does."""
        texts = [" ".join(words) for words in rows["tokens"]]
        words = [places(words) for words in rows["tokens"]]
        columns = encode_words(texts, words, tokenizer, **encoding)
        return {name: columns[name] for name in columns if name != "words"}


def labels_of_tokens(row: Mapping[str, Any]) -> "list[np.ndarray]":
    """Return the labels of a row's tokens, int64 [tokens] of each window: that of a word at its
    first piece, `IGNORED` elsewhere."""
    import numpy as np

    labels = [np.full(len(window), IGNORED, np.int64) for window in row["input_ids"]]
    words = zip(row["word_windows"], row["word_positions"], row["label"], strict=True)
    for window, place, label in words:
        if place >= 0:
            labels[window][place] = label
    return labels


class _Pieces(NamedTuple):
    """The tokens of a window that are of the text: their place in it, the characters they are of,
    and the tokenizer's number of their word, int64 [pieces] each."""

    position: "np.ndarray"
    begin: "np.ndarray"
    end: "np.ndarray"
    word: "np.ndarray"

    @classmethod
    def of(cls, encoding: Any) -> "_Pieces":
        import numpy as np

        (position,) = np.nonzero(np.asarray(encoding.special_tokens_mask) == 0)
        offsets = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)[position]
        numbers = [-1 if word is None else word for word in encoding.word_ids]
        return cls(position, offsets[:, 0], offsets[:, 1], np.asarray(numbers, np.int64)[position])


def _words_of(text: str, windows: "Sequence[_Pieces]", by: str) -> list[tuple[int, int]]:
    """The words of a text, without blanks at their ends; see `encode_words`."""
    if by == "blanks":
        return [found.span() for found in re.finditer(r"\S+", text)]
    found: dict[Any, tuple[int, int]] = {}
    for pieces in windows:
        for begin, end, word in zip(pieces.begin, pieces.end, pieces.word, strict=True):
            span = int(begin), int(end)
            key = span if by == "pieces" else int(word)
            first, last = found.get(key, span)
            found[key] = min(first, span[0]), max(last, span[1])
    trimmed = []
    for _, (begin, end) in sorted(found.items()):
        stripped = text[begin:end].strip()
        if stripped:
            begin = text.index(stripped, begin)
            trimmed.append((begin, begin + len(stripped)))
    return trimmed


def _central(
    windows: "Sequence[_Pieces]", begins: "np.ndarray", ends: "np.ndarray"
) -> tuple[list[int], list[int]]:
    """Return the best window of each word, and the place of its first piece in it; -1 where there
    is none.

    A piece is of the word in which its last character is: some tokenizers count the blank before a
    word to its first piece.
    """
    import numpy as np

    n = len(begins)
    best, chosen, place, first = (np.full(n, -1, np.int64) for _ in range(4))
    for number, pieces in enumerate(windows):
        if not n or not len(pieces.position):
            continue
        last = pieces.end - 1
        word = np.searchsorted(begins, last, side="right") - 1
        is_piece = (pieces.end > pieces.begin) & (word >= 0)
        is_piece &= last < ends[word.clip(min=0)]
        (at,) = is_piece.nonzero()
        here, index = np.unique(word[at], return_index=True)
        at = at[index]
        # a window may begin within a word: only where its first piece is, it can be tagged
        first[here] = np.where(first[here] < 0, last[at], first[here])
        context = np.minimum(at, len(pieces.position) - 1 - at)
        better = (first[here] == last[at]) & (context > best[here])
        here, at, context = here[better], at[better], context[better]
        best[here], chosen[here], place[here] = context, number, pieces.position[at]
    return chosen.tolist(), place.tolist()


def random_tags(mask: "Tensor", tags: int, seed: int) -> "dict[str, Tensor]":
    """Return a tag for each token, as if it were a word, drawn by `seed`, to measure training with.

    Args:
        mask: int64 [b, seq], 0 where there is padding.

    Gives `starts` and `labels` int64 [b, seq], as `TokenClassification.collate` has them.
    """
    import torch

    starts = torch.arange(mask.numel()).view(mask.shape).where(mask > 0, -1)
    labels = torch.randint(tags, mask.shape, generator=torch.Generator().manual_seed(seed))
    return {"starts": starts, "labels": labels.masked_fill(mask == 0, IGNORED)}
