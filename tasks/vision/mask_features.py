"""The images of a split with their masks, decoded together: one array of pixels and classes."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.base import Viewed
from tasks.errors import UserError
from tasks.media.source import BadFile, name_of
from tasks.printing import print_lines
from tasks.vision import images, mask_data, mask_files
from tasks.vision.class_table import IGNORED, ClassTable
from tasks.vision.composition_args import CompositionArgs
from tasks.vision.mask_files import ClassMap

if TYPE_CHECKING:
    import datasets

    from tasks.media.decoding import Decoded
    from tasks.vision.image_classification import ImageClassification
    from tasks.vision.pixels import Facts

TURNED = "turned"
"""The fact of an image that it is turned, and its mask is not."""


@dataclass(frozen=True)
class Pair:
    """How an image and its mask are read together."""

    images: "ImageClassification"
    """How images are read."""
    table: ClassTable
    """What the masks hold."""
    places: tuple[int, ...]
    """Of each class of the table: which of the model's it is."""
    ignore_index: int
    size: int
    """Height and width that the model sees."""
    whole: bool
    """Whether images keep their size, and the model sees windows of them."""
    on_bad_file: Literal["skip", "stop"]

    def decode(self, media: Mapping[str, Any]) -> "tuple[npt.NDArray[np.uint8], Facts]":
        """Return an image with its mask as the last channel, uint8 [height, width, 2 or 4], at the
        size the model sees unless it is whole; and what is remarkable in the image.

        Raises `BadFile` for an image or mask that can't be read, or where they differ in size.
        """
        image, facts = self.images.decode(media)
        mask = self.mask_of(media)
        if is_alone := "orientation" in facts and not self._is_turned(media["mask"]):
            facts = facts | {TURNED: 1.0}
        if mask.shape != image.shape[:2]:
            why = ", turned by its EXIF data," if is_alone else ""
            raise BadFile(
                f"{image.shape[1]} x {image.shape[0]} pixels{why or ','} and its mask"
                f" {_named(media['mask'])} has {mask.shape[1]} x {mask.shape[0]}"
            )
        if not self.whole:
            image = images.resize(image, self.size, self.size)
            mask = mask_files.resize(mask, self.size, self.size)
        return np.concatenate([image, mask[:, :, None]], axis=2), facts

    def _is_turned(self, mask: Mapping[str, Any]) -> bool:
        with images.within(mask, self.images.args.max_pixels) as image:
            return images.orientation(image) != images.UPRIGHT

    def mask_of(self, media: Mapping[str, Any]) -> ClassMap:
        """Return the mask of an image at its own size. Raises `BadFile`."""
        mask = media["mask"]
        if not mask_data.has_file(mask):
            raise BadFile("it has no mask")
        try:
            limit = self.images.args.max_pixels
            found = mask_files.decode(mask, self.table, self.ignore_index, limit)
        except BadFile as problem:
            raise BadFile(f"its mask {_named(mask)}: {problem}") from None
        lookup = np.full(256, IGNORED, np.uint8)
        lookup[: len(self.places)] = self.places
        return lookup[found]

    def key(self) -> str:
        """Return all that the arrays depend on beside the files."""
        args = self.images.args
        masks = (self.ignore_index, self.table, self.places)
        how = (args.max_pixels, args.behind, args.value_range, *masks)
        return f"{0 if self.whole else self.size}/{how}"


def _named(mask: Mapping[str, Any]) -> str:
    return str(mask["path"]) if mask.get("path") else ""


def _tell_what_is_turned(examples: "datasets.Dataset", decoded: "Decoded") -> None:
    """Warn of images that their EXIF data turn, and whose masks have none: of some tools these lie
    on the image as it was stored, of others as it is shown."""
    turned = [row for row, facts in decoded.facts.items() if TURNED in facts]
    if turned:
        name = name_of(examples[min(turned)]["media"], min(turned))
        print_lines(
            f"warning: {len(turned):,} of {len(decoded):,} images, such as {name} (turned by its"
            " EXIF data), are turned and their masks are not: see whether these fit the images as"
            " they are shown",
            file=sys.stderr,
        )


class MaskFeatures(Viewed):
    """The images and masks of one split; `collate` augments both as a view says. Satisfies
    `tasks.base.Features`."""

    def __init__(
        self,
        examples: "datasets.Dataset",
        pair: Pair,
        cache_key: str,
        composition: CompositionArgs,
    ) -> None:
        """Decode a split. Raises `UserError` for files that can't be used (`on_bad_file`)."""
        from tasks.media import decoding

        self.pair, self._composition = pair, composition
        self.decoded = decoding.decode_split(
            examples,
            pair.decode,
            lambda array: float(array.shape[0] * array.shape[1]),
            on_bad_file=pair.on_bad_file,
            cache_key=f"{cache_key}/{pair.key()}",
            title="reading images and masks",
            digests=True,
            beside="mask",
        )
        _tell_what_is_turned(examples, self.decoded)
        self.origins: np.ndarray = self.decoded.kept
        self.rows: np.ndarray = np.ones(len(self.decoded), np.int64)
        sizes = self.decoded.sizes.astype(np.int64)
        # of an image that is seen through windows, training sees one
        self.lengths: np.ndarray = np.full_like(sizes, pair.size**2) if pair.whole else sizes

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = [self._row(i) for i in indices]
        if self._view is None or not self._composition.mosaic:
            return rows
        from tasks.randomness import SampleRandom
        from tasks.vision.compositions import give_partners

        draws = SampleRandom(self._view, list(indices))
        give_partners(rows, draws, self._composition, len(self), self._row)
        return rows

    def _row(self, i: int) -> dict[str, Any]:
        array = self.decoded.get(i)
        mask = array[:, :, -1]
        row = {"sample_id": i, "image": array[:, :, :-1], "mask": mask}
        if self._view is not None:
            return row | {"view": self._view}
        whole = mask if self.pair.whole else self._mask(i)
        return row | {"original": np.ascontiguousarray(whole), "size": whole.shape}

    def _mask(self, i: int) -> ClassMap:
        media = self.decoded.media(i)
        try:
            return self.pair.mask_of(media)
        except BadFile as problem:
            name = name_of(media, int(self.origins[i]))
            raise UserError(f"{name} could be read, and cannot be any more: {problem}") from None
