"""The network of cnn_cls: a small convolutional classifier with new weights."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision.image_args import side_of
from zoo.model.loading import load_model
from zoo.speedups.fast_dropout import replace_dropout
from zoo.vision.image_processor import choose_size, load_processor
from zoo.vision.image_processor import make_processor as new_processor
from zoo.vision.modeling_cnn import CnnConfig, CnnForImageClassification
from zoo.vision.narrow_cnn import narrow, widths

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.cnn_cls import Options

__all__ = ["load", "longest", "make", "make_processor", "narrow", "speed_up", "widths"]


def make_processor(
    options: "Options", task: "Task", examples: "datasets.DatasetDict", entry: Any
) -> Any:
    """A processor for the size that was asked for, or that of the training images.

    Raises `UserError` for options that make no network.
    """
    if len(options.widths) < 1 or min(options.widths) < 8 or any(w % 8 for w in options.widths):
        raise UserError(f"--widths {' '.join(map(str, options.widths))}: multiples of 8")
    if options.depth < 1:
        raise UserError(f"--depth {options.depth}: at least 1")
    smallest = 2 ** (len(options.widths) - 1)
    size = choose_size(options.image_size, examples["train"], max(8, smallest), 4)
    return new_processor(size, reading=task.args)  # type: ignore[attr-defined]


def longest(options: "Options", processor: Any, entry: Any) -> int:
    """Pixels of an input."""
    return side_of(processor) ** 2


def make(
    options: "Options", task: "Task", processor: Any, entry: Any
) -> tuple["nn.Module", dict[str, Any]]:
    """The model in fp32 with weights drawn from torch's global random state; seed it first."""
    config = CnnConfig(
        image_size=side_of(processor),
        widths=options.widths,
        depth=options.depth,
        norm=options.norm,
        hidden_dropout_prob=options.cnn_dropout,
        **task.model_config(),
    )
    return CnnForImageClassification(config), {"model": None, "license": None}


def speed_up(model: Any, train: Any) -> None:
    """The faster but equal training code."""
    replace_dropout(model)


def load(folder: "Path") -> tuple["nn.Module", Any]:
    """The model and processor of a checkpoint."""
    from transformers import AutoModelForImageClassification

    return load_model(AutoModelForImageClassification, folder), load_processor(folder)
