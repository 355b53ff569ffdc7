"""Where examples come from: embedded, a file, a folder of split files, or the Hub.

`load` gives the splits as they are there, with a name and a fingerprint. `find_column`,
`cut_missing_splits` and `limit` are the steps that follow; a task calls them in that order.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tasks.bounds import BelowOne, Bounded, Count, Seed
from tasks.data import files, fingerprint, hub
from tasks.data.columns import find_column
from tasks.data.labels import leave_out
from tasks.data.splits import cut_missing_splits, limit
from tasks.errors import UserError
from tasks.paths import expanded

if TYPE_CHECKING:
    import datasets

__all__ = [
    "DataArgs",
    "Source",
    "choose_split",
    "cut_missing_splits",
    "find_column",
    "limit",
    "load",
]


NONE = "none"
"""The data that a checkpoint records which was not trained here."""


@dataclasses.dataclass(frozen=True)
class DataArgs(Bounded):
    """The flags that choose the data."""

    data: str = "embedded"
    """"embedded", a file (csv, tsv, xlsx, json, jsonl, parquet), a folder of split files, or of
    texts, images or sounds by label, or a Hub id."""
    data_config: str | None = None
    """Configuration of a Hub data set that has several, e.g. "sst2" of nyu-mll/glue."""
    validation_size: BelowOne = 0.1
    """Share cut from train where the data has no validation split; 0 cuts none."""
    test_size: BelowOne = 0.1
    """Share cut from train where the data has no test split, not even one without labels; 0 cuts
    none."""
    split_seed: Seed = 0
    """Seed of the cut and of the choice that the two limits make."""
    max_train_samples: Count | None = None
    """At most so many rows of train, chosen by split_seed."""
    max_eval_samples: Count | None = None
    """At most so many rows of each other split, chosen by split_seed."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples, and what is needed to say which they were."""

    splits: "datasets.DatasetDict"  # those there were, under the names train, validation, test
    name: str  # for a card: the file's or folder's own name, the Hub id, or "embedded"
    fingerprint: str  # sha256 over files or examples; of the Hub "COMMIT" or "COMMIT/CONFIG"
    cleaned: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """What was done to the texts, counted; see `tasks.nlp.cleaning.cleaned_splits`."""

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each split."""
        return {name: split.num_rows for name, split in self.splits.items()}


def load(
    args: DataArgs,
    embedded: "Callable[[], datasets.DatasetDict]",
    read: "Callable[[Path], tuple[datasets.DatasetDict, str]]" = files.load,
) -> Source:
    """The examples that `args.data` names; `embedded` makes the task's own, `read` those of a path.

    Raises `UserError` for whatever is wrong with what the user named.
    """
    path = expanded(args.data)
    try:
        is_there = path.exists()
    except OSError as problem:  # a name too long, a folder that may not be entered
        raise UserError(f"{args.data} cannot be read: {problem.strerror}") from None
    if args.data_config is not None and (args.data == "embedded" or is_there):
        raise UserError(
            f"`data_config` {args.data_config} is for a data set of the Hub, but `data` is"
            f" {args.data}"
        )
    if args.data == NONE and not is_there:
        raise UserError("these weights were imported, and have no data of their own: give `data`")
    if args.data == "embedded":
        splits = embedded()
        return Source(splits, "embedded", fingerprint.of_examples(splits))
    if is_there:
        splits, digest = read(path)
        return Source(splits, PurePath(path.resolve()).name, digest)
    if files.looks_like_a_path(args.data):
        raise files.missing(args.data)
    splits, digest = hub.load(args.data, args.data_config)
    return Source(splits, args.data, digest)


def choose_split(
    source: Source,
    splits: "datasets.DatasetDict",
    stratify: str | None,
    data: DataArgs,
    split: str | None,
    trained_on: str | None,
    without_labels: Collection[str] = (),
) -> "tuple[str, datasets.DatasetDict]":
    """The split to evaluate on, and all of them.

    By default test, else validation, else train, the first that has labels. Of the data trained on
    (its fingerprint is `trained_on`), missing splits are cut as they were then, so that nothing
    trained on is tested on, and train has the rows that were learned from; other data is taken as
    it comes. With None for `trained_on` nothing was learned from the data, and missing splits are
    cut as for a training. `max_eval_samples` limits whichever split is chosen, train too.

    Raises `UserError` where there is no such split, or none with labels.
    """
    is_known = source.fingerprint == trained_on
    if is_known or trained_on is None:
        splits = cut_missing_splits(splits, stratify, data)
    limits = (data.max_train_samples if is_known else None, data.max_eval_samples)
    most = min((rows for rows in limits if rows is not None), default=None)
    splits = limit(splits, dataclasses.replace(data, max_train_samples=most))
    if split is not None and split not in splits:
        raise UserError(
            f"{source.name} has no split {split!r}", "split", f"it has {', '.join(splits)}"
        )
    usual = [name for name in ("test", "validation", "train", *splits) if name in splits]
    measurable = [name for name in usual if name not in without_labels]
    if split in without_labels or not measurable:
        raise UserError(
            f"{split or usual[0]} of {source.name} has no labels in any of its rows, so nothing can"
            " be measured on it: predict reads it"
        )
    if split is None:
        skipped = [
            name for name in without_labels if usual.index(name) < usual.index(measurable[0])
        ]
        splits = leave_out(splits, skipped)
    return split or measurable[0], splits
