"""Checks of texts and labels before training: what is suspicious is a warning, what cannot work an
error.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.labels import ProblemType
from tasks.preflight import Finding

if TYPE_CHECKING:
    import datasets
    import numpy as np

    Lengths = np.ndarray[Any, np.dtype[np.integer[Any]]]

SMALLEST_SHARE = 0.05  # of a class among the training examples
LARGEST_RATIO = 10  # of the largest class to the smallest
WORTH_TRUNCATING = 0.01  # share of texts that may lose their end unremarked
NAMED = 5  # labels a line names at most


def check(
    splits: "datasets.DatasetDict",
    text_columns: Sequence[str],
    label_column: str | None,
    lengths_by_split: "Mapping[str, Lengths]",
    max_length: int,
    problem_type: ProblemType | None,
    label_names: Sequence[str] | None = None,
) -> list[Finding]:
    """What is wrong or suspicious, errors first.

    Args:
        splits: rows in columns of strings and one of labels: a value, for multi-label a list of
            them, for regression a number.
        lengths_by_split: tokens of each text before truncation, integer [rows]; splits may miss.
        max_length: tokens that the model takes.
        problem_type: as in `config.json`. None, as label_column, where there are no labels.
        label_names: what integer labels are called; without it they go by their number.
    """
    rows = {
        name: [tuple(row) for row in zip(*(split[column] for column in text_columns), strict=True)]
        for name, split in splits.items()
    }
    labels = {
        name: [None] * len(split) if label_column is None else list(split[label_column])
        for name, split in splits.items()
    }
    findings = [*_empty(rows), *_across(rows, labels)]
    if label_column is None or problem_type is None:
        pass
    elif problem_type == "regression":
        findings += _not_numbers(labels)
    else:
        findings += _labels(labels, _Names(splits, label_column, label_names), problem_type)
    findings += _truncated(lengths_by_split, max_length)
    return sorted(findings, key=lambda finding: finding.level != "error")


_Texts = Mapping[str, Sequence[tuple[str | None, ...]]]


def _empty(rows: _Texts) -> Iterator[Finding]:
    for name, texts in rows.items():
        empty = [
            place
            for place, text in enumerate(texts, start=1)
            if any(part is None or not part.strip() for part in text)
        ]
        if empty:
            yield _warning(
                f"{name}: {_rows(len(empty))} with an empty text, the first is {empty[0]}"
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
            yield _warning(f"{name}: {_rows(again)} repeat a text of the same split")
    leaks = Counter(
        (first, second)
        for names in places.values()
        for place, first in enumerate(rows)
        for second in list(rows)[place + 1 :]
        if {first, second} <= names
    )
    for (first, second), count in leaks.items():
        harm = ": what is measured there is too good" if first == "train" else ""
        yield _warning(f"{_texts(count)} of {second} also in {first}{harm}")
    conflicts = sum(len(different) > 1 for different in given.values())
    if conflicts:
        yield _warning(f"{_texts(conflicts)} with different labels in different rows")


def _not_numbers(labels: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    for name, values in labels.items():
        wrong = [
            place
            for place, value in enumerate(values, start=1)
            if value is None or not math.isfinite(value)
        ]
        if wrong:
            yield _error(
                f"{name}: {_rows(len(wrong))} with a label that is no finite number, the first is"
                f" {wrong[0]}"
            )
    known = [value for value in labels.get("train", ()) if value is not None]
    if len(known) > 1 and len(set(known)) == 1:
        yield _error(f"train: every label is {known[0]:g}, so there is nothing to learn")


class _Names:
    """What a label is called in a message."""

    def __init__(
        self, splits: "datasets.DatasetDict", column: str, names: Sequence[str] | None
    ) -> None:
        feature = next(iter(splits.values())).features[column]
        own = getattr(getattr(feature, "feature", feature), "names", None)
        self._names: Sequence[str] = (names if names is not None else own) or ()

    def __call__(self, label: Any) -> str:
        known = isinstance(label, int) and 0 <= label < len(self._names)
        return self._names[label] if known else str(label)

    def listed(self, labels: Sequence[Any]) -> str:
        names = sorted(map(self, labels))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return ", ".join(names[:NAMED]) + more


def _labels(
    labels: Mapping[str, Sequence[Any]], names: _Names, problem_type: ProblemType
) -> Iterator[Finding]:
    several = problem_type == "multi_label_classification"
    counts: dict[str, Counter[Any]] = {}
    for name, values in labels.items():
        given = [value if several else [value] for value in values]
        missing = [p for p, v in enumerate(given, start=1) if v is None or None in v]
        if missing:
            yield _error(
                f"{name}: {_rows(len(missing))} without a label, the first is {missing[0]}"
            )
        counts[name] = Counter(
            label for row in given if row is not None for label in set(row) if label is not None
        )
    train = counts.get("train")
    if train is None:
        return
    if len(train) < 2 and not several:
        only = f"only the class {names.listed(list(train))}" if train else "no labels"
        yield _error(f"train has {only}, and a classifier needs two or more")
    if several and not train:
        yield _error("train has no labels at all")
    for name, counted in counts.items():
        unknown = [label for label in counted if label not in train]
        if unknown and name != "train":
            affected = sum(counted[label] for label in unknown)
            yield _error(
                f"{name} has labels that train never shows: {names.listed(unknown)}"
                f" (in {_rows(affected)})"
            )
        absent = [label for label in train if label not in counted]
        if absent and name != "train" and labels[name]:
            yield _warning(f"{name} has no example of {names.listed(absent)}")
    if len(train) > 1:
        yield from _balance(train, len(labels["train"]), names)


def _balance(train: Counter[Any], rows: int, names: _Names) -> Iterator[Finding]:
    ranked = sorted(train.items(), key=lambda item: (-item[1], names(item[0])))
    (large, most), (small, least) = ranked[0], ranked[-1]
    # With 30 equal classes each has 3%: what counts is how far below an equal share a class is.
    rare = least / rows < min(SMALLEST_SHARE, 0.5 / len(train))
    if rare or most > LARGEST_RATIO * least:
        yield _warning(
            f"train is out of balance: {names(small)} has {_rows(least)} ({least / rows:.1%}),"
            f" {names(large)} has {most} ({most / rows:.1%}), {most / least:.1f} times as many"
        )


def _truncated(lengths_by_split: "Mapping[str, Lengths]", max_length: int) -> Iterator[Finding]:
    for name, lengths in lengths_by_split.items():
        if not len(lengths):
            continue
        share = float((lengths > max_length).mean())
        if share >= WORTH_TRUNCATING:
            yield _warning(
                f"{name}: {share:.1%} of the texts are longer than {max_length} tokens (the longest"
                f" has {int(lengths.max())})"
            )


def _warning(message: str) -> Finding:
    return Finding("warning", message)


def _error(message: str) -> Finding:
    return Finding("error", message)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count} texts"
