"""What kind of examples a file, a folder or a data set of the Hub holds, by names, types and the
first few values."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.data.columns import folded
from tasks.errors import UserError
from tasks.paths import expanded
from zoo.cli.args import ShipArgs

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "tags", "image", "boxes", "masks", "sound", "speech", "table"]
TASKS: dict[Kind, str] = {
    "text": "tasks.nlp.text_classification",
    "tags": "tasks.nlp.token_classification",
    "image": "tasks.vision.image_classification",
    "boxes": "tasks.vision.detection",
    "masks": "tasks.vision.segmentation",
    "sound": "tasks.speech.audio_classification",
    "speech": "tasks.speech.speech_recognition",
    "table": "tasks.tabular.table_classification",
}
"""The module of the task that learns a kind."""

ROWS = 16
"""That are looked at."""
OF_SOUND = frozenset({"audio", "wav", "sound", "speech", "clip", "recording"})
OF_IMAGE = frozenset({"image", "img", "picture", "photo", "pixels"})
SOUND_BEGINS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff")
LONG = 40
"""Characters of a cell on average, from which on a column holds texts and no names."""


def kind_of(args: ShipArgs) -> Kind:
    """Return what the data are.

    Raises `UserError` where there is nothing that can be read, or nothing to learn from.
    """
    from tasks.data import files

    path = expanded(args.data)
    try:
        if path.is_dir():
            return _of_folder(path, args)
        if path.exists():
            return _of_file(path, args)
    except OSError as problem:
        raise UserError(f"{args.data} cannot be read: {problem.strerror}") from None
    if files.looks_like_a_path(args.data):
        raise files.missing(args.data)
    return _of_table(_of_hub(args.data, args.data_config), args)


def _of_folder(path: Path, args: ShipArgs) -> Kind:
    """By what most of its files are; tables beside pictures and sounds list them."""
    from tasks.data import conll, tables
    from tasks.data.files import NOT_DATA
    from tasks.media.files import walk
    from tasks.nlp import text_files
    from tasks.speech.sound.audio import AUDIO
    from tasks.vision.images import IMAGE

    folders, every = walk(path.absolute())
    if not every:
        raise UserError(f"the folder {path} has no files in it")
    by_suffix = Counter(file.suffix.lower() for file in every if file.name not in NOT_DATA)

    def count(suffixes: Sequence[str] | frozenset[str]) -> int:
        return sum(by_suffix[suffix] for suffix in suffixes)

    listings = [
        file
        for file in every
        if file.suffix.lower() in tables.READERS and file.name not in NOT_DATA
    ]
    images, sounds = count(IMAGE.suffixes), count(AUDIO.suffixes)
    if images and args.label_column is None:
        annotated = _annotated(path.absolute(), every)
        if annotated is not None:
            return annotated
    metadata = [file for file in listings if file.stem.lower() == "metadata"]
    media = [file for file in every if file.suffix.lower() in IMAGE.suffixes | AUDIO.suffixes]
    # what lies beside tables, and in no folder by label, may be a plot of them
    are_beside = not metadata and all(file.parent == path.absolute() for file in media)
    if listings and (not media or are_beside):
        return _of_table(_head(listings[0]), args)
    if sounds > images:
        named = metadata or listings
        return _heard(_head(named[0]).column_names if named else ["label"], args)
    if images:
        named = metadata or [file for file in listings if file.parent == path.absolute()]
        return (_beside_images(_head(named[0]), args) if named else None) or "image"
    if count(list(conll.READERS)):
        return "tags"
    if IMAGE.of_arrays is not None and IMAGE.of_arrays(path.absolute(), every) is not None:
        return "image"
    if any(map(text_files.is_text, every)):
        by_label = any(folder != path.absolute() and _has_files(folder) for folder in folders)
        return "text" if by_label else "tags"
    others = ", ".join(sorted(suffix or "files without a suffix" for suffix in by_suffix)[:5])
    raise UserError(
        f"the folder {path} has only {others}: give tables, texts, images or sounds in folders by "
        "label (an archive has to be unpacked)"
    )


def _annotated(root: Path, every: Sequence[Path]) -> Kind | None:
    """By the files of boxes, or the masks, beside the images of a folder; None without any.

    Raises `UserError` for boxes and masks, of which a model learns one.
    """
    from tasks.vision import box_files, mask_folders

    boxes, masks = box_files.is_annotated(root, every), mask_folders.find(root) is not None
    if boxes and masks:
        raise UserError(
            f"{root} has boxes and masks: name with `model` what learns from the ones that count, "
            "fcos_det or unet_seg"
        )
    if boxes:
        return "boxes"
    return "masks" if masks else None


def _beside_images(head: "pa.Table", args: ShipArgs) -> Kind | None:
    """By the columns beside that of the images; None where those are labels."""
    from tasks.media.rows import holds_bytes
    from tasks.vision import box_tables
    from tasks.vision.mask_files import MASK

    if args.label_column is not None:
        return None
    if box_tables.has_boxes(head.schema):
        return "boxes"
    for field in head.schema:
        if folded(field.name) not in MASK.columns:
            continue
        values = [value for value in head.column(field.name).to_pylist() if value]
        are_files = all(
            isinstance(value, str) and _suffix(value) in MASK.suffixes for value in values
        )
        if holds_bytes(field.type) or (values and are_files):
            return "masks"
    return None


def _suffix(path: str) -> str:
    return Path(path[-300:]).suffix.lower()


def _has_files(folder: Path) -> bool:
    return any(each.is_file() for each in folder.iterdir())


def _of_file(path: Path, args: ShipArgs) -> Kind:
    from tasks.data import conll, files, tables
    from tasks.speech.sound.audio import AUDIO
    from tasks.vision import box_files
    from tasks.vision.images import IMAGE

    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"} or (suffix == ".json" and box_files.is_coco(path)):
        return "boxes"
    if suffix in conll.READERS:
        return "tags"
    if suffix in tables.READERS:
        return _of_table(_head(path), args)
    if suffix in IMAGE.suffixes | AUDIO.suffixes:
        raise UserError(f"{path} is a single file: give the folder, with a folder for each label")
    if suffix not in files.ARCHIVES and IMAGE.of_arrays is not None and path.is_file():
        beside = sorted(file for file in path.parent.iterdir() if file.is_file())
        if IMAGE.of_arrays(path.absolute(), beside) is not None:
            return "image"
    files.load(path)  # says what it is instead
    raise UserError(f"{path} is nothing that can be learned from")


def _of_hub(name: str, config: str | None) -> "pa.Table":
    from tasks.data import hub

    splits, _ = hub.load(name, config)
    split = splits["train"] if "train" in splits else next(iter(splits.values()))
    head: pa.Table = split.with_format("arrow")[:ROWS]
    return head


def _head(path: Path) -> "pa.Table":
    """The first rows of a table; of parquet, which may be large, no more than those are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.data import files

    if path.suffix.lower() == ".parquet":
        try:
            with pq.ParquetFile(path) as file:
                return pa.Table.from_batches(
                    [next(file.iter_batches(batch_size=ROWS))], file.schema_arrow
                )
        except (pa.ArrowException, StopIteration, OSError):
            pass  # its reader says what is wrong with it
    splits, _ = files.load(path)
    head: pa.Table = next(iter(splits.values())).with_format("arrow")[:ROWS]
    return head


