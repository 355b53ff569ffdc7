"""Semantic segmentation: the class of every pixel of a picture.

The loss is the cross entropy of each pixel (Long et al. 2015, "Fully Convolutional Networks for
Semantic Segmentation"), summed and counted over all pixels that have a class, perhaps weighted by
it, and perhaps with the Dice loss of each image (Milletari et al. 2016, "V-Net"). A network may
give logits of fewer pixels than it sees: they are interpolated. Metrics are computed at the size of
the images themselves.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.data.labels import leave_out
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.kinds.losses import balanced
from tasks.metrics.spec import metric_spec
from tasks.paths import expanded
from tasks.printing import python_literal
from tasks.vision import class_table, image_classification
from tasks.vision.class_table import IGNORED, ClassTable
from tasks.vision.image_args import side_of
from tasks.vision.image_classification import ImageClassification
from tasks.vision.image_reading import ReadsImages
from tasks.vision.segmentation_args import EXAMPLE_INPUT, Args, Inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.segmentation import SegmentationMetric
    from tasks.preflight import Finding
    from tasks.vision.mask_features import Pair
    from tasks.vision.mask_files import ClassMap

__all__ = ["EXAMPLE_INPUT", "Args", "Inputs", "Segmentation", "SegmentationPrediction"]

WINDOWS = 16  # that pass through a network together: an image may have hundreds
MOST_LABELS = 30  # that a description names

read_inputs = image_classification.read_inputs
show_input = image_classification.show_input


def from_data(args: Args, data: DataArgs) -> tuple["Segmentation", Examples]:
    """Return the task and its examples, in the columns media and mask (see `mask_data.load`).

    Missing splits are cut from train; rows without a mask are left out, and told.

    Raises `UserError` where there are no masks, or nobody can say what is in them.
    """
    from tasks.vision import compositions, mask_data, value_ranges

    compositions.must_vary(args, args)
    source = _load(args, data)
    must_have_train(source.splits, source.name)
    splits, without = mask_data.with_masks(source)
    table = mask_data.classes_of(
        data, args.classes, splits["train"], args.ignore_index, args.max_pixels
    )
    cut = cut_missing_splits(splits, None, data)
    splits = limit(leave_out(cut, without, "masks"), data)
    args = value_ranges.with_range(args, splits["train"])
    weights: tuple[float, ...] = ()
    if args.class_weights == "balanced":
        how = (table, args.ignore_index, args.max_pixels)
        weights = balanced(mask_data.pixel_counts(splits["train"], *how))
    left_out = {name: cut[name].num_rows for name in without}
    return (
        Segmentation(args, table.names, table, weights),
        Examples(splits, source.name, source.fingerprint, source.rows, left_out),
    )


def for_evaluation(
    task: "Segmentation", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`.

    What the masks hold is told by `Args.classes`; of the data it was trained on by the task itself;
    else by a list beside the data, where there is one.

    Raises `UserError` where a class is listed that the task was not trained for.
    """
    import datasets

    from tasks.vision import mask_data

    source = _load(task.args, data)
    splits, without = mask_data.with_masks(source)
    chosen, every = choose_split(source, splits, None, data, split, trained_on, without)
    only = datasets.DatasetDict({chosen: every[chosen]})
    if (asked := task.args.classes) is not None:
        mask_data.keep_classes(only[chosen], class_table.read(expanded(asked)), asked, task.table)
    elif source.fingerprint != trained_on and (listed := mask_data.listed(data)) is not None:
        mask_data.keep_classes(only[chosen], *listed, task.table)
    return Examples(only, source.name, source.fingerprint)


def _load(args: Args, data: DataArgs) -> Source:
    from tasks.vision import mask_data
    from tasks.vision.embedded import scenes

    return mask_data.load(data, scenes.load, args.image_column, args.mask_column)


def for_prediction(task: "Segmentation", inputs: Inputs) -> "Segmentation":
    """Return the task as `predict` was asked to use it."""
    return task


def from_config(config: Mapping[str, Any]) -> "Segmentation":
    """Return the task a checkpoint was trained on, from what `Segmentation.config` recorded.

    Its classes are recorded: the file that listed them is not named any more.
    """
    table = class_table.of_record(config["table"])
    return Segmentation(
        replace(Args.of_checkpoint(config["args"]), classes=None),
        table.names,
        table,
        tuple(config.get("class_weights", ())),  # without them all pixels weighed alike
        config["size"],
        tuple(config["mean"]),
        tuple(config["std"]),
    )


