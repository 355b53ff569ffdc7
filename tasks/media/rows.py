"""The column `media`: which column of a data set it is, its one form, and its Arrow copy."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data import arrow_copy, fingerprint
from tasks.data.columns import find_column, folded
from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from tasks.media.source import Companion, MediaKind

VERSION = 2  # of the rows made of the same files: raise it with every change there
MEDIA = "media"


def find(features: "datasets.Features", kind: "MediaKind", asked: str | None, where: str) -> str:
    """The column that holds media: the one asked for, else by a usual name, else the only one whose
    type can hold nothing else. Raises `UserError` naming the columns there are.
    """
    usual = (MEDIA, *kind.columns)
    if asked is None:
        wanted = set(map(folded, usual))
        holding: list[str] = [
            name for name in features if holds_bytes(features.arrow_schema.field(name).type)
        ]
        named = [name for name in holding if folded(name) in wanted]
        if len(holding) == 1:
            return holding[0]
        if named:
            return find_column(named, None, usual, kind.name, where)
    return find_column(list(features), asked, usual, kind.name, where)


def find_companion(names: Sequence[str], media: str, companion: "Companion") -> str | None:
    """Return which column is that of the companion; None where there is none, as in a split
    without masks.

    Args:
        names: the columns there are.
        media: the one that holds the media.
    """
    others = [name for name in names if name != media]
    kind = companion.kind
    try:
        return find_column(others, companion.column, kind.columns, kind.name, "the table")
    except UserError:
        return None


def holds_bytes(stored: "pa.DataType") -> bool:
    """Return whether a column of this type can hold files themselves: binary, or {"bytes", ...}."""
    import pyarrow as pa

    if pa.types.is_struct(stored):
        return any(
            stored.field(place).name == "bytes" and _is_binary(stored.field(place).type)
            for place in range(stored.num_fields)
        )
    return _is_binary(stored)


def is_text(stored: "pa.DataType") -> bool:
    """Return whether a column of this type can hold paths; a column without any value can."""
    import pyarrow as pa

    return bool(
        pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_null(stored)
    )


def _is_binary(stored: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(stored) or pa.types.is_large_binary(stored))


def features_of(features: "datasets.Features", column: str, where: str) -> "datasets.Features":
    """The features once `column` has become `media`; no other column decodes either."""
    import datasets

    if column != MEDIA and MEDIA in features:
        raise UserError(
            f"{where} has a column called {MEDIA!r} beside {column!r}: rename it, or name it with"
            " the option for the column"
        )
    made = {}
    for name, feature in features.items():
        if name == column:
            made[MEDIA] = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
        else:
            made[name] = _undecoded(feature)
    return datasets.Features(made)


def _undecoded(feature: Any) -> Any:
    """The feature without decoding, at whatever depth."""
    if isinstance(feature, dict):
        return {name: _undecoded(inner) for name, inner in feature.items()}
    if getattr(feature, "decode", False):
        return dataclasses.replace(feature, decode=False)
    if hasattr(feature, "feature"):
        return dataclasses.replace(feature, feature=_undecoded(feature.feature))
    return feature


def structs(values: "pa.Array") -> "pa.StructArray":
    """Binary values, paths or {"bytes", "path"} as the one form {"bytes", "path"}."""
    import pyarrow as pa

    nothing = pa.nulls(len(values))
    parts = {"bytes": nothing, "path": nothing}
    if pa.types.is_struct(values.type):
        # flatten() makes the fields of a null struct null; field() would not
        fields = dict(zip((f.name for f in values.type), values.flatten(), strict=True))
        parts |= {name: fields[name] for name in parts if name in fields}
    else:
        parts["bytes" if _is_binary(values.type) else "path"] = values
    return pa.StructArray.from_arrays(
        [parts["bytes"].cast(pa.binary()), parts["path"].cast(pa.string())], ["bytes", "path"]
    )


def of_paths(paths: "Sequence[Path]", labels: Sequence[str] | None = None) -> "pa.Table":
    """A table of files on disk with the column `media`, and `label` where they have one."""
    import pyarrow as pa

    media = structs(pa.array([str(path) for path in paths], pa.string()))
    columns: dict[str, pa.Array] = {MEDIA: media}
    if labels is not None:
        columns["label"] = pa.array(labels, pa.string())
    return pa.table(columns)


def objects_feature(classes: Sequence[str]) -> dict[str, Any]:
    """Return the types of the column `objects`: of each image the boxes (x0, y0, x1, y1 in pixels),
    places of classes, which are crowds, and areas in pixels, one an object each."""
    import datasets

    return {
        "bbox": datasets.List(datasets.List(datasets.Value("float64"))),
        "category": datasets.List(datasets.ClassLabel(names=list(classes))),
        "iscrowd": datasets.List(datasets.Value("bool")),
        "area": datasets.List(datasets.Value("float64")),
    }


def digest_of(root: Path, paths: Iterable[Path], named: Mapping[str, Path] | None = None) -> str:
    """The fingerprint of files below `root`, and of others under the names they are given."""
    entries = {path.relative_to(root).as_posix(): path for path in paths} | dict(named or {})
    try:
        return fingerprint.of_files(entries.items())
    except OSError as problem:
        raise UserError(f"{problem.filename} cannot be read: {problem.strerror}") from None


def plain(
    splits: "datasets.DatasetDict", kind: "MediaKind", asked: str | None, where: str
) -> "datasets.DatasetDict":
    """The splits with their column of media in its one form, where it is not yet.

    Nothing is copied: {"bytes", "path"} is how `datasets` stores Image and Audio.
    """
    import datasets
    from datasets.fingerprint import Hasher

    made = {}
    for name, split in splits.items():
        column = MEDIA if _is_plain(split.features) else find(split.features, kind, asked, where)
        features = features_of(split.features, column, where)
        if features == split.features:
            made[name] = split
            continue
        stored = split.features.arrow_schema.field(column).type
        if not holds_bytes(stored):
            raise UserError(
                f"the column {column!r} of {where} holds {stored}, not {kind.name} files"
            )
        split = split.flatten_indices() if split._indices is not None else split
        info = split.info.copy()
        info.features = features
        table = split.data.rename_columns(list(features)).cast(features.arrow_schema)
        made[name] = datasets.Dataset(
            table,
            info=info,
            split=split.split,
            fingerprint=Hasher.hash([split._fingerprint, MEDIA, column, VERSION]),
        )
    return datasets.DatasetDict(made)


def _is_plain(features: "datasets.Features") -> bool:
    feature = features.get(MEDIA)
    return isinstance(feature, Mapping) and set(feature) == {"bytes", "path"}


class Copies:
    """The Arrow copies of one data set, in the cache of `datasets`.

    `key` must say all that the rows depend on: the content's fingerprint, how it was read (one file
    may be a table by itself and a listing in its folder), which column became `media`, and the root
    where rows hold absolute paths, so that a folder that has moved is not served with the paths it
    had.
    """

    def __init__(self, *key: object) -> None:
        import datasets

        text = json.dumps([VERSION, *key])
        self._key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
        self._home = Path(datasets.config.HF_DATASETS_CACHE) / "zoo" / f"media-{self._key}"

    def has(self, splits: Iterable[str]) -> bool:
        return all(self._path(split).exists() for split in splits)

    def write(self, split: str, schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]") -> None:
        arrow_copy.write_batches(self._path(split), schema, batches)

    def read(self, splits: Sequence[str]) -> "datasets.DatasetDict":
        import datasets

        return datasets.DatasetDict(
            {
                split: arrow_copy.read(self._path(split), split, f"{self._key}-{split}")
                for split in splits
            }
        )

    def keep(self, tables: "Mapping[str, pa.Table]") -> "datasets.DatasetDict":
        """The tables of the splits, written where they are not there yet, and read back."""
        for split, table in tables.items():
            if not self._path(split).exists():
                self.write(split, table.schema, table.to_batches(max_chunksize=1000))
        return self.read(list(tables))

    def _path(self, split: str) -> Path:
        return self._home / f"{split}.arrow"
