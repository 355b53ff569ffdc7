"""Checks of classes before training: missing, unknown and rare ones, whatever the examples are."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.data.labels import bare
from tasks.preflight import Finding

SMALLEST_SHARE = 0.05  # of a class among the training examples
LARGEST_RATIO = 10  # of the largest class to the smallest
LARGEST_SPREAD = 10  # of one number's standard deviation to another's
NAMED = 5  # labels a line names at most
NO_VALUE = frozenset(("nan", "<na>", "n/a", "#n/a", "nat", "null"))
"""Of pandas and spreadsheets, in small letters."""


def check(labels: Mapping[str, Sequence[Any]], names: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what is wrong or suspicious in the classes of each split.

    Args:
        labels: of the rows of each split: a class, or a list of classes where several are possible;
            None is a missing one. A decimal number (regression) is no class and is not checked; of
            several it is, as `check_numbers` does.
        names: what integer labels are called; without it they go by their number.
    """
    every = [value for values in labels.values() for value in values if value is not None]
    if not every or any(isinstance(value, float) for value in every):
        return
    if any(isinstance(one, float) for value in every if isinstance(value, list) for one in value):
        yield from check_numbers(labels, names)
        return
    several = any(isinstance(value, list) for value in every)
    counts: dict[str, Counter[Any]] = {}
    for split, values in labels.items():
        given = [value if several or value is None else [value] for value in values]
        missing = [row for row, value in enumerate(given, 1) if value is None or None in value]
        if missing:
            yield error(f"{split}: {rows(len(missing))} without a label, the first is {missing[0]}")
        counts[split] = Counter(
            label for value in given if value is not None for label in value if label is not None
        )
    train = counts.get("train")
    if train is None:
        return
    if len(train) < 2 and not several:
        only = f"only the class {_listed(list(train), names)}" if train else "no labels"
        yield error(f"train has {only}, and a classifier needs two or more")
    if several and not train:
        yield error("train has no labels at all")
    yield from _alike(train, names)
    yield from _no_names(train, names)
    for split, counted in counts.items():
        yield from _against(train, split, counted, names)
    if len(train) > 1:
        yield from _balance(train, len(labels["train"]), names)


def check_numbers(
    labels: Mapping[str, Sequence[Any]], names: Sequence[str] = ()
) -> Iterator[Finding]:
    """Yield what is wrong or suspicious in the numbers of a regression.

    Args:
        labels: of the rows of each split: a number, or a list of numbers, as many in each row.
        names: what the numbers of a list are called.
    """
    for split, values in labels.items():
        flat = [value if isinstance(value, list) else [value] for value in values]
        wrong = [
            place
            for place, row in enumerate(flat, start=1)
            if any(one is None or not math.isfinite(one) for one in row)
        ]
        if wrong:
            yield error(
                f"{split}: {rows(len(wrong))} with a label that is no finite number, the first is"
                f" {wrong[0]}"
            )
        elif split == "train" and len(flat) > 1:
            yield from _spreads(list(zip(*flat, strict=True)), names)


def _spreads(columns: Sequence[Sequence[float]], names: Sequence[str]) -> Iterator[Finding]:
    """Numbers of train that never change, and those that drown the others in the loss."""
    called = [names[i] if i < len(names) else f"number {i + 1}" for i in range(len(columns))]
    for name, column in zip(called, columns, strict=True):
        if len(set(column)) == 1:
            of = f" of {name}" if len(columns) > 1 else ""
            yield error(f"train: every label{of} is {column[0]:g}, so there is nothing to learn")
    if len(columns) == 1:
        return
    spreads = {name: _deviation(column) for name, column in zip(called, columns, strict=True)}
    widest, least = max(spreads, key=spreads.__getitem__), min(spreads, key=spreads.__getitem__)
    large, small = spreads[widest], spreads[least]
    if small and large > LARGEST_SPREAD * small:
        yield warning(
            f"train: {widest} varies {large / small:,.0f} times as much as {least} (standard"
            f" deviations {large:.3g} and {small:.3g}), so the loss is hardly about {least}: bring"
            " them to one scale"
        )


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def warning(message: str, measure: str = "", split: str | None = None, count: int = 0) -> Finding:
    """A finding that does not stop the run; see `Finding` for what is kept of it."""
    return Finding("warning", message, measure, split, count)


def error(message: str) -> Finding:
    """Return a finding that stops the run."""
    return Finding("error", message)


def rows(count: int) -> str:
    """Return a number of rows in words: "1 row", "2 rows"."""
    return "1 row" if count == 1 else f"{count:,} rows"


def _alike(train: Counter[Any], names: Sequence[str]) -> Iterator[Finding]:
    """Classes that differ only by blanks around them, or by signs that are not seen."""
    groups: dict[str, list[Any]] = {}
    for label in train:
        groups.setdefault(bare(_name(label, names)), []).append(label)
    for labels in groups.values():
        if len(labels) > 1:
            each = ", ".join(
                f"{_name(label, names)!r} ({rows(train[label])})"
                for label in sorted(labels, key=lambda label: _name(label, names))
            )
            yield warning(
                f"train has classes that differ by blanks or unseen signs only: {each}; if they are"
                " one, write them alike"
            )


def _no_names(train: Counter[Any], names: Sequence[str]) -> Iterator[Finding]:
    """Classes called as tables write a missing value."""
    for label, count in train.items():
        name = _name(label, names)
        if name.strip().casefold() in NO_VALUE:
            yield warning(
                f"train has {rows(count)} with the label {name!r}, which is how tables write a"
                " missing value, and here a class like any other: leave such rows out if it is none"
            )


def _against(
    train: Counter[Any], split: str, counted: Counter[Any], names: Sequence[str]
) -> Iterator[Finding]:
    unknown = [label for label in counted if label not in train]
    if unknown:
        affected = rows(sum(counted[label] for label in unknown))
        yield error(
            f"{split} has labels that train never shows: {_listed(unknown, names)} (in {affected})"
        )
    absent = [label for label in train if label not in counted]
    if absent and counted:
        yield warning(f"{split} has no example of {_listed(absent, names)}")


def _balance(train: Counter[Any], total: int, names: Sequence[str]) -> Iterator[Finding]:
    ranked = sorted(train.items(), key=lambda item: (-item[1], _name(item[0], names)))
    (large, most), (small, least) = ranked[0], ranked[-1]
    # With 30 equal classes each has 3%: what counts is how far below an equal share a class is.
    rare = least / total < min(SMALLEST_SHARE, 0.5 / len(train))
    if rare or most > LARGEST_RATIO * least:
        yield warning(
            f"train is out of balance: {_name(small, names)} has {rows(least)}"
            f" ({least / total:.1%}), {_name(large, names)} has {most:,} ({most / total:.1%}),"
            f" {most / least:.1f} times as many"
        )


def _name(label: Any, names: Sequence[str]) -> str:
    known = isinstance(label, int) and 0 <= label < len(names)
    return names[label] if known else str(label)


def _listed(labels: Sequence[Any], names: Sequence[str]) -> str:
    called = sorted(_name(label, names) for label in labels)
    listed = [name if bare(name) == name else repr(name) for name in called]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
