"""Masked autoencoding: images without labels, of whose patches most are hidden and painted anew.

He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners": a quarter of the patches is
seen, and the target of a hidden one is its pixels, normalised within the patch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.base import Batch, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Count, InnerShare, Share
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from tasks.vision import unlabelled_images
from tasks.vision.image_args import side_of
from tasks.vision.unlabelled_images import UnlabelledArgs, UnlabelledImages

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.metrics.masked import PaintedPatchesMetric

EXAMPLE_INPUT = ""


@dataclass(frozen=True)
class Args(UnlabelledArgs):
    """How images are read and masked."""

    color_jitter: Share = 0.0
    """strength of random brightness, contrast and saturation; He et al. found it to be of no use"""
    patch_size: Count | None = None
    """side of a patch in pixels; an eighth of the image, at most 16, by default"""
    mask_ratio: InnerShare = 0.75
    """share of the patches that are hidden"""


def from_data(args: Args, data: DataArgs) -> tuple["MaskedImage", Examples]:
    """The task and its examples, without labels; see `tasks.vision.unlabelled_images.from_data`."""
    if not 0 < args.mask_ratio < 1:
        raise UserError(f"`mask_ratio` {args.mask_ratio} is no share between 0 and 1")
    args, examples = unlabelled_images.from_data(args, data)
    return MaskedImage(args), examples


def for_evaluation(
    task: "MaskedImage", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    return unlabelled_images.evaluation_split(task.args, data, split, trained_on)


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
class MaskedImage(UnlabelledImages):
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    name = "masked-image"
    verb = "describe"
    example_call = EXAMPLE_INPUT
    primary = metric_spec("reconstruction_loss")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "image"}  # painted patches
    labels: tuple[str, ...] = ()
    processor: Any = field(default=None, compare=False, repr=False)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for an image, for a card."""
        return "Gives features, a start for fine-tuning; it names nothing by itself."

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
        return replace(
            self,
            args=replace(self.args.resolved(processor), hflip=self.flips(), patch_size=patch),
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

    def to_json(self, prediction: PaintedImage, top_k: int | None = None) -> dict[str, Any]:
        """Raises `UserError`: what was painted has no name."""
        raise UserError(
            "a masked autoencoder has nothing to say about an image: fine-tune a classifier from "
            "it (python -m zoo.vision.vit_cls finetune --model FOLDER)"
        )