def _of_table(head: "pa.Table", args: ShipArgs) -> Kind:
    """By the types and the names of columns, and by the endings of paths."""
    from tasks.media.rows import holds_bytes
    from tasks.nlp.text_inputs import TEXT_COLUMNS
    from tasks.nlp.token_classification import TAG_COLUMNS, TOKEN_COLUMNS

    types = {folded(field.name): field.type for field in head.schema}
    lists = {name for name, kind in types.items() if _is_list(kind)}
    if lists & {*TOKEN_COLUMNS} and lists & {*TAG_COLUMNS}:
        return "tags"
    media = [field.name for field in head.schema if holds_bytes(field.type)]
    for name in media:
        if _is_sound(folded(name), head.column(name).to_pylist()):
            return _heard(head.column_names, args)
    are_images = bool(media or types.keys() & OF_IMAGE)
    found = "image" if are_images else _by_paths(head)
    if found == "sound":
        return _heard(head.column_names, args)
    if found and args.text_column is None:  # with it the pictures stand beside the texts
        return _beside_images(head, args) or "image"
    if args.text_column is None and not types.keys() & {*TEXT_COLUMNS} and _is_tabular(head, args):
        return "table"
    return "text"


def _is_tabular(head: "pa.Table", args: ShipArgs) -> bool:
    """Whether more columns other than the labels' hold numbers or, where it is known which are the
    labels', names that repeat, than texts of which each row has its own; and none long texts. A
    counter of the rows is no number."""
    from tasks.kinds.classification import LABEL_COLUMNS

    asked = {folded(name.strip()) for name in (args.label_column or "").split(",") if name}
    labels = {n for n in head.column_names if folded(n) in (asked or {*LABEL_COLUMNS})}
    inputs, has_texts = 0, False
    for name in set(head.column_names) - labels:
        values = [value for value in head.column(name).to_pylist() if value not in (None, "")]
        texts = [value for value in values if isinstance(value, str)]
        if texts and sum(map(len, texts)) >= LONG * len(texts):
            return False
        if values and _are_numbers(values):
            numbers = [float(value) for value in values]
            inputs += {b - a for a, b in pairwise(numbers)} != {1.0}
        elif texts:
            has_own = 2 * len(set(texts)) > len(texts)
            has_texts |= has_own
            inputs += bool(labels) and not has_own
    return inputs > has_texts


