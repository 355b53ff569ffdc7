"""Diffusion of images: to find the noise in noisy ones, by which new ones are made of noise alone.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models": the loss is the squared error of the
noise at a random timestep ("simple", equation 14). Where images have labels, a share of them is
left out in training, so that new images can be made with and without them (Ho & Salimans 2022,
"Classifier-Free Diffusion Guidance").
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tasks.base import Batch, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import BelowOne, Bounded, Bounds, Count, NotNegative, Seed
from tasks.data.labels import ProblemType
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.kinds import classification
from tasks.kinds.classification import LabelArgs
from tasks.metrics.spec import metric_spec
from tasks.vision import image_classification, image_density, unlabelled_images
from tasks.vision.image_args import side_of
from tasks.vision.unlabelled_images import UnlabelledImages

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.metrics.means import MeanMetric
    from tasks.preflight import Finding
    from tasks.vision.pixels import Pixels

EXAMPLE_INPUT = "--samples 16 --grid new.png"
SINGLE: ProblemType = "single_label_classification"


@dataclass(frozen=True)
class Args(image_density.Args):
    """How images are read, and how noise is added to them."""

    label_column: str | None = None
    """column of labels, which new images can be asked for by"""
    conditional: Literal["auto", "on", "off"] = "auto"
    """whether labels are learned, too; auto: where each image has one"""
    label_dropout: BelowOne = 0.1
    """share of the labels that training leaves out, for `guidance_scale`"""
    betas: Literal["linear", "cosine"] = "cosine"
    """how noise grows with time; linear: Ho et al. 2020; cosine: Nichol & Dhariwal 2021, which
    keeps more of small images"""


@dataclass(frozen=True)
class Inputs(Bounded):
    """The pictures that are to be made."""

    samples: Annotated[int, Bounds(1, 10_000)] | None = None
    """make so many new pictures"""
    label: str | None = None
    """of the pictures; by default all labels in turn, where the model has learned some"""
    steps: Annotated[int, Bounds(1, 1000)] = 50
    """passes through the model that a picture takes; more are slower, and often better"""
    guidance_scale: NotNegative = 1.0
    """how far labels are gone by: 1: as learned; more: plainer cases of a label, and less variety,
    in twice the time; 0: labels are left out"""
    seed: Seed = 0
    """the same seed gives the same pictures"""
    grid: Path | None = None
    """PNG file for the pictures, side by side"""
    columns: Count | None = None
    """of the grid; by default it is about square"""

    @property
    def walk(self) -> None:
        """Return None: pictures belong in no rows (`tasks.inputs.WithGrid`)."""
        return None


def from_data(args: Args, data: DataArgs) -> tuple["ImageDiffusion", Examples]:
    """The task and its examples: images in the column media, and int64 labels in the column label
    where they are learned.

    Raises `UserError` where there are no images, where labels are asked for and images do not have
    one each, or a flag makes no sense.
    """
    from tasks.vision import value_ranges

    source, splits, label = unlabelled_images.canonical(args, data)
    if args.conditional == "on" and label is None:
        raise UserError(f"`conditional` on: the images of {source.name} have not one label each")
    if args.conditional == "off" or label is None:
        args, examples = unlabelled_images.from_data(args, data)
        return ImageDiffusion(args), examples
    found = classification.encode(LabelArgs(problem_type="single_label"), data, splits)
    args = value_ranges.with_range(args, found.splits["train"])
    return ImageDiffusion(args, found.labels), found.examples(source)


def for_evaluation(
    task: "ImageDiffusion", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`.

    Raises `UserError` where the task has labels and the images do not, or others.
    """
    if not task.labels:
        return unlabelled_images.evaluation_split(task.args, data, split, trained_on)
    source, splits, label = unlabelled_images.canonical(task.args, data)
    if label is None:
        raise UserError(
            f"the images of {source.name} have not one label each, and this model learned "
            f"{len(task.labels)}: give `data` with labels"
        )
    labelled = image_classification.of_labels(task.labels, SINGLE)
    return labelled.evaluation_split(source, splits, data, split, trained_on)


