"""Density estimation of images: how likely each is among those that were learned, in bits per
dimension, and new ones that are as likely.

Kingma & Welling 2013, "Auto-Encoding Variational Bayes": a network gives a distribution of latent
vectors for an image, and one of pixels for a latent vector. What is learned is the bound on the
likelihood (`tasks.vision.likelihood`), with one latent vector a sample and epoch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from tasks.vision import picture_inputs, unlabelled_images
from tasks.vision.image_args import side_of
from tasks.vision.picture_inputs import Inputs
from tasks.vision.unlabelled_images import UnlabelledArgs, UnlabelledImages

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.metrics.means import MeanMetric
    from tasks.preflight import Finding
    from tasks.vision.pixels import Pixels

EXAMPLE_INPUT = "--image photo.jpg"
ROUNDS = 30
"""Of painting a hidden part: each looks at what the one before has painted."""


@dataclass(frozen=True)
class Args(UnlabelledArgs):
    """How images are read."""

    augment: Literal["default", "none", "randaugment"] = "none"
    """default: the variations below, which are then learned as well; randaugment: two random
    operations in place of color_jitter; none: images as they are"""
    color: Literal["auto", "grey", "rgb"] = "auto"
    """channels that are learned: one, or three; auto: one where the images are grey"""


def from_data(args: Args, data: DataArgs) -> tuple["ImageDensity", Examples]:
    """The task and its examples, without labels; see `tasks.vision.unlabelled_images.from_data`."""
    args, examples = unlabelled_images.from_data(args, data)
    return ImageDensity(args), examples


def for_evaluation(
    task: "ImageDensity", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    return unlabelled_images.evaluation_split(task.args, data, split, trained_on)


def from_config(config: Mapping[str, Any]) -> "ImageDensity":
    """The task a checkpoint was trained on, from what `ImageDensity.config` recorded."""
    return ImageDensity(
        Args.of_checkpoint(config["args"]),
        config["size"],
        tuple(config["mean"]),
        tuple(config["std"]),
        config["num_channels"],
        config["latent_size"],
    )


def for_prediction(task: "ImageDensity", asked: Inputs) -> "ImageDensity":
    """The task as `predict` was asked to use it. Raises `UserError` for flags that contradict each
    other."""
    picture_inputs.check(asked)
    return task


def read_inputs(
    asked: Inputs, task: "ImageDensity", stack: ExitStack
) -> Iterator[Mapping[str, Any]]:
    """Yield the inputs of `predict`: `name`, and `image` or `latent`; see
    `tasks.vision.picture_inputs`."""
    if asked.samples:
        from tasks.randomness import EpochView, normal_rows

        view = EpochView(asked.seed, 0)
        latents = normal_rows(view, range(asked.samples), task.latent_size, "latent")
        return picture_inputs.new_pictures(asked, latents)
    images = picture_inputs.read_images(asked, task, stack)
    return picture_inputs.pairs(asked, images) if asked.walk else images


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"image": item["name"]}


@dataclass(frozen=True, eq=False)
class DensityPrediction:
    """What a model says of an image, or has made."""

    bits_per_dim: float | None
    """minus the bound on the likelihood of the image; None of a picture that the model has made"""
    pictures: "tuple[Pixels, ...]"
    """uint8 [size, size, channels]: the image and what the model makes of it, or what it has
    made"""


@dataclass(frozen=True)
class ImageDensity(UnlabelledImages):
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    num_channels: int = 3  # that are learned: 1 of grey images
    latent_size: int = 0

    name = "image-density"
    verb = "describe"
    example_call = EXAMPLE_INPUT
    primary = metric_spec("bits_per_dim")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {
        "logits": "image",
        "log_scale": "regression",
        "mean": "embedding",
        "log_variance": "regression",
    }
    labels: tuple[str, ...] = ()
    processor: Any = field(default=None, compare=False, repr=False)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for an image, for a card."""
        return (
            f"Gives {literal('bits_per_dim')}, how many bits a value of the image would take in a "
            "code made for the images that were learned: an odd image takes more. It makes new "
            "images, too."
        )

    def model_config(self) -> dict[str, Any]:
        """The fields of a `VaeConfig` that this task sets."""
        return {"num_channels": self.num_channels, "latent_size": self.latent_size}

    def bind_for_training(self, processor: Any, limit: int) -> "ImageDensity":
        """Return the task bound to a processor, with its size and normalisation, and the number of
        channels and latents that it carries."""
        return replace(
            self,
            args=replace(self.args.resolved(processor), hflip=self.flips()),
            size=side_of(processor),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            num_channels=processor.num_channels,
            latent_size=processor.latent_size,
            processor=processor,
        )

    def decode(self, media: Mapping[str, Any]) -> Any:
        """The pixels of a file; see `ImageClassification.decode`."""
        return self._images.decode(media)

    def preflight(
        self, examples: Examples, features: "Mapping[str, Features]", model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import colour_channels

        found = colour_channels.check(features, self.args.color, self.num_channels)
        return found + super().preflight(examples, features, model)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from images, or from what `read_inputs` gives."""
        import numpy as np

        rows = []
        for i, item in enumerate(raw):
            asked = item if isinstance(item, Mapping) else {}
            if "latent" in asked:
                rows.append({"sample_id": i, "latent": asked["latent"]})
                continue
            (row,) = super().inputs([item])
            # what is said of an image must not depend on its place among others
            row |= {"sample_id": i, "draw": 0}
            if "toward" in asked:
                (other,) = super().inputs([asked["toward"]])
                row |= {"toward": {**other, "sample_id": i, "draw": 0}, "share": asked["share"]}
            if (mask := asked.get("mask")) is not None:
                if mask.shape != (self.size, self.size):
                    white = np.repeat(mask[:, :, None], 3, 2).astype(np.uint8) * 255
                    mask = self._images.square(white)[:, :, 0] > 127
                row["mask"] = mask
            rows.append(row)
        return rows

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Stack, vary and normalise images as `ImageClassification.collate` does, and draw the
        latent noise.

        The inputs are pixel_values float32 [b, 3, size, size] and noise float32 [b, latents]; of
        pictures to be made, latent float32 [b, latents] alone.
        """
        import numpy as np
        import torch

        from tasks.randomness import normal_rows
        from tasks.vision.colour_channels import with_channels
        from tasks.vision.patches import FIXED

        ids = [row["sample_id"] for row in rows]
        if rows and "latent" in rows[0]:
            latents = torch.from_numpy(np.stack([row["latent"] for row in rows]))
            return Batch({"latent": latents}, torch.tensor(ids))
        images = [{**row, "image": with_channels(row["image"], self.num_channels)} for row in rows]
        batch = self._images.collate(images)
        views = [row.get("view") or FIXED for row in rows]
        draws = [row.get("draw", row["sample_id"]) for row in rows]
        noise = torch.from_numpy(normal_rows(views, draws, self.latent_size, "latent"))
        batch = replace(batch, inputs={**batch.inputs, "noise": noise})
        if rows and "mask" in rows[0]:
            mask = torch.from_numpy(np.stack([row["mask"] for row in rows]))
            return replace(batch, targets={"mask": mask})
        if rows and "toward" in rows[0]:
            shares = torch.tensor([row["share"] for row in rows])
            other = self.collate([row["toward"] for row in rows])
            return replace(batch, targets={"share": shares}, parts={"toward": other})
        return batch

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return the distributions of latents and pixels, in float32, by the names of
        `output_kinds`."""
        from tasks.arrays import to_float32

        found = model(**batch.inputs)
        return {name: to_float32(getattr(found, name)) for name in self.output_kinds}

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Minus the bound on the log-likelihood of each image, in nats per dimension, summed over
        images."""
        import torch

        from tasks.vision.likelihood import nats_per_dim, to_levels

        pixels = batch.inputs["pixel_values"][:, : self.num_channels]
        levels = to_levels(pixels, self.mean[0], self.std[0])
        nats = nats_per_dim(
            levels,
            outputs["logits"],
            outputs["log_scale"],
            outputs["mean"],
            outputs["log_variance"],
        )
        count = torch.full((), float(len(nats)), device=nats.device)
        return Loss(nats.sum(), count, {}, nats.detach())

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[DensityPrediction]:
        """Return how likely each image is, and what the model makes of it; or what it makes of
        latent vectors, of the way between two images, and of a hidden part."""
        if "latent" in batch.inputs:
            return self._made(self._decoded(model, batch.inputs["latent"]))
        if "toward" in batch.parts:
            ends = [self.forward(model, one)["mean"] for one in (batch, batch.parts["toward"])]
            share = batch.targets["share"][:, None].to(ends[0].dtype)
            return self._made(self._decoded(model, (1 - share) * ends[0] + share * ends[1]))
        pixels = batch.inputs["pixel_values"]
        shown = [pixels]
        if "mask" in batch.targets:
            pixels = self._painted(model, batch)
            shown += [pixels]
            batch = replace(batch, inputs={**batch.inputs, "pixel_values": pixels}, targets={})
            outputs = None
        outputs = self.forward(model, batch) if outputs is None else outputs
        if len(shown) == 1:
            shown += [outputs["logits"]]
        bits = self._bits(outputs, batch)
        pictures = zip(*(self._pictures(each) for each in shown), strict=True)
        return [DensityPrediction(*one) for one in zip(bits, pictures, strict=True)]

    def _bits(self, outputs: Outputs, batch: Batch) -> list[float]:
        from tasks.vision.likelihood import to_bits

        nats = self.loss(outputs, batch).terms
        assert nats is not None
        found: list[float] = to_bits(nats.double()).tolist()
        return found

    def _decoded(self, model: Any, latents: "Tensor") -> "Tensor":
        """Return the pictures of latent vectors [b, latents], as the network's own axis has them.

        Raises `UserError` where an exported program is the model, which takes images alone.
        """
        if not hasattr(model, "decode"):
            raise UserError(
                "an exported program takes images, and makes none of its own",
                hint="leave `deployment` out",
            )
        found: Tensor = model.decode(latents)[0]
        return found

    def _painted(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """Return the images with their hidden parts painted: what the model makes of the image is
        put there, again and again (Rezende et al. 2014, appendix F), beginning with grey."""
        import torch

        hidden = batch.targets["mask"][:, None]
        given = batch.inputs["pixel_values"]
        noise = torch.zeros_like(batch.inputs["noise"])
        pixels = torch.where(hidden, 0.0, given)
        for _ in range(ROUNDS):
            found = self.forward(model, Batch({"pixel_values": pixels, "noise": noise}, batch.ids))
            made = self._normalised(found["logits"])
            pixels = torch.where(hidden, made.to(given.dtype), given)
        return pixels

    def _normalised(self, made: "Tensor") -> "Tensor":
        """Return what the model makes, -1 to 1, as its inputs are normalised."""
        return ((made.clamp(-1, 1) + 1) / 2 - self.mean[0]) / self.std[0]

    def _pictures(self, values: "Tensor") -> "list[Pixels]":
        """Return pixels as pictures: the inputs, or what the model makes, -1 to 1."""
        from tasks.vision.colour_channels import to_pictures

        return to_pictures(values, self.num_channels)

    def _made(self, values: "Tensor") -> list[DensityPrediction]:
        return [DensityPrediction(None, (one,)) for one in self._pictures(values)]

    def pictures(self, prediction: DensityPrediction) -> "Sequence[np.ndarray]":
        """Return the pictures that show a prediction; see `tasks.base.HasPictures`."""
        return prediction.pictures

    def references(self, batch: Batch) -> "list[Tensor]":
        """The images themselves, normalised, float32 [3, size, size]."""
        return list(batch.inputs["pixel_values"])

    def accumulator(self) -> "MeanMetric":
        """The accumulator of this task's metric."""
        from tasks.metrics.means import MeanMetric
        from tasks.vision.likelihood import UNIFORM_BITS

        return MeanMetric("bits_per_dim", ("any value", UNIFORM_BITS))

    def update(self, accumulator: "MeanMetric", seen: Evaluated[DensityPrediction]) -> None:
        """Adds the bits of a batch to an accumulator."""
        from tasks.vision.likelihood import to_bits

        assert seen.loss.terms is not None
        bits = to_bits(seen.loss.terms.double())
        accumulator.count(seen.batch.ids.cpu().numpy(), bits.cpu().numpy())

    def errors(self, seen: Evaluated[DensityPrediction]) -> list[tuple[float, int, str, str]]:
        """Return an empty list: no likelihood is right or wrong."""
        return []

    def to_json(self, prediction: DensityPrediction, top_k: int | None = None) -> dict[str, Any]:
        """Return `bits_per_dim` of an image; nothing of a picture that the model has made."""
        if prediction.bits_per_dim is None:
            return {}
        return {"bits_per_dim": prediction.bits_per_dim}
