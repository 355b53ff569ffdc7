"""Image classification: a picture to one label, several labels, a number or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from tasks.base import Batch, Examples, Viewed
from tasks.data.labels import ProblemType
from tasks.data.source import DataArgs, Source
from tasks.errors import UserError
from tasks.kinds.classification import Classification, LabelArgs, cut, media_and_label
from tasks.kinds.classification import encode as encode_all
from tasks.printing import print_lines
from tasks.rows import ColumnRows, column
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.image_args import ImageArgs, side_of
from tasks.vision.image_inputs import Inputs
from tasks.vision.image_reading import ReadsImages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.media.decoding import Decoded
    from tasks.preflight import Finding
    from tasks.randomness import EpochView
    from tasks.vision.pixels import Facts

EXAMPLE_INPUT = "--image photo.jpg"


@dataclass(frozen=True)
class Args(LabelArgs, AugmentArgs, ImageArgs):
    """How images and labels are read."""


def from_data(args: Args, data: DataArgs) -> tuple["ImageClassification", Examples]:
    """The task and its examples: labels found and encoded, missing splits cut.

    The splits have the columns media (see `tasks.media.source`) and label (int64, float32, or a
    list of int64).

    Raises `UserError` where a column is missing or a label can't be read.
    """
    from tasks.vision import value_ranges

    source, splits = _canonical(args, data)
    found = encode_all(args, data, splits)
    args = value_ranges.with_range(args, found.splits["train"])
    task = ImageClassification(args, found.labels, found.problem_type, found.class_weights)
    return task, found.examples(source)


def for_evaluation(
    task: "ImageClassification", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `Classification.evaluation_split`."""
    source, splits = _canonical(task.args, data)
    return task.evaluation_split(source, splits, data, split, trained_on)


def unlabelled(args: Args, data: DataArgs, asked: str) -> Examples:
    """Images without label, in the split train; see `tasks.data.unlabelled.find`."""
    from tasks.data.unlabelled import find

    source, splits = _canonical(args, data)
    return find(
        source,
        cut(args, data, splits),
        data,
        asked,
        lambda other: _load(args, other, unlabeled=True),
    )


def _canonical(args: Args, data: DataArgs) -> "tuple[Source, datasets.DatasetDict]":
    source = _load(args, data)
    return source, media_and_label(source, args.label_column)


def _load(args: Args, data: DataArgs, *, unlabeled: bool = False) -> Source:
    from tasks.media.source import load_media
    from tasks.vision.embedded import digits
    from tasks.vision.images import IMAGE

    return load_media(data, IMAGE, digits.load, args.image_column, unlabeled=unlabeled)


def for_prediction(task: "ImageClassification", inputs: Inputs) -> "ImageClassification":
    """The task as `predict` was asked to use it."""
    return task