def from_config(config: Mapping[str, Any]) -> "ImageDiffusion":
    """The task a checkpoint was trained on, from what `ImageDiffusion.config` recorded."""
    return ImageDiffusion(
        Args.of_checkpoint(config["args"]),
        tuple(config["labels"]),
        config["size"],
        tuple(config["mean"]),
        tuple(config["std"]),
        config["num_channels"],
    )


def for_prediction(task: "ImageDiffusion", asked: Inputs) -> "ImageDiffusion":
    """The task as `predict` was asked to use it. Raises `UserError` for flags that contradict each
    other, or a label that the model does not know."""
    if asked.samples is None:
        raise UserError("how many pictures? give `samples`, and a file for them with `grid`")
    if asked.grid is None:
        raise UserError("`samples` is for pictures: name a file for them with `grid`")
    if not task.labels and (asked.label is not None or asked.guidance_scale != 1):
        name = "label" if asked.label is not None else "guidance_scale"
        raise UserError(f"`{name}`: this model learned images without labels; leave it out")
    if asked.label is not None and asked.label not in task.labels:
        known = ", ".join(task.labels[: classification.MOST_LABELS])
        raise UserError(f"`label` {asked.label}: this model learned {known}")
    return replace(task, steps=asked.steps, guidance_scale=asked.guidance_scale)


def read_inputs(
    asked: Inputs, task: "ImageDiffusion", stack: ExitStack
) -> Iterator[Mapping[str, Any]]:
    """Yield the inputs of `predict`: `name`, `start` float32 [channels, size, size], the noise that
    a picture is made of, and `label`, its number, where the model knows labels."""
    from tasks.randomness import EpochView, normal_rows

    assert asked.samples is not None, "for_prediction() checks it"
    view, shape = EpochView(asked.seed, 0), (task.num_channels, task.size, task.size)
    for i in range(asked.samples):
        (start,) = normal_rows(view, [i], task.num_channels * task.size**2, "start")
        item: dict[str, Any] = {"name": str(i + 1), "start": start.reshape(shape)}
        if task.labels:
            own = None if asked.label is None else task.labels.index(asked.label)
            item["label"] = i % len(task.labels) if own is None else own
        yield item


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"picture": item["name"]}


@dataclass(frozen=True, eq=False)
class DiffusionPrediction:
    """What a model finds in a noisy image, or has made."""

    denoising_loss: float | None
    """squared error of the noise, a mean; None of a picture that the model has made"""
    pictures: "tuple[Pixels, ...]"
    """uint8 [size, size, channels]: the noisy image and what it would be without the noise, or what
    the model has made"""


