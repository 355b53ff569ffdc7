"""Texts in files of their own: folders by label, as IMDb, 20 Newsgroups and scikit-learn have them.

A folder with a table in it is read as its table, by `tasks.data.files`. Any other is searched for
texts: LABEL/*.txt, or SPLIT/LABEL/*.txt, at whatever depth below the label.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import arrow_copy, files, fingerprint, tables
from tasks.data.splits import CANONICAL
from tasks.errors import UserError
from tasks.media.files import walk
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

VERSION = 1  # of the rows made of the same files: raise it with every change there
SUFFIXES = frozenset({"", ".text", ".txt"})
DIGEST = re.compile(r"\.[0-9a-f]{32}")
"""The suffix of a mail of SpamAssassin's corpus: its MD5."""
UNSUPERVISED = "unsup"
"""The folder of IMDb's reviews without label (Maas et al. 2011), beside those of the labels."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
COLUMNS = ("text", "label", "file", "encoding")
ROWS = 1_000  # texts that are in memory together
NAMED = 3  # files that a note names

Groups = dict[str, dict[str | None, list[Path]]]
"""Files by split and label; None: without label."""


def load(path: Path) -> "tuple[datasets.DatasetDict, str]":
    """Return the splits in a file or folder, and their fingerprint (sha256, hex).

    Of a folder of texts the columns are text, label (not there where no text has one), file (its
    path below the folder) and encoding ("utf-8", "utf-16" or "latin-1"), all strings. A split is a
    folder called so ("train", "20news-bydate-test"); texts in IMDb's folder "unsup" are the split
    unsupervised, without labels, as on the Hub. Everything else is `tasks.data.files.load`'s.

    Raises `UserError` for what can't be read, with its path.
    """
    if not path.is_dir() or files.in_folder(path, tables.READERS):
        return files.load(path)
    root = path.absolute()
    folders, every = walk(root)
    texts = [file for file in every if is_text(file)]
    if not texts:
        return files.load(path)  # which says what is there
    groups, beside = _grouped(root, folders, texts)
    _tell_left_out(path, root, beside)
    splits, digest = read_groups(root, groups)
    tell_encodings(path, splits)
    return splits, digest


def texts_in(folder: Path, labels: Collection[str] = ()) -> list[Path]:
    """Return the files with texts below a folder, in the order of their paths.

    Where its folders are those of labels, as in the data that a model was trained on, what lies
    beside them is left out, as it is there (IMDb's lists of addresses), and told.

    Args:
        labels: those that the model tells apart.
    """
    folders, every = walk(folder)
    texts = [file for file in every if is_text(file)]
    if not labels:
        return texts
    try:
        groups, beside = _grouped(folder, folders, texts)
    except UserError:  # of splits, which nobody asks for here
        return texts
    if not {label for split in groups.values() for label in split if label} <= {*labels}:
        return texts
    _tell_left_out(folder, folder, beside)
    left = set(beside)
    return [file for file in texts if file not in left]


def must_have_labels(names: Sequence[str], where: str) -> None:
    """Raise `UserError`, which says what layout is wanted, where columns are those of a folder of
    texts without folders of labels."""
    if list(names) == [name for name in COLUMNS if name != "label"]:
        raise UserError(
            f"{where} is a folder of texts without labels: put the texts of each label into a "
            f"folder of its name ({where}/LABEL/*.txt, or {where}/train/LABEL/*.txt and so on), or "
            "give a table with a column of labels"
        )


def _tell_left_out(path: Path, root: Path, beside: Sequence[Path]) -> None:
    if beside:
        some = ", ".join(str(file.relative_to(root)) for file in beside[:NAMED])
        more = f" and {len(beside) - NAMED:,} more" if len(beside) > NAMED else ""
        print_lines(
            f"note: texts of {path} outside of the folders of labels are left out: {some}{more}",
            file=sys.stderr,
        )


def read_text(file: Path) -> tuple[str, str]:
    """Return the text in a file, and its encoding; see `decoded`."""
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise UserError(f"{file} cannot be read: {problem.strerror}") from None
    return decoded(content, str(file))


def decoded(content: bytes, where: str) -> tuple[str, str]:
    """Return the text in the bytes of a file, and its encoding: UTF-8, else what a byte order mark
    says, else Latin-1, which knows every byte.

    Raises `UserError` for zero bytes, which no text has; `where` names the file.
    """
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"
        text = content.decode(encoding)
    if "\0" in text:
        raise UserError(f"{where} has zero bytes, so it is no text: move it out of the folder")
    return text, encoding.removesuffix("-sig")


def is_text(file: Path) -> bool:
    """Return whether a file is a text by its name, inside of a folder of texts."""
    suffix = file.suffix.lower()
    return suffix in SUFFIXES or bool(DIGEST.fullmatch(suffix))


class _Tree:
    """What lies directly in each folder: its texts, and its folders with texts at any depth."""

    def __init__(self, folders: Sequence[Path], texts: Sequence[Path]) -> None:
        self._texts: dict[Path, list[Path]] = {}
        for file in texts:
            self._texts.setdefault(file.parent, []).append(file)
        filled = {above for folder in self._texts for above in (folder, *folder.parents)}
        self._folders: dict[Path, list[Path]] = {}
        for folder in folders:
            if folder in filled:
                self._folders.setdefault(folder.parent, []).append(folder)

    def texts(self, folder: Path) -> list[Path]:
        return self._texts.get(folder, [])

    def folders(self, folder: Path) -> list[Path]:
        return self._folders.get(folder, [])

    def below(self, folder: Path) -> Iterator[Path]:
        yield from self.texts(folder)
        for inner in self.folders(folder):
            yield from self.below(inner)


def _grouped(
    root: Path, folders: Sequence[Path], texts: Sequence[Path]
) -> tuple[Groups, list[Path]]:
    """Return the texts by split and label, and those that lie outside of the labels' folders."""
    tree = _Tree(folders, texts)
    base, beside = root, []
    # an archive often unpacks to one folder that holds all, with a README beside it
    while len(inner := tree.folders(base)) == 1 and tree.folders(inner[0]):
        if _split_of(inner[0]):
            break
        beside += tree.texts(base)
        base = inner[0]
    groups: Groups = {}
    splits = _split_folders(base, tree)
    if base not in splits:
        beside += tree.texts(base)
    for folder, split in splits.items():
        labels = tree.folders(folder)
        if not labels:
            groups.setdefault(split, {}).setdefault(None, []).extend(tree.texts(folder))
            continue
        beside += tree.texts(folder)
        for label in labels:
            found = sorted(tree.below(label))
            if label.name == UNSUPERVISED and len(labels) > 1:
                groups.setdefault("unsupervised", {}).setdefault(None, []).extend(found)
            else:
                groups.setdefault(split, {}).setdefault(label.name, []).extend(found)
    return groups, sorted(beside)


def _split_folders(base: Path, tree: _Tree) -> Mapping[Path, str]:
    """Return the folders that hold those of the labels, and their splits; `base` itself is train.

    They are splits where all of them are called so: a folder "train" beside "bus" and "car" is a
    label. Raises `UserError` where it stands beside a folder that is no split, but has labels.
    """
    inner = tree.folders(base)
    splits = {folder: split for folder in inner if (split := _split_of(folder))}
    if len(splits) == len(inner) and len(set(splits.values())) == len(inner):
        return splits or {base: "train"}
    plain = [folder for folder in splits if folder.name.lower() in CANONICAL]
    if plain and all(tree.folders(folder) for folder in plain):
        other = next((folder for folder in inner if folder not in plain), plain[-1])
        names = ", ".join(folder.name for folder in plain)
        raise UserError(
            f"{other} stands beside {names}, but is no split of its own by its name (train,"
            " validation or test): rename or move it"
        )
    return {base: "train"}


def _split_of(folder: Path) -> str | None:
    """Return the split that a folder is called by: "test", or the last word of "20news-test"."""
    *_, last = re.split(r"[^a-z]+", folder.name.lower())
    return CANONICAL.get(last)


def read_groups(root: Path, groups: Groups) -> "tuple[datasets.DatasetDict, str]":
    """Return the splits through their Arrow copies, and the fingerprint of all files.

    The copies are named by which files are of which split and label, too: a classifier and a
    language model read one folder each in a way of its own.
    """
    import datasets

    rows = {
        split: sorted(
            ((file, label) for label, found in labels.items() for file in found),
            key=lambda row: row[0],
        )
        for split, labels in groups.items()
    }
    try:
        digest = fingerprint.of_files(
            (file.relative_to(root).as_posix(), file)
            for split in rows.values()
            for file, _ in split
        )
    except OSError as problem:
        raise UserError(f"{problem.filename} cannot be read: {problem.strerror}") from None
    is_labelled = any(label is not None for split in rows.values() for _, label in split)
    places = {
        split: [(file.relative_to(root).as_posix(), label) for file, label in found]
        for split, found in rows.items()
    }
    layout = hashlib.sha256(json.dumps([digest, places], sort_keys=True).encode()).hexdigest()
    home = Path(datasets.config.HF_DATASETS_CACHE) / "zoo" / f"texts-{layout}-{VERSION}"
    order = [*dict.fromkeys(CANONICAL.values()), "unsupervised"]
    made = {}
    for split in (name for name in order if name in rows):
        copy = home / f"{split}.arrow"
        if not copy.exists():
            schema, batches = _batches(root, rows[split], is_labelled)
            arrow_copy.write_batches(copy, schema, batches())
        made[split] = arrow_copy.read(copy, split, f"{layout[:32]}-texts-{VERSION}-{split}")
    return datasets.DatasetDict(made), digest


def _batches(
    root: Path, rows: Sequence[tuple[Path, str | None]], is_labelled: bool
) -> "tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]":
    """Return the columns of a split, and what yields its rows."""
    import pyarrow as pa
    from tqdm import tqdm

    names = [name for name in COLUMNS if is_labelled or name != "label"]
    schema = pa.schema([(name, pa.string()) for name in names])

    def batches() -> "Iterator[pa.RecordBatch]":
        with tqdm(
            total=len(rows), desc="texts", unit="file", delay=2, leave=False, disable=None
        ) as bar:
            for start in range(0, len(rows), ROWS):
                made = []
                for file, label in rows[start : start + ROWS]:
                    text, encoding = read_text(file)
                    place = file.relative_to(root).as_posix()
                    made.append({"text": text, "label": label, "file": place, "encoding": encoding})
                bar.update(len(made))
                columns = [pa.array([row[name] for row in made], pa.string()) for name in names]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return schema, batches


def tell_encodings(path: Path, splits: "datasets.DatasetDict") -> None:
    """A note where texts are not UTF-8: Latin-1 never fails, and so may be wrong."""
    odd = [
        (split, place)
        for split in splits.values()
        for place, name in enumerate(split["encoding"])
        if name == "latin-1"
    ]
    if odd:
        split, place = odd[0]
        total = sum(split.num_rows for split in splits.values())
        print_lines(
            f"note: {len(odd):,} of {total:,} texts of {path} are not UTF-8 and were read as"
            f" Latin-1; the first is {split[place]['file']}",
            file=sys.stderr,
        )
