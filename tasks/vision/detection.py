"""Object detection: the things in an image, each with its box and its class.

Which prediction is to learn which box depends on how a network predicts. The task knows the ways
and not the networks: one that predicts at points says so by the `strides` of its image processor,
one whose queries predict a set by its `set_loss`, as transformers' processors say how the outputs
of their detectors are read. So the loss is computed from outputs and targets alone, and an exported
program has one, too. It is a sum over the points, or the things, that are learned and their count,
and so an optimizer step is the same however it is cut.

Boxes are in pixels of an image as it is shown, turned as its EXIF data say: those that are read,
predicted and drawn. OpenCV, and so Ultralytics, reads images so too; torchvision's `CocoDetection`
leaves them as they are stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from tasks.vision import image_classification
from tasks.vision.detection_args import EXAMPLE_INPUT, SURE, Args, Inputs
from tasks.vision.image_args import side_of
from tasks.vision.image_reading import ReadsImages

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.detection import DetectionMetric, TrueBoxes
    from tasks.preflight import Finding
    from tasks.vision.boxes import Boxes, Placement
    from tasks.vision.pixels import Facts
    from tasks.vision.set_prediction import SetLoss

__all__ = ["EXAMPLE_INPUT", "Args", "Detection", "Inputs"]

SHOWN = 5  # classes that a description names
OF_POINTS: Mapping[str, OutputKind] = {
    "logits": "logits",
    "boxes_xyxy": "boxes_xyxy",
    "centerness": "logits",
}
OF_QUERIES: Mapping[str, OutputKind] = {"logits": "logits", "pred_boxes": "boxes_cxcywh"}
AUXILIARY = {"auxiliary_logits": "logits", "auxiliary_boxes": "pred_boxes"}
"""What a model in training gives of the layers before its last, [layers, b, queries, ...], and the
outputs of the last that they are like."""

read_inputs = image_classification.read_inputs
show_input = image_classification.show_input


def from_data(args: Args, data: DataArgs) -> tuple["Detection", Examples]:
    """The task and its examples: classes found, missing splits cut.

    The splits have the columns media (see `tasks.media.source`) and objects: bbox (lists of x0, y0,
    x1, y1 in pixels), category, iscrowd and area.

    Raises `UserError` where there are no images, or no boxes.
    """
    from tasks.vision import compositions, value_ranges
    from tasks.vision.box_features import names_of

    compositions.must_vary(args, args)
    source = _load(args, data)
    splits = source.splits
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, None, data), data)
    args = value_ranges.with_range(args, splits["train"])
    task = Detection(args, names_of(splits["train"]))
    return task, Examples(splits, source.name, source.fingerprint, source.rows)


def for_evaluation(
    task: "Detection", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`.

    Raises `UserError` where the split is missing, or has a class that training never saw.
    """
    import datasets

    from tasks.vision.box_features import places_of

    source = _load(task.args, data)
    chosen, splits = choose_split(source, source.splits, None, data, split, trained_on)
    places_of(splits[chosen], task.labels, chosen)
    only = datasets.DatasetDict({chosen: splits[chosen]})
    return Examples(only, source.name, source.fingerprint)


def _load(args: Args, data: DataArgs) -> Source:
    from tasks.data import columns
    from tasks.vision import box_files

    source = box_files.load(data, args.image_column, args.objects_column, args.box_format)
    wanted = {"media": "media", "objects": "objects"}
    return replace(source, splits=columns.select(source.splits, wanted, source.name))


def for_prediction(task: "Detection", inputs: Inputs) -> "Detection":
    """The task as `predict` was asked to use it."""
    return task.of_threshold(inputs.threshold)


def from_config(config: Mapping[str, Any]) -> "Detection":
    """The task a checkpoint was trained on, from what `Detection.config` recorded."""
    from tasks.vision.set_prediction import SetLoss

    queries = config.get("queries")
    return Detection(
        Args.of_checkpoint(config["args"]),
        tuple(config["labels"]),
        tuple(config["strides"]),
        config["size"],
        tuple(config["mean"]),
        tuple(config["std"]),
        None if queries is None else SetLoss.of_record(queries),
    )


