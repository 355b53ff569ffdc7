"""Folders of images and of masks side by side: which mask belongs to which image.

    images/cat.jpg            masks/cat.png             (img and ann, JPEGImages and
    train/images/cat.jpg      train/masks/cat.png        SegmentationClass are such names too)
    images/train/cat.jpg      masks/train/cat.png

Files of one name belong together, whatever their endings; a mask's name may end in `_mask`. Pascal
VOC's lists (ImageSets/Segmentation/train.txt) say the splits, where they are there.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import tables
from tasks.data.splits import CANONICAL
from tasks.errors import UserError
from tasks.media import files, rows
from tasks.media.source import Companion
from tasks.media.tables import names_media, split_of_folders
from tasks.printing import print_lines
from tasks.vision.images import IMAGE
from tasks.vision.mask_files import MASK

if TYPE_CHECKING:
    import datasets

IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages"})
MASKS = frozenset({"masks", "mask", "ann", "anns", "annotations", "labels", "segmentationclass"})
ENDINGS = ("_mask", "-mask", "_seg", "_label", "_labels", "_gt")
"""Of a mask's name, behind that of its image."""
LISTS = ("ImageSets", "Segmentation")
WHOLE = "trainval"
"""Pascal VOC's list of the rows of train and val together."""

Key = tuple[tuple[str, ...], str]
"""What an image and its mask have in common: the folders but for that of the kind, and the name."""


@dataclass(frozen=True)
class Pairs:
    """The images and masks below a folder."""

    images: Mapping[Key, Path]
    masks: Mapping[Key, Path]
    lists: Sequence[Path]
    """Of Pascal VOC: the names of the images of each split."""


def find(root: Path, image_column: str | None = None, mask: str | None = None) -> Pairs | None:
    """Return the images and masks below a folder; None where it is of another kind, as one is that
    has tables of its splits (train.csv) which name images and masks.

    Args:
        image_column, mask: the columns of these tables; by default those with a usual name.

    Raises `UserError` where two images, or two masks, have one name, or two masks one image.
    """
    _, every = files.walk(root)
    if any(file.stem.lower() == "metadata" for file in every):
        return None
    listings = [
        file
        for file in every
        if file.parent == root
        and file.stem.lower() in CANONICAL
        and file.suffix.lower() in tables.READERS
    ]
    masks_beside = Companion(MASK, mask)
    if any(_names_both(file, image_column, masks_beside) for file in listings):
        return None
    images = _keyed(root, every, IMAGES, IMAGE.suffixes)
    masks = _keyed(root, every, MASKS, MASK.suffixes)
    if not images or not masks:
        return None
    lists = [file for file in every if file.parent.parts[-2:] == LISTS and file.suffix == ".txt"]
    return Pairs(images, _matched(images, masks), lists)


def _names_both(listing: Path, image_column: str | None, masks: Companion) -> bool:
    """Return whether a table names images and masks; one that can't be read names none here."""
    try:
        return names_media(listing, IMAGE, image_column, masks)
    except UserError:
        return False


def _keyed(
    root: Path, every: Sequence[Path], folders: frozenset[str], suffixes: frozenset[str]
) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    for file in every:
        parts = file.relative_to(root).parts[:-1]
        here = [i for i, part in enumerate(parts) if part.lower() in folders]
        if not here or file.suffix.lower() not in suffixes:
            continue
        key = (*parts[: here[-1]], *parts[here[-1] + 1 :]), file.stem
        if key in found:
            raise UserError(f"{found[key]} and {file} have one name: which of them counts?")
        found[key] = file
    return found


def _matched(images: Mapping[Key, Path], masks: Mapping[Key, Path]) -> dict[Key, Path]:
    """Return the masks under the keys of their images, where an ending differs from these.

    Raises `UserError` where two masks belong to one image.
    """
    found: dict[Key, Path] = {}
    for (folders, name), file in masks.items():
        bare = (name[: -len(ending)] for ending in ENDINGS if name.lower().endswith(ending))
        keys = [(folders, one) for one in (name, *bare) if (folders, one) in images]
        key = keys[0] if keys else (folders, name)
        if key in found:
            raise UserError(
                f"{found[key]} and {file} are both masks of {images[key]}: which of them counts?"
            )
        found[key] = file
    return found


