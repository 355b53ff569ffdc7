"""Labels of texts: their names in a fixed order, and their encoding as numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


def label_names(splits: "datasets.DatasetDict", problem_type: ProblemType) -> list[str]:
    """All labels of all splits: a ClassLabel's own order, else numbers by value, else the alphabet.

    Empty for regression. Raises `UserError` where there are fewer than two.
    """
    import datasets

    if problem_type == "regression":
        return []
    feature = next(iter(splits.values())).features["label"]
    inner = getattr(feature, "feature", feature)
    if isinstance(inner, datasets.ClassLabel):
        return list(inner.names)
    seen: set[Any] = set()
    for split in splits.values():
        for value in (
            split.unique("label") if isinstance(feature, datasets.Value) else split["label"]
        ):
            seen.update(as_list(value) if problem_type == "multi_label_classification" else [value])
    seen.discard(None)
    names = sorted(map(str, seen), key=_natural)
    if len(names) < 2:
        raise UserError(
            f"the label column has one class only ({names[0]!r}); a classifier needs two or more"
            if names
            else "the label column is empty; a classifier needs two or more classes"
        )
    return names


def are_numbers(values: Sequence[Any], fewest: int = 6) -> bool:
    """Whether the distinct labels of a csv, where all is text, are decimal numbers to regress on.

    Whole numbers are names of classes, and so are fewer than `fewest` different decimals.
    """
    texts = [value for value in values if isinstance(value, str)]
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return False
    return len(texts) == len(values) >= fewest and not all(x.is_integer() for x in numbers)


def as_list(value: Any) -> list[Any]:
    """The labels of one multi-label example: a list as it is, a string split at | or ,."""
    if value is None:
        return []
    if isinstance(value, str):
        parts = value.split("|") if "|" in value else value.split(",")
        return [part.strip() for part in parts if part.strip()]
    return list(value) if isinstance(value, Sequence) else [value]


def encode_labels(
    splits: "datasets.DatasetDict",
    labels: Sequence[str],
    problem_type: ProblemType,
    only: str | None = None,
) -> tuple["datasets.DatasetDict", list[int]]:
    """The splits (or `only` one of them) with `label` as numbers, and each label's count in train.

    Raises `UserError` for a missing label or, in regression, one that is no number, naming the row.
    """
    import datasets

    index = {name: i for i, name in enumerate(labels)}
    inner = getattr(next(iter(splits.values())).features["label"], "feature", None)
    own = inner or next(iter(splits.values())).features["label"]
    # the codes of a ClassLabel are those of its own names, which need not be the order asked for
    coded = list(own.names) if isinstance(own, datasets.ClassLabel) else None

    def name_of(value: Any) -> str:
        return coded[value] if coded is not None and isinstance(value, int) else str(value)

    feature: Any = {
        "regression": datasets.Value("float32"),
        "single_label_classification": datasets.Value("int64"),
        "multi_label_classification": datasets.List(datasets.Value("int64")),
    }[problem_type]

    def encode(value: Any, split: str, row: int) -> Any:
        where = f"{split}, row {row + 1}"
        if problem_type == "multi_label_classification":
            given = as_list(value)
            return [_known(index, name_of(v), where) for v in given]
        if value is None or value == "":
            raise UserError(f"{where}: the label is empty; every example needs one")
        if problem_type == "regression":
            try:
                number = float(value)
            except ValueError:
                raise UserError(f"{where}: the label {value!r} is no number") from None
            if number != number:
                raise UserError(f"{where}: the label is not a number (NaN)")
            return number
        return _known(index, name_of(value), where)

    encoded = datasets.DatasetDict()
    for name, split in splits.items():
        if only not in (None, name):
            continue
        values = [encode(value, name, row) for row, value in enumerate(split["label"])]
        column = datasets.Dataset.from_dict(
            {"label": values}, features=datasets.Features({"label": feature})
        )
        encoded[name] = datasets.concatenate_datasets(
            [split.remove_columns("label"), column], axis=1
        )
    counts = [0] * len(labels)
    if problem_type != "regression" and "train" in encoded:
        for value in encoded["train"]["label"]:
            for label in value if isinstance(value, list) else [value]:
                counts[label] += 1
    return encoded, counts


def _known(index: dict[str, int], name: str, where: str) -> int:
    if name not in index:
        raise UserError(
            f"{where}: the label {name!r} is none that training saw; it saw {', '.join(index)}"
        )
    return index[name]


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)
