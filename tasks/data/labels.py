"""Labels of examples: their names in a fixed order, their encoding as numbers, and splits that have
none.
"""

import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tasks.data import targets
from tasks.data.columns import with_column
from tasks.errors import UserError
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

# float() also takes "nan", "inf", "1_000", blanks around a number, and digits of other scripts
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
UNLABELLED = -1
"""How `datasets` writes "not labelled" in a column of classes."""


def label_names(splits: "datasets.DatasetDict", problem_type: ProblemType) -> list[str]:
    """Return all labels of all splits: in a ClassLabel's own order, else numbers by value, else in
    alphabetical order.

    For regression the names of the numbers, where a row has several. Raises `UserError` where there
    are fewer than two labels.
    """
    if problem_type == "regression":
        return targets.names_of(reference(splits))
    own = class_names(reference(splits))
    if own is not None:
        return own
    seen: set[str] = set()
    for split in splits.values():
        name_of = _namer(split)
        for value in _distinct(split):
            given = as_list(value) if problem_type == "multi_label_classification" else [value]
            seen.update(name_of(each) for each in given if not is_missing(each))
    names = in_order(seen)
    if len(names) < 2:
        raise UserError(
            f"the label column has one class only ({names[0]!r}); a classifier needs two or more"
            if names
            else "the label column is empty; a classifier needs two or more classes"
        )
    return names


def in_order(names: Iterable[str]) -> list[str]:
    """Names sorted: those that are plain numbers by value, then all others by the alphabet."""

    def place(name: str) -> tuple[int, float, str]:
        return (0, float(name), name) if NUMBER.fullmatch(name) else (1, 0.0, name)

    return sorted(names, key=place)


def reference(splits: "datasets.DatasetDict") -> "datasets.Dataset":
    """The split that says what columns hold: train, or the first where there is none."""
    return splits["train"] if "train" in splits else next(iter(splits.values()))


def class_names(split: "datasets.Dataset") -> list[str] | None:
    """The names of a column `label` of ClassLabels, or of lists of them; None where it is none."""
    import datasets

    feature = split.features["label"]
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if isinstance(inner, datasets.ClassLabel) else None


def _namer(split: "datasets.Dataset") -> Callable[[Any], str]:
    """Return a function that names a value of a split's labels; it raises IndexError for a code
    without a name."""
    names = class_names(split)

    def name_of(value: Any) -> str:
        if names is None or not isinstance(value, int):
            return str(value)
        if not 0 <= value < len(names):
            raise IndexError(value)
        return names[value]

    return name_of


def _distinct(split: "datasets.Dataset") -> Iterable[Any]:
    """Every value of the column `label`, once where that is easy to tell."""
    import datasets

    scalar = isinstance(split.features["label"], datasets.Value | datasets.ClassLabel)
    values: Iterable[Any] = split.unique("label") if scalar else split["label"]
    return values