def _sizes_of(batch: Batch) -> list[tuple[int, int]]:
    """Return height and width of each image of a batch that is predicted."""
    from tasks import arrays

    assert batch.sizes is not None, "images that are predicted have a size"
    return [(int(height), int(width)) for height, width in arrays.to_numpy(batch.sizes)]


@dataclass(frozen=True, eq=False)
class SegmentationPrediction:
    """The class of each pixel of an image, uint8 [height, width] at the image's own size."""

    classes: "ClassMap"


@dataclass(frozen=True)
class Segmentation(ReadsImages, Bindable):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    table: ClassTable
    """What the classes are in masks, and the colours they are drawn in."""
    class_weights: tuple[float, ...] = ()
    """What a pixel of each class weighs in the cross entropy; empty: 1."""
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "image-segmentation"
    pipeline = "image-segmentation"
    unit = "pixels"
    verb = "segment"
    has_language = False
    of_rows = False
    single_label = True
    example_call = EXAMPLE_INPUT
    primary = metric_spec("mean_iou")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "mask"}

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.labels

    def bind_for_training(self, processor: Any, limit: int) -> "Segmentation":
        """Return the task bound to a processor, with the processor's size and normalisation."""
        return replace(
            self,
            args=replace(self.args.resolved(processor), hflip=self._flips()),
            size=side_of(processor),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            processor=processor,
        )

    def _flips(self) -> Literal["on", "off"]:
        """Mirrored characters are none; classes called by their numbers may be anything."""
        if self.args.hflip != "auto":
            return self.args.hflip
        named = self.labels != tuple(map(str, self.table.values))
        return "off" if named and all(len(name) == 1 for name in self.labels) else "on"

    @property
    def images(self) -> ImageClassification:
        """Images are decoded, varied and normalised as they are for a classifier."""
        return image_classification.reader(self.args, self.size, self.mean, self.std)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return, for a card, what the model returns for an input (`Task.describe_outputs`)."""
        more = len(self.labels) - MOST_LABELS
        names = ", ".join(literal(label) for label in self.labels[:MOST_LABELS])
        names = f"{names} and {more} more" if more > 0 else names
        return (
            f"Gives every pixel of an image one of {len(self.labels)} classes: {names}. Whatever "
            "else it is shown gets one of them too."
        )

    def example_code(self, is_english: bool) -> str:
        """Return an example input of transformers' pipeline as Python source."""
        return python_literal(shlex.split(self.example_call)[1])

    def model_config(self) -> dict[str, Any]:
        """Return the fields of a transformers config that this task sets."""
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: i for i, name in enumerate(self.labels)},
            "semantic_loss_ignore_index": IGNORED,
        }

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the images and masks of one split, decoded, in memory where they fit."""
        from tasks.vision.mask_features import MaskFeatures

        return MaskFeatures(examples, self._pair(examples), cache_key, self.args)

    def _pair(self, examples: "datasets.Dataset") -> "Pair":
        from tasks.vision import mask_data
        from tasks.vision.mask_features import Pair

        return Pair(
            self.images,
            *mask_data.kept_classes(examples, self.table),
            self.args.ignore_index,
            self.size,
            self.args.windows,
            self.args.on_bad_file,
        )

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import mask_preflight

        return mask_preflight.check(examples.splits, features, self.labels, self.args)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return random `labels` of the pixels of any inputs [n, 3, h, w], drawn from `seed`."""
        import torch

        pixels = inputs["pixel_values"]
        shape = (len(pixels), *pixels.shape[2:])
        rng = torch.Generator().manual_seed(seed)
        return {"labels": torch.randint(len(self.labels), shape, generator=rng)}

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.vision.image_items.pixels` takes for an image."""
        rows = []
        for i, image in enumerate(self.opened(raw)):
            seen = image if self.args.windows else self.square(image)
            rows.append({"sample_id": i, "image": seen, "size": image.shape[:2]})
        return rows

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return a batch of images, augmented with their masks where the rows come from a view.

        The input is pixel_values float32 [n, 3, size, size]: an image a row, or its windows. The
        targets, where the rows have masks, are labels [n, size, size], `IGNORED` where a pixel does
        not count, or counts in another window: int64, or uint8 for windows of rows without a view.
        Rows without a view have masks too: of each image the classes at its own size, uint8
        [height, width].
        """
        import numpy as np
        import torch

        from tasks.randomness import SampleRandom
        from tasks.vision import augment, mask_augment, mask_windows

        if not rows or "view" not in rows[0]:
            return self.collate_arrays(rows).tensors()
        views, ids = [row["view"] for row in rows], [row["sample_id"] for row in rows]
        draws = SampleRandom(views, ids)
        if self.args.windows:
            places = mask_windows.drawn(rows, draws, self.size)
            rows = mask_windows.cut(rows, places, self.size, self.args.behind)
        if views[0].strength != "none" and (self.args.mosaic or self.args.zoom_out > 1):
            rows = mask_augment.composed(rows, draws, self.args)
        batch = self.images.collate(rows)
        masks = torch.from_numpy(np.stack([row["mask"] for row in rows]))
        if views[0].strength != "none":
            masks = augment.place_masks(masks, draws, self.images.args)
        return replace(batch, targets={"labels": masks.to(torch.int64)})

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`; of rows without a view."""
        import numpy as np

        from tasks.vision import mask_windows

        sizes = np.array([row["size"] for row in rows], np.int64).reshape(-1, 2)
        windows = spans = None
        cut: Sequence[Mapping[str, Any]] = rows
        if self.args.windows:
            overlap = self.args.window_overlap
            windows, spans = mask_windows.all_of(sizes, self.size, overlap)
            every = [rows[i] for i in windows]
            cut = mask_windows.cut(every, spans, self.size, self.args.behind)
        batch = self.images.collate_arrays(cut)
        ids: Any = np.array([row["sample_id"] for row in rows], np.int64)
        targets: dict[str, Any] = {}
        if rows and "mask" in rows[0]:
            labels = np.stack([row["mask"] for row in cut])
            if windows is not None and spans is not None:
                mask_windows.count_once(labels, windows, spans)
            else:
                labels = labels.astype(np.int64)
            targets = {"labels": labels, "masks": [row["original"] for row in rows]}
        places: Any = (windows, spans)
        seen: Any = sizes
        return Batch(batch.inputs, ids, targets, windows=places[0], spans=places[1], sizes=seen)

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return the logits of the pixels, float32 [n, classes, h, w].

        Those of a large image's windows would fill the memory. Where there are many, with targets,
        what `loss` and `predict` make of them is returned in their place: the `sums` and `counts`
        of the loss of each window, float32 [n], and the `classes` of the pixels of all images,
        uint8, one behind the other.
        """
        from tasks import arrays

        if batch.windows is None or len(batch.windows) <= WINDOWS:
            return super().forward(model, batch)
        if "labels" not in batch.targets:
            logits = [one for _, one in self._passes(model, batch)]
            return {"logits": arrays.module_of(logits[0]).concatenate(logits)}
        import torch

        losses = []

        def windows() -> "Iterator[Tensor]":
            for part, logits in self._passes(model, batch):
                losses.append(self._losses(logits, batch.targets["labels"][part]))
                yield from logits

        maps = self._stitched(windows(), batch)
        sums, counts = (torch.cat(each) for each in zip(*losses, strict=True))
        classes = torch.cat([torch.from_numpy(one).flatten() for one in maps])
        return {"sums": sums, "counts": counts, "classes": classes}

    def _passes(self, model: "nn.Module", batch: Batch) -> "Iterator[tuple[slice, Tensor]]":
        """Yield the logits of a few windows at a time, and which of the batch these are."""
        assert batch.windows is not None
        for first in range(0, len(batch.windows), WINDOWS):
            part = slice(first, first + WINDOWS)
            inputs = {name: each[part] for name, each in batch.inputs.items()}
            yield part, super().forward(model, replace(batch, inputs=inputs))["logits"]

    def _stitched(self, logits: "Iterable[Any]", batch: Batch) -> "list[ClassMap]":
        """Return the class of each pixel of each image from the logits of its windows."""
        from tasks import arrays
        from tasks.vision import class_maps

        assert batch.windows is not None and batch.spans is not None, "windows have places"
        owners, spans = arrays.to_numpy(batch.windows), arrays.to_numpy(batch.spans)
        return class_maps.stitched(logits, owners, spans, _sizes_of(batch), self.size)

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the cross entropy summed over the pixels that count, and what these weigh: how
        many they are, or the sum of the weights of their classes (`pixel_losses.losses_of_rows`).
        """
        if "sums" in outputs:  # of many windows
            assert not label_smoothing, "training sees one window of an image"
            sums, counts = outputs["sums"], outputs["counts"]
        else:
            labels = batch.targets["labels"]
            sums, counts = self._losses(outputs["logits"], labels, label_smoothing)
        each = sums.detach()
        if batch.windows is not None:
            each = each.new_zeros(len(batch)).index_add(0, batch.windows, each)
        return Loss(sums.sum(), counts.sum(), {}, each)

    def _losses(
        self, logits: "Tensor", labels: "Tensor", label_smoothing: float = 0.0
    ) -> "tuple[Tensor, Tensor]":
        from tasks.vision.pixel_losses import losses_of_rows

        dice = self.args.dice_weight
        return losses_of_rows(logits, labels, dice, label_smoothing, self.class_weights)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[SegmentationPrediction]:
        """Return the class of each pixel of each image, at the image's own size."""
        import numpy as np

        from tasks import arrays
        from tasks.vision import class_maps

        sizes = _sizes_of(batch)
        if outputs is not None and "classes" in outputs:
            ends = np.cumsum([height * width for height, width in sizes])[:-1]
            flat = np.split(arrays.to_numpy(outputs["classes"]), ends)
            maps = [one.reshape(size) for one, size in zip(flat, sizes, strict=True)]
        elif batch.windows is None:
            logits = (self.forward(model, batch) if outputs is None else outputs)["logits"]
            every = zip(logits, sizes, strict=True)
            maps = [class_maps.of_logits(one, *size) for one, size in every]
        elif outputs is None:
            windows = (logits for _, some in self._passes(model, batch) for logits in some)
            maps = self._stitched(windows, batch)
        else:
            maps = self._stitched(outputs["logits"], batch)
        return [SegmentationPrediction(one) for one in maps]

    def references(self, batch: Batch) -> "list[ClassMap]":
        """Return the true class of each pixel of each image, uint8 [height, width]."""
        from tasks import arrays

        return [arrays.to_numpy(mask) for mask in batch.targets["masks"]]

    def accumulator(self) -> "SegmentationMetric":
        """Return an empty accumulator of this task's metrics."""
        from tasks.metrics.segmentation import SegmentationMetric

        return SegmentationMetric(len(self.labels))

    def update(
        self, accumulator: "SegmentationMetric", seen: Evaluated[SegmentationPrediction]
    ) -> None:
        """Add the predictions of a batch to a metric accumulator."""
        predictions = [one.classes for one in seen.predictions]
        accumulator.update(seen.batch.ids.cpu().numpy(), predictions, seen.references)

    def confusion_matrix(self, accumulator: "SegmentationMetric") -> "np.ndarray":
        """Return the confusion matrix of pixels, int64 [labels, labels]; rows are the truth."""
        return accumulator.confusion_matrix()

    def errors(self, seen: Evaluated[SegmentationPrediction]) -> "Sequence[WrongPrediction]":
        """Return the images with wrong pixels: mean loss of a pixel, id, and the commonest
        confusion, true class and predicted one."""
        from tasks.vision import class_maps

        assert seen.loss.terms is not None
        found = []
        rows = zip(seen.loss.terms.tolist(), seen.batch.ids.tolist(), strict=True)
        for (loss, row), one, truth in zip(rows, seen.predictions, seen.references, strict=True):
            wrong = (truth != IGNORED) & (truth != one.classes)
            if not wrong.any():
                continue
            mean = loss / int((truth != IGNORED).sum())
            true, said = class_maps.top_confusion(truth[wrong], one.classes[wrong])
            found.append((mean, row, self.labels[true], self.labels[said]))
        return found

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """Return an example in one line of a table."""
        return self.images.show(example, row)

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """Draw a row of the features as a picture, under the colours of its mask."""
        from tasks.vision import class_maps, draw

        image = row["image"]
        if "mask" in row:
            image = class_maps.overlay(image, row["mask"], self.table)
        draw.image(axes, image)

    def to_json(
        self, prediction: SegmentationPrediction, top_k: int | None = None
    ) -> dict[str, Any]:
        """Return the classes that an image has, those of most pixels first, and the share of its
        pixels that each has; the first `top_k` of them."""
        from tasks.vision import class_maps

        shares = class_maps.shares(prediction.classes)[:top_k]
        return {
            "labels": [self.labels[i] for i, _ in shares],
            "shares": [share for _, share in shares],
        }

    def masks(self, prediction: SegmentationPrediction) -> list[bytes]:
        """Return the pixels of each class that an image has; see `tasks.masks.GivesMasks`."""
        from tasks.vision import class_maps

        classes = prediction.classes
        return [class_maps.png_of(classes == i) for i, _ in class_maps.shares(classes)]