@dataclass(frozen=True)
class Detection(ReadsImages, Bindable):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    strides: tuple[int, ...] = ()  # pixels between the points of each level, ascending
    size: int = 0  # height and width that the model sees
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    queries: "SetLoss | None" = None  # how they learn; None: the model predicts at points
    processor: Any = field(default=None, compare=False, repr=False)
    threshold: float = SURE  # least score of a box that `to_json` gives

    name = "object-detection"
    pipeline = "object-detection"
    unit = "pixels"
    verb = "detect"
    has_language = False
    example_call = EXAMPLE_INPUT
    primary = metric_spec("map")
    of_rows = False  # an image has many things

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        return {name: x for name, x in super().config().items() if name != "threshold"}

    def of_threshold(self, threshold: float) -> "Detection":
        """Return the task whose `to_json` gives boxes of this score or more."""
        return replace(self, threshold=threshold)

    @property
    def output_kinds(self) -> Mapping[str, OutputKind]:
        """The kind of each output of the task's models, by name."""
        return OF_POINTS if self.queries is None else OF_QUERIES

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the metric's `by_class`."""
        return self.labels

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for an image, for a card."""
        named = ", ".join(literal(name) for name in self.labels[:SHOWN])
        more = len(self.labels) - SHOWN
        return (
            f"Finds things of {len(self.labels)} classes and gives a box around each: "
            f"{named}{f' and {more} more' * (more > 0)}."
        )

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source."""
        return '"photo.jpg"'

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets."""
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: i for i, name in enumerate(self.labels)},
        }

    def bind_for_training(self, processor: Any, limit: int) -> "Detection":
        """Return the task bound to a processor, with the processor's size and normalisation, and
        its strides or its way of learning a set."""
        from tasks.vision.set_prediction import SetLoss

        queries = getattr(processor, "set_loss", None)
        return replace(
            self,
            args=replace(
                self.args.resolved(processor),
                hflip=image_classification.flips(self.args, self.labels),
            ),
            strides=tuple(processor.strides) if queries is None else (),
            size=side_of(processor),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            queries=None if queries is None else SetLoss.of_record(queries),
            processor=processor,
        )

    def _placement(self, height: int, width: int) -> "Placement":
        """Return where an image of this size lies in that square."""
        from tasks.vision.boxes import Placement

        return Placement.of(height, width, self.size, self.args.resize or "stretch")

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """The images of one split, decoded and resized, in memory where they fit, and their
        boxes."""
        from tasks.media import decoding
        from tasks.vision.box_features import BoxFeatures

        def decode(media: Mapping[str, Any]) -> "tuple[np.ndarray, Facts]":
            image, facts = self.decode(media)
            height, width = image.shape[:2]
            return self.square(image), {**facts, "height": height, "width": width}

        args = self.args
        decoded = decoding.decode_split(
            examples,
            decode,
            lambda image: float(image.shape[0] * image.shape[1]),
            on_bad_file=args.on_bad_file,
            cache_key=f"{cache_key}/boxes/{self.size}/{args.max_pixels}/{args.behind}/"
            f"{args.resize}/{args.value_range}",
            title="reading images",
            digests=True,
        )
        return BoxFeatures(decoded, examples, self.labels, self._placement, self.args)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.vision import box_preflight

        stride = min(self.strides, default=0)
        queries, config = 0, getattr(model, "config", None)
        if self.queries is not None:  # of transformers' detectors, and of YOLOS
            names = "num_queries", "num_detection_tokens"
            queries = max(getattr(config, name, None) or 0 for name in names)
        return box_preflight.check(examples.splits, features, stride, self.size, self.args, queries)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.vision.image_items.pixels` takes for an image."""
        return [
            {"sample_id": i, "size": image.shape[:2], "image": self.square(image)}
            for i, image in enumerate(self.opened(raw))
        ]

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Stacks images, augments them where the rows come from a view, and normalises.

        The input is pixel_values float32 [b, 3, size, size]. The targets are sizes int64 [b, 2]
        (height and width of the files' images), and of rows with boxes, for each image: boxes
        float32 [n, 4] in pixels of the input, labels int64 [n], crowd bool [n], and its `truth`.
        """
        view = rows[0].get("view") if rows else None
        if view is not None and view.strength != "none" and self.args.augment != "none":
            rows = self._varied(rows)
        return self.collate_arrays(rows).tensors()

    def _varied(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows with images and boxes as their views have them."""
        from tasks.randomness import SampleRandom
        from tasks.vision.box_augment import Pictured, vary

        def pictured(row: Mapping[str, Any]) -> Pictured:
            return Pictured(row["image"], row["boxes"], row["labels"], row["crowd"])

        draws = SampleRandom([row["view"] for row in rows], [row["sample_id"] for row in rows])
        partners = [[pictured(one) for one in row.get("partners", ())] for row in rows]
        seen = vary([pictured(row) for row in rows], draws, self.args, self.args, partners)
        varied = []
        for row, one in zip(rows, seen, strict=True):
            boxes = one.boxes.astype("float32")
            more = {"image": one.image, "boxes": boxes, "labels": one.labels, "crowd": one.crowd}
            varied.append({**row, **more})
        return varied

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`; of rows without a view that augments."""
        import numpy as np

        from tasks.vision.pixels import normalised

        pixels: Any = normalised([row["image"] for row in rows], self.mean, self.std)
        ids: Any = np.array([row["sample_id"] for row in rows], np.int64)
        targets: dict[str, Any] = {"sizes": np.array([row["size"] for row in rows], np.int64)}
        if "boxes" in rows[0]:
            targets |= {name: [row[name] for row in rows] for name in ("boxes", "labels", "crowd")}
            targets["truth"] = tuple(row["truth"] for row in rows)
        return Batch({"pixel_values": pixels}, ids, targets)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Any]":
        """Return random boxes, three in each image, with random classes."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        height, width = inputs["pixel_values"].shape[2:]
        rows, sides = range(len(inputs["pixel_values"])), torch.tensor([width, height] * 2)
        corners = [torch.rand(3, 2, 2, generator=generator).sort(1).values for _ in rows]
        classes = [torch.randint(len(self.labels), (3,), generator=generator) for _ in rows]
        return {
            "boxes": [row.flatten(1) * sides for row in corners],
            "labels": classes,
            "crowd": [torch.zeros(3, dtype=torch.bool) for _ in rows],
        }

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return the outputs of `output_kinds` in float32.

        At points: logits [b, points, classes], boxes_xyxy [b, points, 4] in pixels of the input and
        centerness [b, points, 1]. Of queries: logits [b, queries, classes] and pred_boxes [b,
        queries, 4], centre, width and height as shares of the input; in training those of
        `AUXILIARY` as well, where the model has them.
        """
        from tasks.arrays import to_float32

        outputs = model(**batch.inputs)
        further = [name for name in AUXILIARY if getattr(outputs, name, None) is not None]
        return {name: to_float32(getattr(outputs, name)) for name in (*self.output_kinds, *further)}

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """The loss of `tasks.vision.points`, summed over images, and the points that learn a box as
        its count; or that of `tasks.vision.set_prediction`, and the count of the things.

        Raises `UserError` for `label_smoothing`, since these losses have their own ways with
        classes that are unsure.
        """
        if label_smoothing:
            raise UserError("`label_smoothing_factor`: the classes of boxes can't be smoothed")
        learn = self._point_losses if self.queries is None else self._query_losses
        parts, counts = learn(outputs, batch)
        terms = sum(parts.values()).detach()  # type: ignore[union-attr]
        logs = {name: part.detach().sum() for name, part in parts.items()}
        total = sum(part.sum() for part in parts.values())
        return Loss(total, counts.sum(), logs, terms)  # type: ignore[arg-type]

    def _point_losses(self, outputs: Outputs, batch: Batch) -> "tuple[dict[str, Tensor], Tensor]":
        """Return the parts of the loss by name, each [b], and the counts [b]."""
        from tasks.vision import points

        height, width = batch.inputs["pixel_values"].shape[2:]
        where = points.grid(height, width, self.strides, outputs["logits"])
        true = (batch.targets[name] for name in ("boxes", "labels", "crowd"))
        learned = points.assign(where, self.strides, *true)
        return points.losses(outputs, where, learned), points.counts(learned)

    def _query_losses(self, outputs: Outputs, batch: Batch) -> "tuple[dict[str, Tensor], Tensor]":
        """Return the parts of the loss by name, each [b], and the counts [b]."""
        from tasks.vision import set_prediction

        assert self.queries is not None
        height, width = batch.inputs["pixel_values"].shape[2:]
        size = outputs["logits"].new_tensor([width, height])
        boxes, labels, crowd = (batch.targets[name] for name in ("boxes", "labels", "crowd"))
        targets = set_prediction.SetTargets.of(boxes, labels, crowd, size)
        last = set_prediction.losses(outputs, targets, self.queries, size)
        parts = dict(zip(("class_loss", "box_loss", "giou_loss"), last, strict=True))
        before = zip(*(outputs[name] for name in AUXILIARY if name in outputs), strict=True)
        for layer in before:
            named = dict(zip(AUXILIARY.values(), layer, strict=True))
            more = sum(set_prediction.losses(named, targets, self.queries, size))
            parts["auxiliary_loss"] = more + parts.get("auxiliary_loss", 0)  # type: ignore[assignment]
        return parts, targets.counts

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> "list[Boxes]":
        """Return the things found in each image, in pixels of the image as its file has it."""
        from tasks import arrays
        from tasks.vision import boxes

        outputs = self.forward(model, batch) if outputs is None else outputs
        sizes = arrays.to_numpy(batch.targets["sizes"]).tolist()
        places = [(self._placement(*size), *size) for size in sizes]
        found = {name: arrays.to_numpy(outputs[name]) for name in self.output_kinds}
        if self.queries is None:
            return boxes.of_points(found, places)
        exclusive = self.queries.classes == "cross_entropy"
        return boxes.of_queries(found, places, self.size, exclusive)

    def references(self, batch: Batch) -> "Sequence[TrueBoxes]":
        """The things that are in each image, in pixels of the image as its file has it."""
        truth: Sequence[TrueBoxes] = batch.targets["truth"]
        return truth

    def accumulator(self) -> "DetectionMetric":
        """Return an empty accumulator of this task's metrics."""
        from tasks.metrics.detection import DetectionMetric

        return DetectionMetric(len(self.labels))

    def update(self, accumulator: "DetectionMetric", seen: "Evaluated[Boxes]") -> None:
        """Add the predictions of a batch to an accumulator."""
        accumulator.update(seen.batch.ids.cpu().numpy(), seen.predictions, seen.references)

    def errors(self, seen: "Evaluated[Boxes]") -> "Sequence[WrongPrediction]":
        """Return the images in which the boxes of `threshold` or more are not those that there are:
        of other classes, or as many at other places (an overlap below a half); what is found in a
        crowd does not count."""
        import numpy as np

        from tasks.vision.boxes import described, iou

        assert seen.loss.terms is not None
        losses, ids, found = seen.loss.terms.tolist(), seen.batch.ids.tolist(), []
        rows = zip(losses, ids, seen.predictions, seen.references, strict=True)
        for loss, sample, guess, truth in rows:
            sure = guess.scores >= self.threshold
            many = truth.iscrowd
            crowd = np.zeros(len(truth.labels), np.bool_) if many is None else many
            same = truth.labels[:, None] == guess.labels[sure]
            overlaps = iou(truth.boxes, guess.boxes[sure], crowd)
            meets, there = (overlaps >= 0.5) & same, ~crowd
            # as the metric has it: what finds no thing, but lies in a crowd of its class
            counts = meets[there].any(0) | ~meets[crowd].any(0)
            said, true = (
                described(x, self.labels) for x in (guess.labels[sure][counts], truth.labels[there])
            )
            missed = int((~meets[there].any(1)).sum())
            if said != true or missed:
                found.append(
                    (loss, sample, true, said if said != true else f"{said} ({missed} elsewhere)")
                )
        return found

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        from tasks.media.source import name_of

        return name_of(example["media"], row)

    def to_json(self, prediction: "Boxes", top_k: int | None = None) -> dict[str, Any]:
        """Return the things found with a score of `threshold` or more, the surest first.

        `labels` and `scores` are lists of one each; `boxes` are lists of x0, y0, x1 and y1 in
        pixels of the image.

        Args:
            top_k: so many at most.
        """
        sure = (prediction.scores >= self.threshold).nonzero()[0][:top_k]
        return {
            "labels": [self.labels[label] for label in prediction.labels[sure]],
            "scores": [round(score, 4) for score in prediction.scores[sure].tolist()],
            "boxes": [[round(x, 1) for x in box] for box in prediction.boxes[sure].tolist()],
        }