def is_missing(value: Any) -> bool:
    """Return whether a value is no label: None, an empty or blank text, or NaN."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def are_numbers(values: Sequence[Any], fewest: int = 6) -> bool:
    """Return whether the distinct labels of a csv, where all is text, are decimal numbers to
    regress on.

    Whole numbers are names of classes, and so are fewer than `fewest` different decimals.
    """
    texts = [value for value in values if isinstance(value, str) and not is_missing(value)]
    if not all(NUMBER.fullmatch(text) for text in texts):
        return False
    present = [value for value in values if not is_missing(value)]
    return len(texts) == len(present) >= fewest and not all(
        float(text).is_integer() for text in texts
    )


def problem_type_of(asked: str, splits: "datasets.DatasetDict") -> ProblemType:
    """Return what the column `label` is to be learned as.

    Args:
        asked: "single_label", "multi_label", "regression", or "auto": what the type of the column,
            and of text its values, say.

    Raises `UserError` where several columns of numbers are asked to be labels.
    """
    import datasets

    split = reference(splits)
    feature = split.features["label"]
    several = targets.are_numbers(feature)
    if asked == "regression" or (several and asked == "auto"):
        return "regression"
    if isinstance(feature, Mapping):
        raise UserError(
            f"`problem_type` {asked} wants one column of labels, and these are several"
            f" ({', '.join(feature)}): they are numbers to predict, regression"
        )
    if asked != "auto":
        return (
            "single_label_classification"
            if asked == "single_label"
            else "multi_label_classification"
        )
    if isinstance(feature, datasets.Value):
        floating = feature.dtype.startswith("float") or are_numbers(split.unique("label"))
        return "regression" if floating else "single_label_classification"
    if isinstance(feature, datasets.ClassLabel):
        return "single_label_classification"
    return "multi_label_classification"


def as_list(value: Any) -> list[Any]:
    """The labels of one multi-label example: a list as it is, a string split at | or ,."""
    if value is None:
        return []
    if isinstance(value, str):
        parts = value.split("|") if "|" in value else value.split(",")
        return [part.strip() for part in parts if part.strip()]
    return list(value) if isinstance(value, Sequence) else [value]


# --- splits without labels


def unlabelled(
    splits: "datasets.DatasetDict", column: str = "label", known: Collection[str] | None = None
) -> list[str]:
    """The splits beside train in which no row has a label.

    A row has none where it is missing, or -1 in a column of ClassLabels. In other columns -1 may be
    a label like any other: it is none where all of a split is -1 and training never shows it.

    Args:
        known: labels that training has shown; without it, those of the split train.
    """
    train = splits.get("train")
    if known is None and train is not None:
        known = {_plain(value) for value in _flat_values(train, column)}
    return [
        name
        for name, split in splits.items()
        if name != "train" and split.num_rows and _has_no_label(split, column, known)
    ]


def _has_no_label(split: "datasets.Dataset", column: str, known: Collection[str] | None) -> bool:
    coded = column == "label" and class_names(split) is not None
    values = {_plain(value) for value in _flat_values(split, column)}
    code = str(UNLABELLED)
    none = {"", code} if coded or (known is not None and code not in known) else {""}
    return values <= none


def _flat_values(split: "datasets.Dataset", column: str) -> Iterable[Any]:
    for value in _distinct(split) if column == "label" else split[column]:
        if isinstance(value, Mapping):
            yield from value.values()
        else:
            yield from value if isinstance(value, list) else [value]


def _plain(value: Any) -> str:
    """A label as text: "" where it is missing, whole numbers without a point."""
    if is_missing(value):
        return ""
    text = str(value).strip()
    if NUMBER.fullmatch(text) and float(text) == UNLABELLED:
        return str(UNLABELLED)
    return text


def leave_out(
    splits: "datasets.DatasetDict", without_labels: Collection[str], said: str = "labels"
) -> "datasets.DatasetDict":
    """The splits but those without labels, which are told on standard error."""
    import datasets

    kept = {name: split for name, split in splits.items() if name not in without_labels}
    for name in without_labels:
        rows = f"{splits[name].num_rows:,} rows"
        hint = "; to have a part of train held back in its place, give data without it"
        print_lines(
            f"warning: {name} has no {said} in any of its {rows}: nothing is measured on it"
            f" (predict reads it){hint if name in ('validation', 'test') else ''}",
            file=sys.stderr,
        )
    return datasets.DatasetDict(kept)


# --- encoding


def encode_labels(
    splits: "datasets.DatasetDict",
    labels: Sequence[str],
    problem_type: ProblemType,
    only: str | None = None,
) -> tuple["datasets.DatasetDict", list[int]]:
    """The splits (or `only` one of them) with `label` as numbers, and each label's count in train.

    Raises `UserError` for a missing label, a code that names no class or, in regression, a label
    that is no number, naming the row.
    """
    import datasets
    import pyarrow as pa

    index = {name: i for i, name in enumerate(labels)}
    stored = {
        "regression": pa.list_(pa.float32()) if labels else pa.float32(),
        "single_label_classification": pa.int64(),
        "multi_label_classification": pa.list_(pa.int64()),
    }[problem_type]
    encoded = datasets.DatasetDict()
    for name, split in splits.items():
        if only not in (None, name):
            continue
        values = pa.array(_encoded(name, split, index, problem_type), stored)
        encoded[name] = with_column(split, "label", values)
    counts = [0] * len(labels)
    if problem_type != "regression" and "train" in encoded:
        for value in encoded["train"]["label"][:]:
            for label in value if isinstance(value, list) else [value]:
                counts[label] += 1
    return encoded, counts


def check_labels(
    splits: "datasets.DatasetDict", labels: Sequence[str], problem_type: ProblemType
) -> None:
    """Raises `UserError` as `encode_labels` does: before splits are cut, rows are counted as they
    were given.
    """
    index = {name: i for i, name in enumerate(labels)}
    for name, split in splits.items():
        _encoded(name, split, index, problem_type)


def _encoded(
    name: str, split: "datasets.Dataset", index: dict[str, int], problem_type: ProblemType
) -> list[Any]:
    encode = _encoder(split, index, problem_type)
    values = []
    for row, value in enumerate(split["label"][:], start=1):
        try:
            values.append(encode(value))
        except ValueError as problem:
            raise UserError(f"{name}, row {row}: {problem}") from None
    return values


def _encoder(
    split: "datasets.Dataset", index: dict[str, int], problem_type: ProblemType
) -> Callable[[Any], Any]:
    """Makes a number of a label, or a list of numbers; raises ValueError with what is wrong."""
    # the codes of a ClassLabel are those of its own names, which need not be the order asked for
    name_of = _namer(split)
    names = class_names(split)

    def code_of(value: Any) -> int:
        try:
            name = name_of(value)
        except IndexError:
            if value == UNLABELLED:
                raise ValueError(
                    'the label is -1, which stands for "not labelled": leave such rows out'
                ) from None
            raise ValueError(
                f"the label is {value}, and the {len(names or ())} classes have the codes 0 to"
                f" {len(names or ()) - 1}"
            ) from None
        if name not in index:
            near = next((known for known in index if bare(known) == bare(name)), None)
            hint = f" ({near!r} differs from it by blanks only)" if near is not None else ""
            raise ValueError(
                f"the label {name!r} is none that training saw; it saw {', '.join(index)}{hint}"
            )
        return index[name]

    def encode(value: Any) -> Any:
        if problem_type == "multi_label_classification":
            given = as_list(value)
            if value is None or any(is_missing(each) for each in given):
                raise ValueError("the label is empty; an example without any has an empty list")
            return [code_of(each) for each in given]
        if problem_type == "regression" and index:
            return [_named_number(*each) for each in targets.given(value, list(index))]
        if is_missing(value):
            raise ValueError("the label is empty; every example needs one")
        return _number(value) if problem_type == "regression" else code_of(value)

    return encode


def _named_number(name: str, value: Any) -> float:
    try:
        if is_missing(value):
            raise ValueError("the label is empty; every example needs one")
        return _number(value)
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


def _number(value: Any) -> float:
    if isinstance(value, str) and not NUMBER.fullmatch(value.strip()):
        raise ValueError(f"the label {value!r} is no number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"the label {value!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"the label {value!r} is no finite number")
    return number


def bare(name: str) -> str:
    """A name as it looks: without blanks around it or signs that are not seen, in NFC."""
    import unicodedata

    seen = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", " ".join(seen.split()))
