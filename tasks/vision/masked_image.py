"""Masked autoencoding: images without labels, of whose patches most are hidden and painted anew.

He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners": a quarter of the patches is
seen, and the target of a hidden one is its pixels, normalised within the patch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Count, InnerShare, Share
from tasks.data import columns
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from tasks.vision import image_classification
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.image_args import ImageArgs, side_of
from tasks.vision.image_classification import ImageClassification

if TYPE_CHECKING:
    import datasets
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.metrics.masked import PaintedPatchesMetric
    from tasks.preflight import Finding

EXAMPLE_INPUT = ""


@dataclass(frozen=True)
class Args(AugmentArgs, ImageArgs):
    """How images are read and masked."""

    color_jitter: Share = 0.0
    """strength of random brightness, contrast and saturation; He et al. found it to be of no use"""
    label_column: str | None = None
    """column of labels, if there are any: never learned from; missing splits are cut evenly by
    them, just as the classifier cuts them"""
    patch_size: Count | None = None
    """side of a patch in pixels; an eighth of the image, at most 16, by default"""
    mask_ratio: InnerShare = 0.75
    """share of the patches that are hidden"""


def from_data(args: Args, data: DataArgs) -> tuple["MaskedImage", Examples]:
    """The task and its examples, in the column media (see `tasks.media.source`); labels are
    dropped.

    A folder of images without labels is one split, of which validation and test are cut. Labelled
    data has the splits that the image classification makes of it, so that no image is pretrained on
    that is tested on later.

    Raises `UserError` where there are no images, or a flag makes no sense.
    """
    if not 0 < args.mask_ratio < 1:
        raise UserError(f"`mask_ratio` {args.mask_ratio} is no share between 0 and 1")
    if args.mixup or args.cutmix:
        raise UserError("`mixup` and `cutmix` blend labels, and there are none here")
    from tasks.vision import value_ranges

    source, splits, label = _canonical(args, data)
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, label, data), data).select_columns(["media"])
    args = value_ranges.with_range(args, splits["train"])
    return MaskedImage(args), Examples(splits, source.name, source.fingerprint, source.rows)


def for_evaluation(
    task: "MaskedImage", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    import datasets

    source, splits, label = _canonical(task.args, data)
    chosen, splits = choose_split(source, splits, label, data, split, trained_on)
    only = datasets.DatasetDict({chosen: splits[chosen].select_columns(["media"])})
    return Examples(only, source.name, source.fingerprint)


def _canonical(args: Args, data: DataArgs) -> "tuple[Source, datasets.DatasetDict, str | None]":
    """The images, and the column of labels to cut missing splits by where they have any."""
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


def from_config(config: Mapping[str, Any]) -> "MaskedImage":
    """The task a checkpoint was trained on, from what `MaskedImage.config` recorded."""
    return MaskedImage(
        Args.of_checkpoint(config["args"]),
        config["size"],
        tuple(config["mean"]),
        tuple(config["std"]),
    )


@dataclass(frozen=True, eq=False)
class PaintedImage:
    """An image as it is painted: float32 [patches, values of a patch]."""

    patches: "Tensor"


@dataclass(frozen=True)
class MaskedImage(Bindable):
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    name = "masked-image"
    pipeline = "image-feature-extraction"
    unit = "pixels"
    verb = "describe"
    has_language = False
    example_call = EXAMPLE_INPUT
    primary = metric_spec("reconstruction_loss")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "image"}  # painted patches
    labels: tuple[str, ...] = ()
    processor: Any = field(default=None, compare=False, repr=False)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for an image, for a card."""
        return "Gives features, a start for fine-tuning; it names nothing by itself."

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source."""
        return self._images.example_code(is_english)

    def model_config(self) -> dict[str, Any]:
        """The fields of a `MaeConfig` that this task sets."""
        assert self.args.patch_size is not None, "bind_for_training() decides it"
        return {"patch_size": self.args.patch_size, "mask_ratio": self.args.mask_ratio}

    def bind_for_training(self, processor: Any, limit: int) -> "MaskedImage":
        """Return the task bound to a processor, with the processor's size and normalisation, and
        the size of the patches.

        Raises `UserError` where the patches do not fill the image.
        """
        from tasks.vision.patches import usual_patch

        size = side_of(processor)
        patch = self.args.patch_size or usual_patch(size)
        if patch < 1 or size % patch or size // patch < 2:
            raise UserError(
                f"`patch_size` {patch}: images of {size} pixels are not cut into 2 x 2 patches or "
                "more by it; give a divisor"
            )
        # without labels nothing says whether these are characters, which are not to be mirrored
        flips: Literal["on", "off"] = "on" if self.args.hflip == "on" else "off"
        return replace(
            self,
            args=replace(self.args.resolved(processor), hflip=flips, patch_size=patch),
            size=size,
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            processor=processor,
        )

    @property
    def patches(self) -> int:
        """Return the number of patches of an image."""
        assert self.args.patch_size is not None, "bind_for_training() decides it"
        return int((self.size // self.args.patch_size) ** 2)

    @property
    def _images(self) -> ImageClassification:
        """Images are decoded, varied and normalised as they are for a classifier."""
        args = image_classification.Args(
            **{
                field: getattr(self.args, field)
                for part in (AugmentArgs, ImageArgs)
                for field in part.__dataclass_fields__
            }
        )
        return ImageClassification(
            args, (), "single_label_classification", (), self.size, self.mean, self.std
        )

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """The images of one split, decoded and resized, in memory where they fit."""
        return self._images.features(examples, cache_key)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import image_preflight

        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        return image_preflight.check(examples.splits, decoded, None, self.args)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return nothing: what is to be painted are the inputs themselves."""
        return {}

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single image, and not a list of them."""
        return self._images.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from images; see `ImageClassification.inputs`."""
        return self._images.inputs(raw)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Stacks, augments and normalises images as `ImageClassification.collate` does, and decides
        what is hidden.

        The inputs are pixel_values float32 [b, 3, size, size] and shuffle int64 [b, patches]: the
        first patches in it are seen.
        """
        import torch

        from tasks.vision.patches import FIXED, shuffles

        batch = self._images.collate(rows)
        view = rows[0].get("view") or FIXED
        orders = shuffles(view, [row["sample_id"] for row in rows], self.patches)
        return replace(batch, inputs={**batch.inputs, "shuffle": torch.from_numpy(orders)})

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Squared error, averaged over the values of a patch and summed over hidden patches.

        Args:
            outputs: what the model paints: logits float32 [b, patches, values of a patch].
        """
        import torch

        errors = self._errors(outputs["logits"], batch)
        count = torch.full((), float(errors.numel()), device=errors.device)
        return Loss(errors.sum(), count, {}, errors.detach())  # of each hidden patch [b, hidden]

    def _errors(self, painted: "Tensor", batch: Batch) -> "Tensor":
        """Return the error of each hidden patch, float32 [b, hidden]."""
        from tasks.vision.patches import painting_errors, seen

        assert self.args.patch_size is not None, "bind_for_training() decides it"
        hidden = batch.inputs["shuffle"][:, seen(self.patches, self.args.mask_ratio) :]
        return painting_errors(painted, batch.inputs["pixel_values"], hidden, self.args.patch_size)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[PaintedImage]:
        """Return the patches that the model paints of each image."""
        outputs = self.forward(model, batch) if outputs is None else outputs
        return [PaintedImage(patches) for patches in outputs["logits"]]

    def references(self, batch: Batch) -> "list[Tensor]":
        """The images themselves, normalised, float32 [3, size, size]."""
        return list(batch.inputs["pixel_values"])

    def accumulator(self) -> "PaintedPatchesMetric":
        """The accumulator of this task's metric."""
        from tasks.metrics.masked import PaintedPatchesMetric

        return PaintedPatchesMetric()

    def update(self, accumulator: "PaintedPatchesMetric", seen: Evaluated[PaintedImage]) -> None:
        """Adds the errors of a batch to an accumulator."""
        import torch

        assert seen.loss.terms is not None
        errors = seen.loss.terms.double()
        flat = self._errors(torch.zeros_like(seen.outputs["logits"]), seen.batch).double()
        hidden = torch.full_like(errors[:, 0], errors.shape[1])
        sums = torch.stack([errors.sum(1), hidden, flat.sum(1)], 1)
        accumulator.update(seen.batch.ids.cpu().numpy(), sums.cpu().numpy())

    def errors(self, seen: Evaluated[PaintedImage]) -> list[tuple[float, int, str, str]]:
        """Return an empty list: no painting is right or wrong."""
        return []

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        return self._images.show(example, row)

    def to_json(self, prediction: PaintedImage, top_k: int | None = None) -> dict[str, Any]:
        """Raises `UserError`: what was painted has no name."""
        raise UserError(
            "a masked autoencoder has nothing to say about an image: fine-tune a classifier from "
            "it (python -m zoo.vision.vit_cls finetune --model FOLDER)"
        )