@dataclass(frozen=True)
class ImageDiffusion(UnlabelledImages):
    """The task with what data and processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...] = ()  # that are learned; empty where none are
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    num_channels: int = 3  # that are learned: 1 of grey images

    name = "image-diffusion"
    verb = "denoise"
    example_call = EXAMPLE_INPUT
    pipeline = "unconditional-image-generation"
    auto_class: ClassVar[str] = "AutoModelForPreTraining"
    primary = metric_spec("denoising_loss")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "image"}  # the noise
    steps: int = field(default=50, compare=False)  # of `predict`, as the next
    guidance_scale: float = field(default=1.0, compare=False)
    processor: Any = field(default=None, compare=False, repr=False)

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        found = super().config()
        return {name: v for name, v in found.items() if name not in ("steps", "guidance_scale")}

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model makes, for a card."""
        if not self.labels:
            return "Makes new images, like those that were learned."
        shown = ", ".join(literal(label) for label in self.labels[: classification.MOST_LABELS])
        more = len(self.labels) - classification.MOST_LABELS
        return f"Makes new images of a label: {shown}{f' and {more} more' if more > 0 else ''}."

    def plain_code(self, where: str, is_english: bool) -> tuple[str, list[str]]:
        """Return Python source that runs a checkpoint (`tasks.writes.HasNoPipeline`)."""
        shape = f"1, {self.num_channels}, {self.size}, {self.size}"
        return self.auto_class, [
            "import torch",
            "import zoo.auto  # registers the network, which is the zoo's own",
            "",
            f"model = {self.auto_class}.from_pretrained({where})",
            f"noise = model(torch.randn({shape}), timesteps=torch.tensor([999])).logits",
        ]

    def model_config(self) -> dict[str, Any]:
        """The fields of a `DdpmConfig` that this task sets."""
        found: dict[str, Any] = {"num_channels": self.num_channels, "betas": self.args.betas}
        if self.labels:
            found["num_class_embeds"] = len(self.labels) + 1
            found["id2label"] = dict(enumerate(self.labels))
            found["label2id"] = {name: i for i, name in enumerate(self.labels)}
        return found

    def bind_for_training(self, processor: Any, limit: int) -> "ImageDiffusion":
        """Return the task bound to a processor, with its size and normalisation, and the number of
        channels that it carries."""
        return replace(
            self,
            args=replace(self.args.resolved(processor), hflip=self.flips()),
            size=side_of(processor),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            num_channels=processor.num_channels,
            processor=processor,
        )

    def preflight(
        self, examples: Examples, features: "Mapping[str, Features]", model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import colour_channels, image_preflight

        found = colour_channels.check(features, self.args.color, self.num_channels)
        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        labels = self.labels or None
        return found + image_preflight.check(examples.splits, decoded, labels, self.args)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return random `noise` for any inputs, to measure training with."""
        import torch

        pixels = inputs["pixel_values"]
        generator = torch.Generator().manual_seed(seed)
        return {"noise": torch.randn(pixels.shape, generator=generator)}

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from images, which get noise, or from what `read_inputs` gives."""
        rows = []
        for i, item in enumerate(raw):
            if isinstance(item, Mapping) and "start" in item:
                rows.append({**item, "sample_id": i})
                continue
            (row,) = super().inputs([item])
            # what is said of an image must not depend on its place among others
            rows.append({**row, "sample_id": i, "draw": 0})
        return rows

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Stack, vary and normalise images as `ImageClassification.collate` does, and add noise.

        The inputs are pixel_values float32 [b, channels, size, size], timesteps int64 [b] and,
        where labels are learned, class_labels int64 [b]; the target is noise, of the pixels' shape.
        Of pictures to be made the pixels are noise alone, and there is no target.
        """
        import numpy as np
        import torch

        from tasks.randomness import SampleRandom, normal_rows
        from tasks.vision import noise_schedule
        from tasks.vision.colour_channels import with_channels
        from tasks.vision.patches import FIXED

        ids = torch.tensor([row["sample_id"] for row in rows])
        if rows and "start" in rows[0]:
            start = torch.from_numpy(np.stack([row["start"] for row in rows]))
            return Batch({"pixel_values": start, **self._class_labels(rows)}, ids)
        channels = self.num_channels
        images = [
            {name: row[name] for name in ("sample_id", "view") if name in row}
            | {"image": with_channels(row["image"], channels)}
            for row in rows
        ]
        pixels = self._images.collate(images).inputs["pixel_values"][:, :channels].contiguous()
        views = [row.get("view") or FIXED for row in rows]
        draws = [row.get("draw", row["sample_id"]) for row in rows]
        noise = torch.from_numpy(normal_rows(views, draws, pixels[0].numel(), "noise"))
        noise = noise.view(pixels.shape)
        random = SampleRandom(views, draws)
        times = random.integers("timestep", noise_schedule.TIMESTEPS)
        shares = torch.from_numpy(noise_schedule.image_shares(self.args.betas)[times]).float()
        left_out = random.uniform("label dropout") < self.args.label_dropout
        inputs = {
            "pixel_values": noise_schedule.noised(pixels, noise, shares),
            "timesteps": torch.from_numpy(times),
            **self._class_labels(
                [
                    {} if "view" in row and out else row
                    for row, out in zip(rows, left_out, strict=True)
                ]
            ),
        }
        return Batch(inputs, ids, {"noise": noise})

    def _class_labels(self, rows: Sequence[Mapping[str, Any]]) -> "dict[str, Tensor]":
        """Return the labels of rows, the number behind the last one where a row has none."""
        import torch

        if not self.labels:
            return {}
        return {"class_labels": torch.tensor([row.get("label", len(self.labels)) for row in rows])}

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Squared error of the noise, averaged over the values of an image and summed over
        images."""
        import torch

        errors = (outputs["logits"] - batch.targets["noise"]).square().flatten(1).mean(1)
        count = torch.full((), float(len(errors)), device=errors.device)
        return Loss(errors.sum(), count, {}, errors.detach())

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[DiffusionPrediction]:
        """Return how well the noise in each image is found, and the image without it; or the
        pictures that the model makes of noise alone."""
        import torch

        from tasks.vision import noise_schedule
        from tasks.vision.colour_channels import to_pictures

        noisy = batch.inputs["pixel_values"]
        if "noise" not in batch.targets:
            made = to_pictures(self._sampled(model, batch), self.num_channels)
            return [DiffusionPrediction(None, (one,)) for one in made]
        outputs = self.forward(model, batch) if outputs is None else outputs
        errors = self.loss(outputs, batch).terms
        assert errors is not None
        known = torch.from_numpy(noise_schedule.image_shares(self.args.betas)).float()
        shares = known.to(noisy.device)[batch.inputs["timesteps"]]
        image = noise_schedule.denoised(noisy, outputs["logits"], shares)
        shown = zip(*(to_pictures(each, self.num_channels) for each in (noisy, image)), strict=True)
        return [
            DiffusionPrediction(*one) for one in zip(errors.double().tolist(), shown, strict=True)
        ]

    def _sampled(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """Return pictures [b, channels, size, size], -1 to 1, made of noise in `steps` steps."""
        import torch

        from tasks.vision import noise_schedule

        labels, scale = batch.inputs.get("class_labels"), self.guidance_scale

        def noise_of(x: "Tensor", times: "Tensor", given: "Tensor | None") -> "Tensor":
            inputs = {"pixel_values": x, "timesteps": times}
            if given is not None:
                inputs["class_labels"] = given
            found: Tensor = self.forward(model, Batch(inputs, batch.ids))["logits"]
            return found

        def predict_noise(x: "Tensor", times: "Tensor") -> "Tensor":
            if labels is None or scale == 1:
                return noise_of(x, times, labels)
            without = noise_of(x, times, torch.full_like(labels, len(self.labels)))
            return without + scale * (noise_of(x, times, labels) - without)

        start = batch.inputs["pixel_values"]
        return noise_schedule.sample(start, predict_noise, self.args.betas, self.steps)

    def pictures(self, prediction: DiffusionPrediction) -> "Sequence[np.ndarray]":
        """Return the pictures that show a prediction; see `tasks.base.HasPictures`."""
        return prediction.pictures

    def references(self, batch: Batch) -> "list[Tensor]":
        """The noise in each image, float32 [channels, size, size]."""
        return list(batch.targets["noise"])

    def accumulator(self) -> "MeanMetric":
        """The accumulator of this task's metric."""
        from tasks.metrics.means import MeanMetric

        return MeanMetric("denoising_loss", ("no noise", 1.0))  # normal noise has variance 1

    def update(self, accumulator: "MeanMetric", seen: Evaluated[DiffusionPrediction]) -> None:
        """Adds the errors of a batch to an accumulator."""
        assert seen.loss.terms is not None
        errors = seen.loss.terms.double().cpu().numpy()
        accumulator.count(seen.batch.ids.cpu().numpy(), errors)

    def errors(self, seen: Evaluated[DiffusionPrediction]) -> list[tuple[float, int, str, str]]:
        """Return an empty list: no noise is right or wrong."""
        return []

    def to_json(self, prediction: DiffusionPrediction, top_k: int | None = None) -> dict[str, Any]:
        """Return `denoising_loss` of an image; nothing of a picture that the model has made."""
        if prediction.denoising_loss is None:
            return {}
        return {"denoising_loss": prediction.denoising_loss}
