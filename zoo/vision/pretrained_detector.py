"""The network of detr_det: a detector of transformers whose queries predict a set, pretrained or
new."""

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from tasks.vision.image_args import ImageArgs, side_of
from tasks.vision.set_prediction import SetLoss
from zoo.model import own_weights
from zoo.model.loading import PROCESSOR, load_config
from zoo.model.network import Network
from zoo.store import pretrained
from zoo.vision import image_processor
from zoo.vision.image_processor import choose_size, make_processor

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from tasks.vision.set_prediction import ClassLoss
    from zoo.vision.detr_det import Options

STEP = 32  # pixels of a side that the last stage sees as one
SMALLEST = 64  # side of new images in pixels
HEADS = 8
STAGES = 4
STRIDES = (8, 16, 32)  # of the maps that an RT-DETR looks at

KINDS: "dict[str, tuple[ClassLoss, str]]" = {
    "detr": ("cross_entropy", "DetrImageProcessor"),
    "table-transformer": ("cross_entropy", "DetrImageProcessor"),
    "yolos": ("cross_entropy", "YolosImageProcessor"),
    "conditional_detr": ("focal", "ConditionalDetrImageProcessor"),
    "deformable_detr": ("focal", "DeformableDetrImageProcessor"),
    "rt_detr": ("varifocal", "RTDetrImageProcessor"),
    "rt_detr_v2": ("varifocal", "RTDetrImageProcessor"),
}
"""Kinds of networks (`model_type`) that are known: how their classes are learned, and transformers'
class of the processor that reads their outputs so."""


class PretrainedDetector(Network):
    """A detector of transformers."""

    auto_class = "AutoModelForObjectDetection"
    load_processor = staticmethod(image_processor.load_processor)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images; its `set_loss` says how the network's queries learn.

        Raises `UserError` for options that make no network, or weights that are not at hand or of
        another kind.
        """
        if task.args.resize not in (None, "stretch"):
            raise UserError(
                f"`resize` {task.args.resize}: detectors of transformers place their boxes in "
                "stretched images only; leave it out"
            )
        asked = options.image_size
        if asked is not None:
            asked = choose_size(asked, splits["train"], STEP, STEP)
        if options.model == pretrained.NEW:
            _must_make_network(options)
            size = asked or choose_size(None, splits["train"], SMALLEST, STEP)
            _must_have_points(options.num_queries, size)
            plain = make_processor(size, reading=task.args)
            return _of_kind(plain, new_config(options, {}))
        found = pretrained.find(options.model, entry.presets)
        config = load_config(found.folder)
        if config.model_type not in KINDS:
            raise UserError(
                f"{options.model} holds weights of {config.model_type}, and detr_det goes on with "
                f"{', '.join(KINDS)}",
                "model",
            )
        plain = _processor_of_weights(found.folder, options.model, task.args, asked)
        if config.model_type.startswith("rt_detr"):
            _must_have_points(config.num_queries, side_of(plain))
        return _of_kind(plain, config)

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        config = load_config(pretrained.find(options.model, entry.presets).folder)
        names = ("hidden_size", "decoder_layers", "num_queries")
        found = {name: getattr(config, name) for name in names if hasattr(config, name)}
        if hasattr(config, "num_detection_tokens"):  # as YOLOS calls its queries
            found["num_queries"] = config.num_detection_tokens
        backbone: Any = getattr(config, "backbone_config", None)
        if hasattr(backbone, "depths"):
            found["widths"] = tuple(backbone.hidden_sizes)
            if len(set(backbone.depths)) == 1:
                found["depth"] = backbone.depths[0]
        return found

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or new layers of the classes, are drawn from torch's global random state; seed
        it first. All else of a detector is kept: its boxes are those of any class.

        Raises `UserError` where the weights are not at hand or are of another kind.
        """
        from zoo.vision import boxes_alone

        if options.model == pretrained.NEW:
            from transformers import RTDetrForObjectDetection

            model = RTDetrForObjectDetection(new_config(options, task.model_config()))
            _begin_norms(model)
            return boxes_alone.restrict(model), {"model": None, "license": None}
        from transformers import AutoModelForObjectDetection

        found = pretrained.find(options.model, entry.presets)
        settings = task.model_config()
        if hasattr(load_config(found.folder), "num_denoising"):
            # queries that training would draw from a stream of random numbers, not from the sample
            settings["num_denoising"] = 0
        model = own_weights.load_for_labels(
            AutoModelForObjectDetection, found.folder, options.model, **settings
        )
        return boxes_alone.restrict(model), found.source(options.model)

    def load(self, folder: "Path") -> "tuple[nn.Module, Any]":
        """Return model and processor of a checkpoint (`Network.load`), the model with the outputs
        of its task alone."""
        from zoo.vision import boxes_alone

        model, processor = super().load(folder)
        return boxes_alone.restrict(model), processor


