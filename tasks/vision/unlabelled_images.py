"""What tasks share that learn from images without labels: how the images are found and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tasks.base import Bindable, Examples
from tasks.data import columns
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.vision import image_classification
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.image_args import ImageArgs
from tasks.vision.image_classification import ImageClassification

if TYPE_CHECKING:
    import datasets
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.preflight import Finding


@dataclass(frozen=True)
class UnlabelledArgs(AugmentArgs, ImageArgs):
    """How images without labels are read and varied."""

    label_column: str | None = None
    """column of labels, if there are any: never learned from; missing splits are cut evenly by
    them, just as the classifier cuts them"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mixup or self.cutmix:
            raise UserError("`mixup` and `cutmix` blend labels for a classifier, and there is none")


def from_data(args: Any, data: DataArgs) -> tuple[Any, Examples]:
    """Return the arguments with the range of deep values that the images have, and the examples, in
    the column media (see `tasks.media.source`); labels are dropped.

    A folder of images without labels is one split, of which validation and test are cut. Labelled
    data has the splits that the image classification makes of it, so that no image is pretrained on
    that is tested on later.

    Args:
        args: a subclass of `UnlabelledArgs`.

    Raises `UserError` where there are no images.
    """
    from tasks.vision import value_ranges

    source, splits, label = canonical(args, data)
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, label, data), data).select_columns(["media"])
    args = value_ranges.with_range(args, splits["train"])
    return args, Examples(splits, source.name, source.fingerprint, source.rows)


def evaluation_split(
    args: Any, data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    import datasets

    source, splits, label = canonical(args, data)
    chosen, splits = choose_split(source, splits, label, data, split, trained_on)
    only = datasets.DatasetDict({chosen: splits[chosen].select_columns(["media"])})
    return Examples(only, source.name, source.fingerprint)


def canonical(args: Any, data: DataArgs) -> "tuple[Source, datasets.DatasetDict, str | None]":
    """Return the images, in the column media, and the name of the column label, where each image
    has one of several labels: missing splits are cut by it.

    Raises `UserError` where there are no images.
    """
    from tasks.data.columns import find_column
    from tasks.kinds.classification import LABEL_COLUMNS, stratified
    from tasks.media.source import load_media
    from tasks.vision.embedded import digits
    from tasks.vision.images import IMAGE

    try:
        source = load_media(data, IMAGE, digits.load, args.image_column)
    except UserError:
        if args.label_column is not None:
            raise
        source = load_media(data, IMAGE, digits.load, args.image_column, unlabeled=True)
    names = columns.names_of(source.splits)
    labelled = {name.casefold() for name in names} & set(LABEL_COLUMNS)
    if args.label_column is None and not labelled:
        return source, source.splits, None
    label = find_column(names, args.label_column, LABEL_COLUMNS, "label", source.name)
    splits = columns.select(source.splits, {"media": "media", label: "label"}, source.name)
    return source, splits, stratified(splits)


class UnlabelledImages(Bindable):
    """A base class for tasks of images without labels that are frozen dataclasses: images are
    decoded, varied and normalised as they are for a classifier."""

    args: Any
    size: int
    """Height and width that the model sees."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    pipeline = "image-feature-extraction"
    unit = "pixels"
    has_language = False

    @property
    def _images(self) -> ImageClassification:
        return image_classification.reader(self.args, self.size, self.mean, self.std)

    def flips(self) -> Literal["on", "off"]:
        """Return whether images are mirrored: only where that is asked for, since without labels
        nothing says whether they are characters."""
        return "on" if self.args.hflip == "on" else "off"

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """The images of one split, decoded and resized, in memory where they fit."""
        return self._images.features(examples, cache_key)

    def preflight(
        self, examples: Examples, features: "Mapping[str, Features]", model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import image_preflight

        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        return image_preflight.check(examples.splits, decoded, None, self.args)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return nothing: what is to be learned are the inputs themselves."""
        return {}

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single image, and not a list of them."""
        return self._images.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from images; see `ImageClassification.inputs`."""
        return self._images.inputs(raw)

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        return self._images.show(example, row)

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source."""
        return self._images.example_code(is_english)
