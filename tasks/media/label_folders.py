"""A folder by label: LABEL/*.png, or SPLIT/LABEL/*.png, at whatever depth below the label."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data.splits import CANONICAL
from tasks.errors import UserError
from tasks.media import rows as media_rows
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets

    from tasks.media.source import MediaKind


def load(
    root: Path, folders: Sequence[Path], media: Sequence[Path], kind: "MediaKind"
) -> "tuple[datasets.DatasetDict, str]":
    """The splits with columns media and label, in the order of their paths, and the fingerprint.

    Args:
        folders, media: all folders and all media files below `root`, sorted.

    Raises `UserError` for files without a label, and a label or split without files.
    """
    tree = _Tree(folders, media)
    base = root
    # An archive often unpacks to one folder that holds all.
    while not tree.files_in(base) and len(tree.folders_in(base)) == 1:
        only = tree.folders_in(base)[0]
        if only.name.lower() in CANONICAL or tree.files_in(only):
            break
        base = only
    by_split: dict[str, dict[str, list[Path]]] = {}
    for place, split in _split_folders(base, tree).items():
        labels = _labels(place, tree, kind)
        for label, paths in labels.items():
            by_split.setdefault(split, {}).setdefault(label, []).extend(paths)
    _check_empty(by_split, root, kind)
    made = {}
    for split in dict.fromkeys(CANONICAL.values()):
        rows = sorted(
            (path, label) for label, paths in by_split.get(split, {}).items() for path in paths
        )
        if rows:
            made[split] = media_rows.of_paths(*map(list, zip(*rows, strict=True)))
    used = [path for labels in by_split.values() for paths in labels.values() for path in paths]
    digest = media_rows.digest_of(root, used)
    return media_rows.Copies(digest, str(root), "labels").keep(made), digest


class _Tree:
    """The folders and files of a data set, each under the folder that it lies in."""

    def __init__(self, folders: Sequence[Path], media: Sequence[Path]) -> None:
        self._folders: dict[Path, list[Path]] = {}
        self._files: dict[Path, list[Path]] = {}
        for folder in folders:
            self._folders.setdefault(folder.parent, []).append(folder)
        for file in media:
            self._files.setdefault(file.parent, []).append(file)

    def folders_in(self, folder: Path) -> list[Path]:
        return self._folders.get(folder, [])

    def files_in(self, folder: Path) -> list[Path]:
        return self._files.get(folder, [])

    def files_below(self, folder: Path) -> list[Path]:
        found, pending = [], [folder]
        while pending:
            here = pending.pop()
            found += self.files_in(here)
            pending += self.folders_in(here)
        return found


def _split_folders(base: Path, tree: _Tree) -> dict[Path, str]:
    """The folders that hold label folders, and their splits; `base` itself is train.

    A folder called train is a class of vehicle where others beside it are no splits.
    """
    named = [folder for folder in tree.folders_in(base) if folder.name.lower() in CANONICAL]
    others = [
        folder
        for folder in tree.folders_in(base)
        if folder not in named and tree.files_below(folder)
    ]
    if not named or (others and any(tree.files_in(folder) for folder in named)):
        return {base: "train"}
    if others:
        raise UserError(
            f"{others[0]} stands beside {', '.join(folder.name for folder in named)}, but is no"
            " split by its name (train, validation or test): rename or move it"
        )
    if tree.files_in(base):
        raise UserError(
            f"{tree.files_in(base)[0]} stands beside the folders of the splits: move it into the"
            " folder of its split and label, or away"
        )
    return {folder: CANONICAL[folder.name.lower()] for folder in named}


def _labels(folder: Path, tree: _Tree, kind: "MediaKind") -> dict[str, list[Path]]:
    flat = tree.files_in(folder)
    if flat:
        count = f"{len(flat)} {kind.name} file{'s'[: len(flat) != 1]}"
        raise UserError(
            f"{folder} has {count} without a label, the first is {flat[0].name}: move each into a"
            f" folder called by its label (LABEL/{flat[0].name}), or add a metadata.csv with"
            " file_name and a column of labels or transcriptions"
        )
    labels = {below.name: tree.files_below(below) for below in tree.folders_in(folder)}
    if not any(labels.values()):
        raise UserError(
            f"the folder {folder} has no {kind.name} files ({', '.join(sorted(kind.suffixes))}):"
            " put a folder of them there for each label, or remove it"
        )
    return labels


def _check_empty(by_split: dict[str, dict[str, list[Path]]], root: Path, kind: "MediaKind") -> None:
    """A label without any file is a mistake; one without files in some split is worth a word."""
    filled = {label for labels in by_split.values() for label, files in labels.items() if files}
    empty = [
        (split, label)
        for split, labels in by_split.items()
        for label, files in labels.items()
        if not files
    ]
    for _, label in empty:
        if label not in filled:
            raise UserError(
                f"the label folder {label!r} of {root} has no {kind.name} files"
                f" ({', '.join(sorted(kind.suffixes))}): put some there, or remove it"
            )
    if empty:
        names = ", ".join(f"{label!r} of {split}" for split, label in empty[:5])
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        print_lines(
            f"warning: no {kind.name} files in the label folder {names}{more}", file=sys.stderr
        )