def load(root: Path, pairs: Pairs) -> "tuple[datasets.DatasetDict, str]":
    """Return the splits with the columns media and mask, in the order of the images' paths, and
    their fingerprint; images without a mask and masks without an image are left out, and told.

    Raises `UserError` where nothing pairs, or only some folders say which split they are.
    """
    import pyarrow as pa

    by_split = _listed(root, pairs) if pairs.lists else _by_folder(root, pairs)
    made, used = {}, []
    for split in dict.fromkeys(CANONICAL.values()):
        both = by_split.get(split)
        if not both:
            continue
        used += [file for pair in both for file in pair]
        table = rows.of_paths([image for image, _ in both])
        masks = rows.structs(pa.array([str(mask) for _, mask in both], pa.string()))
        made[split] = table.append_column("mask", masks)
    digest = rows.digest_of(root, [*used, *pairs.lists])
    return rows.Copies(digest, str(root), "masks").keep(made), digest


def _both(pairs: Pairs) -> dict[Key, tuple[Path, Path]]:
    """Return image and mask of each key that has both. Raises `UserError` where none has."""
    found = {
        key: (file, pairs.masks[key]) for key, file in pairs.images.items() if key in pairs.masks
    }
    if found:
        return found
    image, mask = next(iter(pairs.images.values())), next(iter(pairs.masks.values()))
    raise UserError(
        f"no mask has the name of an image: {image} wants a mask called {image.stem}.png in the"
        f" folder of {mask}"
    )


def _by_folder(root: Path, pairs: Pairs) -> dict[str, list[tuple[Path, Path]]]:
    both = _both(pairs)
    _tell("image", "mask", [file for key, file in pairs.images.items() if key not in both])
    _tell("mask", "image", [file for key, file in pairs.masks.items() if key not in both])
    found: dict[str, list[tuple[Path, Path]]] = {}
    unnamed = []
    for image, mask in sorted(both.values()):
        split = split_of_folders(image.relative_to(root))
        if split is None:
            unnamed.append((image, mask))
        else:
            found.setdefault(split, []).append((image, mask))
    if unnamed and found:
        raise UserError(
            f"{unnamed[0][0]} stands beside the folders of {', '.join(found)}, and no folder of it"
            " says which split it is: move it into one (train, validation or test)"
        )
    return found or {"train": unnamed}


def _listed(root: Path, pairs: Pairs) -> dict[str, list[tuple[Path, Path]]]:
    """Return the pairs of each of Pascal VOC's lists. Raises `UserError` for a line without an
    image or mask."""
    both = {name: pair for (_, name), pair in sorted(_both(pairs).items())}
    chosen = [file for file in pairs.lists if file.stem.lower() in CANONICAL]
    chosen = chosen or [file for file in pairs.lists if file.stem.lower() == WHOLE]
    found: dict[str, list[tuple[Path, Path]]] = {}
    for file in chosen:
        split = CANONICAL.get(file.stem.lower(), "train")
        found.setdefault(split, []).extend(_of_list(file, both))
    if not found:
        names = ", ".join(file.name for file in pairs.lists)
        raise UserError(f"{pairs.lists[0].parent} has {names}, and no list train.txt")
    named = {image for split in found.values() for image, _ in split}
    others = [image for image, _ in both.values() if image not in named]
    if others:
        _say(f"{_counted(others, 'image')} that no list names", others)
    return found


def _of_list(file: Path, both: Mapping[str, tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    from tasks.data.cells import text_of

    for number, line in enumerate(text_of(file).splitlines(), start=1):
        if not (name := line.strip()):
            continue
        if name not in both:
            raise UserError(f"{file}, line {number}: {name[:60]} has no image with a mask")
        yield both[name]


def _tell(kind: str, other: str, lone: Sequence[Path]) -> None:
    if lone:
        _say(f"{_counted(lone, kind)} without {'an' if other == 'image' else 'a'} {other}", lone)


def _say(what: str, lone: Sequence[Path]) -> None:
    print_lines(f"warning: {what}, left out; the first is {min(lone)}", file=sys.stderr)


def _counted(lone: Sequence[Path], kind: str) -> str:
    return f"{len(lone):,} {kind}{'s'[: len(lone) != 1]}"
