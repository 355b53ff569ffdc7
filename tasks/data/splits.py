"""The splits of a data set: their names, those that are missing, and fewer rows where asked for.

Every choice of rows is a function of the seed and the rows alone. `numpy.random.RandomState` draws
them, because its streams are frozen: a newer numpy gives the same splits.
"""

from typing import TYPE_CHECKING

from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from tasks.data.source import DataArgs

    Rows = np.ndarray[tuple[int], np.dtype[np.intp]]

ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval", "development"),
    "test": ("test", "testing"),
}
CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def canonical(splits: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """The splits with dev, val, ... renamed, except where the usual name is taken."""
    import datasets

    renamed = {}
    for name, split in splits.items():
        better = CANONICAL.get(name.lower(), name)
        renamed[name if better != name and better in splits else better] = split
    return datasets.DatasetDict(renamed)


def must_have_train(splits: "datasets.DatasetDict", where: str) -> None:
    """Raises `UserError` where there is nothing to train on; `where` is the data's name."""
    if "train" not in splits:
        raise UserError(
            f"{where} has no split to train on, but {', '.join(splits)} only: name the file or"
            " folder of the training data train, or give it with `data`"
        )


def cut_missing_splits(
    splits: "datasets.DatasetDict", label_column: str | None, args: "DataArgs"
) -> "datasets.DatasetDict":
    """The splits with validation and test cut from train where they are not there.

    Rows come from train only, and a split that exists is left as it is; without a train split
    nothing is cut. Where the labels are discrete and every class has a row for each of the new
    splits and one for train, each class gives its share to within one row.

    Raises `UserError` where the sizes do not fit, or train has too few rows.
    """
    import datasets

    shares = {"validation": args.validation_size, "test": args.test_size}
    missing = {name: share for name, share in shares.items() if name not in splits and share > 0}
    if "train" not in splits or not missing:
        return splits
    if sum(missing.values()) >= 1:
        raise UserError(
            f"the sizes of {' and '.join(missing)} add up to {sum(missing.values()):g},"
            " which leaves no rows to train on"
        )
    train = splits["train"]
    if train.num_rows < 1 + len(missing):
        rows = f"{train.num_rows} row{'s'[: train.num_rows != 1]}"
        raise UserError(f"train has {rows}, too few to cut {' and '.join(missing)} from it")
    classes = _classes(train, label_column)
    if classes is not None and min(len(rows) for rows in classes) < 1 + len(missing):
        classes = None
    cuts = _cut(train.num_rows, classes, list(missing.values()), args.split_seed)
    parts = dict(zip(["train", *missing], cuts, strict=True))
    return datasets.DatasetDict(
        {
            name: train.select(parts[name]) if name in parts else splits[name]
            for name in [*splits, *missing]
        }
    )


def limit(splits: "datasets.DatasetDict", args: "DataArgs") -> "datasets.DatasetDict":
    """The splits with at most `max_train_samples` (train) and `max_eval_samples` (each other one).

    A random choice by seed, in the rows' own order; a larger limit keeps all that a smaller one
    kept.
    """
    import datasets

    limited = {}
    for name, split in splits.items():
        most = args.max_train_samples if name == "train" else args.max_eval_samples
        if most is not None and most < split.num_rows:
            split = split.select(_chosen(split.num_rows, most, args.split_seed)[0])
        limited[name] = split
    return datasets.DatasetDict(limited)


def left_out(train: "datasets.Dataset", args: "DataArgs") -> "datasets.Dataset":
    """The rows of train that `limit` leaves out; none where there is no limit on it."""
    most = train.num_rows if args.max_train_samples is None else args.max_train_samples
    return train.select(_chosen(train.num_rows, most, args.split_seed)[1])


def _chosen(n: int, most: int, seed: int) -> "tuple[Rows, Rows]":
    """The rows of n that a limit keeps, and the others; each sorted."""
    import numpy as np

    order = np.random.RandomState(seed).permutation(n)
    return np.sort(order[:most]), np.sort(order[most:])


def _classes(train: "datasets.Dataset", label_column: str | None) -> "list[Rows] | None":
    """The rows of each class, or None where the labels are not discrete or not all there."""
    import numpy as np
    import pyarrow as pa

    if label_column is None:
        return None
    kind = train.features[label_column]
    stored = getattr(kind, "pa_type", None)
    if stored is None or not (
        pa.types.is_integer(stored) or pa.types.is_boolean(stored) or _is_text(stored)
    ):
        return None
    column = train.select_columns([label_column]).with_format("arrow")[:].column(0)
    if column.null_count:
        return None
    _, codes = np.unique(np.asarray(column.to_pylist()), return_inverse=True)
    return [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]


def _is_text(stored: object) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(stored) or pa.types.is_large_string(stored))


def _cut(
    n: int,
    classes: "list[Rows] | None",
    shares: list[float],
    seed: int,
) -> "list[Rows]":
    """Rows 0..n-1 cut into [rest, *one part a share], each sorted, none empty."""
    import numpy as np

    random = np.random.RandomState(seed)
    groups = [np.arange(n)] if classes is None else classes
    left = np.array([len(group) for group in groups])
    shuffled = [random.permutation(group) for group in groups]
    parts: list[Rows] = []
    sizes = np.array([len(group) for group in groups])
    for place, share in enumerate(shares):
        # One row of each group stays for train and for each part that is still to come where
        # there is one; what was promised to a later part is not given to this one.
        reserved = 1 + len(shares) - place - 1
        take = _apportion(sizes, share, np.maximum(left - reserved, 0), random)
        parts.append(
            np.sort(
                np.concatenate(
                    [
                        rows[have - count : have]
                        for rows, have, count in zip(shuffled, left, take, strict=True)
                    ]
                )
            )
        )
        left = left - take
    rest = np.concatenate([rows[:have] for rows, have in zip(shuffled, left, strict=True)])
    return [np.sort(rest), *parts]


def _apportion(
    sizes: "Rows",
    share: float,
    room: "Rows",
    random: "np.random.RandomState",
) -> "Rows":
    """Return how many rows each group gives to a part: its quota rounded down, or up for those with
    the largest remainders (ties by lot) until the part has its size; at most `room`, in all at
    least 1."""
    import numpy as np

    quota = sizes * share
    take: Rows = np.minimum(np.floor(quota + 1e-9).astype(np.intp), room)
    wanted = max(1, round(int(sizes.sum()) * share))
    by_lot = random.permutation(len(sizes))
    order = by_lot[np.argsort(-(quota - take)[by_lot], kind="stable")]
    for group in order:
        if take.sum() >= wanted:
            break
        if take[group] < room[group]:
            take[group] += 1
    return take