def read_inputs(
    asked: Inputs, task: "ImageClassification", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`, decoded: `name` and `image` uint8 [height, width, channels].

    A file that can't be read is named and skipped, or stops the run with a `UserError`, as the
    task was told (`on_bad_file`).
    """
    import sys

    from tasks.media import inputs
    from tasks.vision import image_inputs

    def decode(name: str, media: Mapping[str, Any]) -> Mapping[str, Any]:
        image, facts = task.decode(media)
        if "cut" in facts:
            print_lines(f"{name}: {_cut(facts['cut'], task.args)}", file=sys.stderr)
        return {"image": image}

    yield from inputs.decoded(image_inputs.read(asked, stack), decode, asked.on_bad_file)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"image": item["name"]}


def of_labels(labels: Sequence[str], problem_type: ProblemType) -> "ImageClassification":
    """Return the task with these labels, for weights that were trained elsewhere."""
    return ImageClassification(Args(), tuple(labels), problem_type)


def from_config(config: Mapping[str, Any]) -> "ImageClassification":
    """The task a checkpoint was trained on, from what `ImageClassification.config` recorded."""
    return ImageClassification(
        Args.of_checkpoint(config["args"]),
        tuple(config["labels"]),
        config["problem_type"],
        tuple(config["class_weights"]),
        config["size"],
        tuple(config["mean"]),
        tuple(config["std"]),
        config.get("channels", 3),  # which all models saw before
    )


def reader(
    args: Any, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> "ImageClassification":
    """Return the task of no labels that decodes, varies and normalises images as one of another
    kind is told to.

    Args:
        args: `ImageArgs` and `AugmentArgs`, and more.
    """
    names = [one.name for part in (AugmentArgs, ImageArgs) for one in fields(part)]
    own = Args(**{name: getattr(args, name) for name in names})
    return ImageClassification(own, (), "single_label_classification", (), size, mean, std)


@dataclass(frozen=True)
class ImageClassification(ReadsImages, Classification):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...] = ()
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    channels: int = 3  # that the model sees; 1: brightness
    processor: Any = field(default=None, compare=False, repr=False)

    name = "image-classification"
    pipeline = "image-classification"
    unit = "pixels"
    example_call = EXAMPLE_INPUT

    def bind_for_training(self, processor: Any, limit: int) -> "ImageClassification":
        """Return the task bound to a processor, with the processor's size and normalisation."""
        if self.args.mixup and self.problem_type != "single_label_classification":
            raise UserError(f"`mixup` wants one label an image, and this is {self.problem_type}")
        return replace(
            self,
            args=replace(self.args.resolved(processor), hflip=flips(self.args, self.classes)),
            size=side_of(processor),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            channels=getattr(processor, "num_channels", 3),
            processor=processor,
        )

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """The images of one split, decoded and resized, in memory where they fit."""
        from tasks.media import decoding

        def decode(media: Mapping[str, Any]) -> "tuple[np.ndarray, Facts]":
            image, facts = self.decode(media)
            return self.square(image), facts

        args = self.args
        decoded = decoding.decode_split(
            examples,
            decode,
            lambda image: float(image.shape[0] * image.shape[1]),
            on_bad_file=self.args.on_bad_file,
            cache_key=f"{cache_key}/{self.size}/{args.max_pixels}/{args.behind}/{args.resize}/"
            f"{args.value_range}",
            title="reading images",
            digests=True,
        )
        _tell_what_is_cut(examples, decoded, args)
        labels = examples["label"][:] if "label" in examples.column_names else None
        return ImageFeatures(decoded, labels, self._partners())

    def _partners(self) -> bool:
        return self.args.augment != "none" and bool(self.args.mixup or self.args.cutmix)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import image_preflight

        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        found: list[Finding] = image_preflight.check(
            examples.splits, decoded, self.labels, self.args
        )
        return found

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.vision.image_items.pixels` takes for an image."""
        return [
            {"sample_id": i, "image": self.square(image)}
            for i, image in enumerate(self.opened(raw))
        ]

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Stacks images, augments them where the rows come from a view, and normalises.

        The input is pixel_values float32 [b, channels, size, size]; the targets are labels where
        the rows have them, with mixup or cutmix also partners int64 [b] (their labels) and share
        float32 [b].
        """
        import torch

        from tasks.vision.pixels import luma

        views = column(rows, "view")
        view = views[0] if views else None
        is_still = view is not None and view.strength == "standard" and self.args.changes_nothing
        if view is None or view.strength == "none" or is_still:
            return self.collate_arrays(rows).tensors()
        ids = torch.tensor(column(rows, "sample_id"))
        pixels, more = self._augmented(rows, views)
        targets = self.label_targets(rows) | more
        # grey images stay one channel as long as that saves work
        mean, std = (torch.tensor(x).view(1, -1, 1, 1) for x in (self.mean, self.std))
        if pixels.shape[1] == 1 and len(set(self.mean)) == len(set(self.std)) == 1:
            pixels = pixels.sub_(mean[:, :1]).div_(std[:, :1]).expand(-1, self.channels, -1, -1)
        else:
            pixels = (pixels - mean) / std
        if self.channels == 1:
            pixels = luma(pixels)
        inputs = {"pixel_values": pixels.contiguous(memory_format=torch.channels_last)}
        return Batch(inputs, ids, targets)

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`; of rows without a view that changes them."""
        import numpy as np

        from tasks.vision.pixels import normalised

        pixels: Any = normalised(column(rows, "image"), self.mean, self.std, self.channels)
        ids: Any = np.array(column(rows, "sample_id"), np.int64)
        return Batch({"pixel_values": pixels}, ids, self.label_arrays(rows))

    def _augmented(
        self, rows: Sequence[Mapping[str, Any]], views: "Sequence[EpochView]"
    ) -> "tuple[Tensor, dict[str, Tensor]]":
        import torch

        from tasks.randomness import SampleRandom
        from tasks.vision import mixing

        pixels = self._varied(rows, views)
        partners = column(rows, "partner")
        if partners is None:
            return pixels, {}
        draws = SampleRandom(views, column(rows, "sample_id"))
        mixed, share = mixing.mix(pixels, self._varied(partners, views), draws, self.args)
        labels = torch.tensor([partner["label"] for partner in partners])
        return mixed, {"partners": labels, "share": share}

    def _varied(self, rows: Sequence[Mapping[str, Any]], views: "Sequence[EpochView]") -> "Tensor":
        """The images of the rows augmented as their views say, which are of one strength; float32
        [b, 1 or 3, size, size].

        Grey images and those in colour apart: grey ones have grey noise, and how a sample looks
        must not depend on the others of its batch.
        """
        import numpy as np
        import torch

        from tasks.randomness import SampleRandom
        from tasks.vision import augment

        how = {"weak": augment.weak, "strong": augment.strong, "standard": augment.augment}
        draws, images = SampleRandom(views, column(rows, "sample_id")), column(rows, "image")
        if isinstance(images, np.ndarray):
            whole = torch.from_numpy(images).permute(0, 3, 1, 2)
            return how[views[0].strength](whole, draws, self.args)
        parts = {}
        for channels in (1, 3):
            places = [i for i, image in enumerate(images) if image.shape[2] == channels]
            if places:
                alike = stack([images[i] for i in places])
                varied = how[views[0].strength](alike, draws.part(places), self.args)
                parts[channels] = places, varied
        if len(parts) == 1:
            ((_, pixels),) = parts.values()
            return pixels
        joined = torch.empty(len(rows), 3, self.size, self.size)
        for places, pixels in parts.values():
            joined[places] = pixels  # grey is alike in all channels
        return joined

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        from tasks.media.source import name_of

        return name_of(example["media"], row)

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """A row of the features as a picture."""
        from tasks.vision import draw

        draw.image(axes, row["image"])


def _tell_what_is_cut(examples: "datasets.Dataset", decoded: "Decoded", args: Args) -> None:
    """A warning where values of more than 8 bits lie outside the range that training found."""
    import sys

    from tasks.media.source import name_of

    cut = {row: facts["cut"] for row, facts in decoded.facts.items() if "cut" in facts}
    if cut:
        row = max(cut, key=lambda one: cut[one])
        worst = f"{name_of(examples[row]['media'], row)}: {_cut(cut[row], args)}"
        print_lines(
            f"warning: in {len(cut):,} of {len(decoded):,} images, such as {worst}", file=sys.stderr
        )


def _cut(share: float, args: Args) -> str:
    low, high = args.value_range or (0, 0)
    return f"{share:.1%} of the values lie outside {low:,g} to {high:,g}, and are cut"


def flips(args: AugmentArgs, classes: Sequence[str]) -> Literal["on", "off"]:
    """Return whether images are mirrored: digits and letters would be none, most other things stay
    what they are."""
    if args.hflip != "auto":
        return args.hflip
    glyphs = all(len(name) == 1 or name.isdigit() for name in classes)
    return "off" if glyphs else "on"


def stack(images: "Sequence[np.ndarray]") -> "Tensor":
    """Images uint8 [height, width, 1 or 3] as one tensor [b, channels, height, width]; grey ones
    become colour where any other is."""
    import numpy as np
    import torch

    channels = max(image.shape[2] for image in images)
    same = [
        x if x.shape[2] == channels else np.broadcast_to(x, (*x.shape[:2], channels))
        for x in images
    ]
    height, width = images[0].shape[:2]
    # rows below one another: `np.stack` adds an axis to each image first, which takes longer
    whole = np.concatenate(same).reshape(len(same), height, width, channels)
    return torch.from_numpy(whole).permute(0, 3, 1, 2)


class ImageFeatures(Viewed):
    """The images of one split at the model's size; `collate` augments them as a view says.
    Satisfies `tasks.base.Features`."""

    def __init__(self, decoded: "Decoded", labels: Sequence[Any] | None, partners: bool) -> None:
        import numpy as np

        self.decoded = decoded
        self.origins: np.ndarray = decoded.kept
        self.labels = None if labels is None else [labels[int(i)] for i in decoded.kept]
        self.lengths: np.ndarray = decoded.sizes.astype(np.int64)
        self.rows: np.ndarray = np.ones(len(decoded), np.int64)
        self.partners = partners  # whether training mixes each sample with another

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]:
        rows = self._rows(indices)
        if self.partners and self._view is not None and self._view.strength == "standard":
            from tasks.randomness import SampleRandom
            from tasks.vision import mixing

            chosen = mixing.mixup_partner(SampleRandom(self._view, list(indices)), len(self))
            for row, partner in zip(rows, self._rows([int(i) for i in chosen]), strict=True):
                row["partner"] = partner
        return rows

    def _rows(self, indices: Sequence[int]) -> ColumnRows:
        images: Any  # of small ones copying them one by one takes most of the time
        if self.decoded.uniform:
            images = self.decoded.get_many(indices)
        else:
            images = [self.decoded.get(i) for i in indices]
        columns = {"sample_id": list(indices), "image": images}
        if self.labels is not None:
            columns["label"] = [self.labels[i] for i in indices]
        if self._view is not None:
            columns["view"] = [self._view] * len(indices)
        return ColumnRows(columns, len(indices))