def new_config(options: "Options", settings: dict[str, Any]) -> Any:
    """Return the configuration of a new RT-DETR.

    Args:
        settings: fields that the task sets.
    """
    from transformers import RTDetrConfig, RTDetrResNetConfig

    width, widths = options.hidden_size, list(options.widths)
    backbone = RTDetrResNetConfig(
        embedding_size=widths[0],
        hidden_sizes=widths,
        depths=[options.depth] * STAGES,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    return RTDetrConfig(
        backbone_config=backbone,
        freeze_backbone_batch_norms=False,
        encoder_in_channels=widths[1:],
        encoder_hidden_dim=width,
        encoder_ffn_dim=4 * width,
        encoder_attention_heads=HEADS,
        d_model=width,
        decoder_in_channels=[width] * len(STRIDES),
        decoder_ffn_dim=4 * width,
        decoder_layers=options.decoder_layers,
        decoder_attention_heads=HEADS,
        num_queries=options.num_queries,
        num_denoising=0,
        **settings,
    )


def set_loss_of(config: Any) -> SetLoss:
    """Return how the queries of a network learn, from what its configuration says."""
    classes, _ = KINDS[config.model_type]
    if classes == "varifocal":
        return SetLoss(
            classes,
            (config.matcher_class_cost, config.matcher_bbox_cost, config.matcher_giou_cost),
            (config.weight_loss_vfl, config.weight_loss_bbox, config.weight_loss_giou),
            alpha=config.focal_loss_alpha,
            gamma=config.focal_loss_gamma,
            match_alpha=config.matcher_alpha,
            match_gamma=config.matcher_gamma,
        )
    costs = (config.class_cost, config.bbox_cost, config.giou_cost)
    weights = (1.0, config.bbox_loss_coefficient, config.giou_loss_coefficient)
    if classes == "focal":
        return SetLoss(classes, costs, weights, alpha=config.focal_alpha)
    return SetLoss(classes, costs, weights, config.eos_coefficient)


def _of_kind(plain: Any, config: Any) -> Any:
    """Return a processor that reads images as another one does, of the class that reads the outputs
    of a network.

    Args:
        plain: what `zoo.vision.image_processor.make_processor` gave.
    """
    import transformers

    kind = getattr(transformers, KINDS[config.model_type][1])
    settings = plain.to_dict()
    settings.pop(image_processor.KIND, None)
    settings |= {"do_pad": False, "do_normalize": True}
    return kind(**settings, set_loss=dataclasses.asdict(set_loss_of(config)))


def _processor_of_weights(folder: "Path", model: str, args: ImageArgs, size: int | None) -> Any:
    """Return a processor that sees images as that of the weights does, in squares.

    Args:
        model: what the user calls the weights.
        size: side of the squares in pixels; None: that of the weights, or the shorter side where
            they saw oblongs, which is said.

    Raises `UserError` where the folder has none.
    """
    if not (folder / PROCESSOR).is_file():
        raise UserError(f"{model} holds no {PROCESSOR}, which says how it sees images")
    found = image_processor.load_processor(folder)
    before = dict(found.size)
    square = before.get("height") if before.get("height") == before.get("width") else None
    side = size or square or min(x for x in before.values() if x)
    side = -(-side // STEP) * STEP
    if side != square and own_weights.is_first():
        seen = " x ".join(f"{x}" for x in before.values() if x)
        print_lines(
            spelled(
                f"{model}: it saw images of {seen} pixels, and sees squares of {side} here "
                "(`image_size`)"
            ),
            file=sys.stderr,
        )
    plain = not found.do_normalize
    mean, std = ((0, 0, 0), (1, 1, 1)) if plain else (found.image_mean, found.image_std)
    reading = image_processor.reading_of(found)
    named = {n: getattr(args, n) or getattr(reading, n) for n in ("background", "value_range")}
    return make_processor(side, mean, std, ImageArgs(resize="stretch", **named))


def _must_make_network(options: "Options") -> None:
    """Raise `UserError` for options that make no RT-DETR."""
    if len(options.widths) != STAGES:
        shown = " ".join(map(str, options.widths))
        raise UserError(f"`widths` {shown}: the backbone has {STAGES} stages, each with its width")
    if options.hidden_size % HEADS:
        raise UserError(f"`hidden_size` {options.hidden_size}: a multiple of {HEADS}, its heads")


def _must_have_points(queries: int, size: int) -> None:
    """Raise `UserError` where an image has fewer points than there are queries, which begin at
    the best of them."""
    points = sum((size // stride) ** 2 for stride in STRIDES)
    if queries > points:
        raise UserError(
            f"{queries} queries begin at the best points of an image, and one of {size} x {size} "
            f"pixels has {points}: give a larger `image_size`, or new weights fewer `num_queries`"
        )


def _begin_norms(model: "nn.Module") -> None:
    """Let batch norms begin as Ioffe & Szegedy 2015 have it, in place: transformers draws their
    factors around zero, with which nothing passes that is not pretrained."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)


NETWORK = PretrainedDetector()
