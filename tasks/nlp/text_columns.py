"""The columns of texts and labels under their usual names, every text a string."""

from typing import TYPE_CHECKING

from tasks.data import columns
from tasks.data.source import Source
from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def canonical(
    source: Source,
    text: str,
    text_pair: str | None = None,
    label: str | None = None,
    flags: tuple[str, str] = ("text_column", "text_pair_column"),
) -> "datasets.DatasetDict":
    """The splits with the columns text, text_pair and label, each where it is named.

    Args:
        flags: the settings that name the columns text and text_pair, for errors.

    A missing text is an empty one; the preflight counts those. Raises `UserError` for a column that
    a split lacks or that holds no texts, and for one that is to be two things.
    """
    named = [name for name in (text, text_pair, label) if name is not None]
    twice = [name for name in named if named.count(name) > 1]
    if twice:
        raise UserError(f"the column {twice[0]!r} of {source.name} can't be two things at once")
    wanted = {text: "text"}
    wanted |= {text_pair: "text_pair"} if text_pair is not None else {}
    wanted |= {label: "label"} if label is not None else {}
    splits = columns.select(source.splits, wanted, source.name)
    setting = dict(zip(("text", "text_pair"), flags, strict=True))
    for old, new in wanted.items():
        if new != "label":
            what = f"the column {old!r} of {source.name}"
            splits = _as_strings(splits, new, what, setting[new])
    return splits


def _as_strings(
    splits: "datasets.DatasetDict", column: str, what: str, setting: str
) -> "datasets.DatasetDict":
    import datasets
    import pyarrow as pa
    import pyarrow.compute as pc

    made = {}
    for name, split in splits.items():
        values = split.select_columns([column]).with_format("arrow")[:].column(0)
        if not (pa.types.is_null(values.type) or _is_text(values.type)):
            raise UserError(
                f"{what} holds {values.type} in {name}, not texts: name another"
                f" (`{setting}`), or write its values as strings"
            )
        if values.null_count:
            filled = pc.fill_null(values.cast(pa.large_string()), "")
            split = datasets.concatenate_datasets(
                [split.remove_columns(column), datasets.Dataset(pa.table({column: filled}))], axis=1
            )
        made[name] = split
    return datasets.DatasetDict(made)


def _is_text(stored: "pa.DataType") -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(stored) for is_kind in kinds)
