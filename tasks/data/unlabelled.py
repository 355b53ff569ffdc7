"""Examples without labels, for semi-supervised learning: the rest of the training rows, or other
data."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Examples
from tasks.data import fingerprint
from tasks.data.splits import left_out
from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets

    from tasks.data.source import DataArgs, Source

REST = "rest"
HELD_OUT = ("validation", "test")


def find(
    source: "Source",
    splits: "datasets.DatasetDict",
    data: "DataArgs",
    asked: str,
    load: "Callable[[DataArgs], Source]",
) -> Examples:
    """Examples in one split, train, with all columns of the labelled ones but `label`.

    None of them has the content of a validation or test row, and none is without text.

    Args:
        source: the labelled data.
        splits: its splits with those cut that were missing.
        data: what chose them.
        asked: "rest", the rows of train that `max_train_samples` leaves out, or what `--data`
            takes: all splits but validation and test are read.
        load: reads other data, without its labels.

    Raises `UserError` where there is nothing to learn from.
    """
    import datasets

    columns = [name for name in next(iter(splits.values())).column_names if name != "label"]
    if asked == REST:
        if data.max_train_samples is None:
            raise UserError(
                "`unlabeled` rest is what `max_train_samples` leaves out: give that, too"
            )
        found, name, digest = left_out(splits["train"], data), REST, source.fingerprint
        held_out: list[datasets.Dataset] = []  # these are no rows of train
    else:
        config = data.data_config if asked == data.data else None
        other = load(replace(data, data=asked, data_config=config))
        pools = [split for name, split in other.splits.items() if name not in HELD_OUT]
        if not pools:
            raise UserError(
                f"`unlabeled` {asked} has a {' and a '.join(other.splits)} split only, and those"
                " are not trained on: name it train"
            )
        found, name = datasets.concatenate_datasets(pools), other.name
        held_out = [splits[name].select_columns(columns) for name in HELD_OUT if name in splits]
        digest = hashlib.sha256(f"{source.fingerprint}/{other.fingerprint}".encode()).hexdigest()
    found = _without(found.select_columns(columns), held_out)
    if not found.num_rows:
        raise UserError(f"`unlabeled` {asked} leaves no rows to learn from")
    return Examples(datasets.DatasetDict({"train": found}), name, digest)


def _without(
    rows: "datasets.Dataset", held_out: "Sequence[datasets.Dataset]"
) -> "datasets.Dataset":
    """The rows that say something and whose content is in none of the splits held out."""
    known = {content(row) for split in held_out for row in split}
    kept: Sequence[int] = range(rows.num_rows)
    if "text" in rows.column_names:
        kept = [i for i, text in enumerate(rows["text"][:]) if text not in (None, "")]
    if known:
        pairs = zip(kept, rows.select(kept), strict=True)
        kept = [i for i, row in pairs if content(row) not in known]
    return rows if len(kept) == rows.num_rows else rows.select(kept)


def content(row: Mapping[str, Any]) -> object:
    """Return what two examples must share to be the same: the text, or the sha256 of the file."""
    if "media" not in row:
        return tuple(row.values())
    media = row["media"]
    if media["bytes"] is not None:
        return hashlib.sha256(media["bytes"]).hexdigest()
    try:
        return fingerprint.sha256(Path(media["path"]))
    except OSError:
        return media["path"]  # whoever decodes it will say what is wrong