def _by_paths(head: "pa.Table") -> Kind | None:
    """By a column whose every value looks like the path of an image or a sound."""
    import pyarrow as pa

    from tasks.speech.sound.audio import AUDIO
    from tasks.vision.images import IMAGE

    for field in head.schema:
        if not (pa.types.is_string(field.type) or _is_large(field.type)):
            continue
        values = [value for value in head.column(field.name).to_pylist() if value]
        suffixes = {_suffix(value) for value in values}
        if values and suffixes <= AUDIO.suffixes:
            return "sound"
        if values and suffixes <= IMAGE.suffixes:
            return "image"
    return None


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_large(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_large_string(kind))


def _is_sound(name: str, values: Sequence[object]) -> bool:
    """By its column's name, else by how the first file begins."""
    if name in OF_SOUND:
        return True
    first = next((value for value in values if value), None)
    content = first.get("bytes") if isinstance(first, dict) else first
    return isinstance(content, bytes) and content.startswith(SOUND_BEGINS)


def _are_numbers(values: Sequence[object]) -> bool:
    """Whether cells hold numbers; in a csv all is text."""
    from tasks.data.labels import NUMBER

    return all(
        isinstance(value, int | float)
        or (isinstance(value, str) and bool(NUMBER.fullmatch(value.strip())))
        for value in values
    )


def _heard(names: Sequence[str], args: ShipArgs) -> Kind:
    """Sounds are transcribed where there are transcriptions, else told apart by their labels."""
    from tasks.kinds.classification import LABEL_COLUMNS
    from tasks.speech.speech_recognition import TEXT_COLUMNS

    there = set(map(folded, names))
    if args.label_column is not None:
        return "sound"
    if args.text_column is not None or there & ({*TEXT_COLUMNS} - {*LABEL_COLUMNS}):
        return "speech"
    return "sound"
