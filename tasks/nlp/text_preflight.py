"""Checks of texts and labels before training: what is suspicious is a warning, what cannot work an
error.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.data import label_checks
from tasks.data.label_checks import error, warning
from tasks.data.label_checks import rows as counted
from tasks.data.labels import ProblemType
from tasks.preflight import Finding

if TYPE_CHECKING:
    import datasets
    import numpy as np

    Lengths = np.ndarray[Any, np.dtype[np.integer[Any]]]

WORTH_TRUNCATING = 0.01  # share of texts that may lose their end unremarked
WORTH_KNOWING = 0.05  # share of tokens that may be unknown unremarked: rare words and emojis


def check(
    splits: "datasets.DatasetDict",
    text_columns: Sequence[str],
    label_column: str | None,
    lengths_by_split: "Mapping[str, Lengths]",
    max_length: int,
    problem_type: ProblemType | None,
    label_names: Sequence[str] | None = None,
    unknown_shares: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Return what is wrong or suspicious in the texts and their labels, errors first.

    Args:
        splits: rows in columns of strings and one of labels: a value, for multi-label a list of
            them, for regression a number.
        lengths_by_split: tokens of each text before truncation, integer [rows]; splits may miss.
        max_length: tokens that the model takes.
        problem_type: as in `config.json`. None, as label_column, where there are no labels.
        label_names: what integer labels are called; without it they go by their number.
        unknown_shares: of the tokens of each split, how many the tokenizer can't read (0 to 1).
    """
    rows = {
        name: [
            tuple(row) for row in zip(*(split[column][:] for column in text_columns), strict=True)
        ]
        for name, split in splits.items()
    }
    labels = {
        name: [None] * len(split) if label_column is None else split[label_column][:]
        for name, split in splits.items()
    }
    findings = [*_empty(rows), *_across(rows, labels)]
    if label_column is None or problem_type is None:
        pass
    elif problem_type == "regression":
        findings += label_checks.check_numbers(labels, label_names or ())
    else:
        own = _names(next(iter(splits.values())), label_column)
        findings += label_checks.check(labels, own if label_names is None else label_names)
    findings += _truncated(lengths_by_split, max_length)
    findings += _unknown(unknown_shares or {})
    return sorted(findings, key=lambda finding: finding.level != "error")


def check_tokenized(
    splits: "datasets.DatasetDict",
    text_columns: Sequence[str],
    features: "Mapping[str, Any]",
    max_length: int | None,
    label_column: str | None = None,
    problem_type: ProblemType | None = None,
    label_names: Sequence[str] | None = None,
    in_windows: bool = False,
) -> list[Finding]:
    """`check`, with what the tokenized texts tell of lengths and unknown tokens.

    Args:
        features: by split, a `tasks.nlp.tokenization.TextFeatures` or what holds one.
        in_windows: whether long texts are read to their end, so that nothing is cut off.
    """
    lengths = {name: split.untruncated for name, split in features.items()}
    shares = {name: split.unknown_share() for name, split in features.items()}
    longest = max_length or 0
    if in_windows:
        longest = max(int(found.max(initial=longest)) for found in lengths.values())
    return check(
        splits,
        text_columns,
        label_column,
        lengths,
        longest,
        problem_type,
        label_names,
        shares,
    )


_Texts = Mapping[str, Sequence[tuple[str | None, ...]]]


def _empty(rows: _Texts) -> Iterator[Finding]:
    for name, texts in rows.items():
        empty = [
            place
            for place, text in enumerate(texts, start=1)
            if any(part is None or not part.strip() for part in text)
        ]
        if name == "train" and len(empty) == len(texts):
            yield error(f"train: all {counted(len(texts))} have an empty text")
        elif empty:
            yield warning(
                f"{name}: {counted(len(empty))} with an empty text, the first is {empty[0]}"
            )


def _across(rows: _Texts, labels: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Texts that stand twice: in several splits, in one, or under different labels."""
    places: dict[tuple[str, ...], set[str]] = {}
    given: dict[tuple[str, ...], set[str]] = {}
    for name, texts in rows.items():
        again = 0
        for text, label in zip(texts, labels[name], strict=True):
            key = tuple(" ".join((part or "").split()) for part in text)
            if not any(key):
                continue
            seen = places.setdefault(key, set())
            again += name in seen
            seen.add(name)
            given.setdefault(key, set()).add(repr(label))
        if again:
            message = f"{name}: {counted(again)} repeat a text of the same split"
            yield warning(message, "repeated", name, again)
    leaks = Counter(
        (first, second)
        for names in places.values()
        for place, first in enumerate(rows)
        for second in list(rows)[place + 1 :]
        if {first, second} <= names
    )
    for (first, second), count in leaks.items():
        harm = ": what is measured there is too good" if first == "train" else ""
        message = f"{_texts(count)} of {second} also in {first}{harm}"
        yield warning(message, f"shared_with_{first}", second, count)
    conflicts = sum(len(different) > 1 for different in given.values())
    if conflicts:
        message = f"{_texts(conflicts)} with different labels in different rows"
        yield warning(message, "contradictory", None, conflicts)


def _names(split: "datasets.Dataset", column: str) -> Sequence[str]:
    """Return the names of the column's own integer labels."""
    feature = split.features[column]
    return getattr(getattr(feature, "feature", feature), "names", None) or ()


def _truncated(lengths_by_split: "Mapping[str, Lengths]", max_length: int) -> Iterator[Finding]:
    for name, lengths in lengths_by_split.items():
        if not len(lengths):
            continue
        share = float((lengths > max_length).mean())
        if share >= WORTH_TRUNCATING:
            yield warning(
                f"{name}: {share:.1%} of the texts are longer than {max_length} tokens (the longest"
                f" has {int(lengths.max())})"
            )


def _unknown(shares: Mapping[str, float]) -> Iterator[Finding]:
    if max(shares.values(), default=0.0) >= WORTH_KNOWING:
        said = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
        yield warning(
            f"the tokenizer can't read these texts: of the tokens, {said} are unknown ([UNK]) and"
            " all look alike to the model; take weights made for their language (`model`"
            " bert-base-chinese for Chinese, `model` FacebookAI/xlm-roberta-base for a hundred"
            " languages), or rnn_cls with `tokenizer` bpe, which learns to read these very texts"
        )


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count} texts"
