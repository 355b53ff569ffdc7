"""The network of segformer_seg: a segmentation model of transformers, pretrained or new."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision.image_args import side_of
from zoo.model import own_weights
from zoo.model.loading import PROCESSOR, load_config
from zoo.model.network import Network
from zoo.store import pretrained
from zoo.vision import image_processor
from zoo.vision.image_processor import choose_size, make_processor, segmentation_processor

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.segformer_seg import Options

STEP = 32  # pixels of a side that the last stage sees as one
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as all SegFormers have
STAGES = 4
HEADS = (1, 2, 5, 8)
"""Attention heads of the stages of every SegFormer (Xie et al. 2021, table 6)."""


class PretrainedSegmenter(Network):
    """A segmentation model of transformers."""

    auto_class = "AutoModelForSemanticSegmentation"
    load_processor = staticmethod(image_processor.load_processor)

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images.

        Raises `UserError` for options that make no network, or weights that are not at hand.
        """
        reading = task.args  # type: ignore[attr-defined]
        if options.model == pretrained.NEW:
            _must_be_widths(options.widths)
            size = choose_size(options.image_size, splits["train"], STEP, STEP)
            return segmentation_processor(make_processor(size, MEAN, STD, reading))
        found = pretrained.find(options.model, entry.presets)
        own = image_processor.processor_of_weights(found.folder, reading)
        if own is None:
            raise UserError(f"{options.model} holds no {PROCESSOR}, which says how it sees images")
        size = side_of(own)
        if options.image_size is not None:
            size = choose_size(options.image_size, splits["train"], STEP, STEP)
        seen = image_processor.reading_of(own)
        return segmentation_processor(make_processor(size, own.image_mean, own.image_std, seen))

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`); of
        other networks than SegFormers nothing is known."""
        if options.model == pretrained.NEW:
            return {}
        config = load_config(pretrained.find(options.model, entry.presets).folder)
        if config.model_type != "segformer":
            return {}
        found = {"widths": tuple(config.hidden_sizes), "decoder_width": config.decoder_hidden_size}
        return found | ({"depth": config.depths[0]} if len(set(config.depths)) == 1 else {})

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand or are of no segmentation model.
        """
        if options.model == pretrained.NEW:
            from transformers import SegformerConfig, SegformerForSemanticSegmentation

            config = SegformerConfig(
                hidden_sizes=list(options.widths),
                depths=[options.depth] * STAGES,
                num_attention_heads=list(HEADS),
                decoder_hidden_size=options.decoder_width,
                **task.model_config(),
            )
            return SegformerForSemanticSegmentation(config), {"model": None, "license": None}
        from transformers import AutoModelForSemanticSegmentation

        found = pretrained.find(options.model, entry.presets)
        model = own_weights.load_for_labels(
            AutoModelForSemanticSegmentation, found.folder, options.model, **task.model_config()
        )
        return model, found.source(options.model)


def _must_be_widths(widths: tuple[int, ...]) -> None:
    """Raise `UserError` for widths that make no SegFormer."""
    shown = " ".join(map(str, widths))
    if len(widths) != STAGES:
        raise UserError(f"`widths` {shown}: a SegFormer has {STAGES} stages, each with its width")
    for width, heads in zip(widths, HEADS, strict=True):
        if width % heads:
            raise UserError(f"`widths` {shown}: {width} is no multiple of {heads}, its heads")


NETWORK = PretrainedSegmenter()
