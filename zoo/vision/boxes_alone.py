"""Detectors of transformers, restricted to what the task of detection reads of them.

They give states and proposals as well, which no program needs, and the boxes of their inner layers
only to the loss of transformers. Here a model gives `logits` and `pred_boxes`, and in training,
where its configuration has `auxiliary_loss`, those of the layers before the last.
"""

import sys
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

WITHOUT = ("yolos",)
"""Kinds of networks whose inner layers make no boxes, whatever their configuration says."""


@dataclass
class SetOutput(ModelOutput):  # type: ignore[misc]
    """What the queries of a detector predict."""

    logits: Tensor | None = None  # [b, queries, classes]
    pred_boxes: Tensor | None = None  # [b, queries, 4]: centre, width and height as shares
    auxiliary_logits: Tensor | None = None  # [layers, b, queries, classes]
    auxiliary_boxes: Tensor | None = None  # [layers, b, queries, 4]


def restrict(model: Any) -> nn.Module:
    """Return a detector of transformers whose forward gives a `SetOutput`; changed in place. Its
    weights and how they are saved stay the same."""
    model.forward = _BoxesAlone(model)
    # RT-DETR asks for the `len` of a tensor: a number, and so a batch of one size in every program
    vars(sys.modules[type(model).__module__])["len"] = _length
    model.loss_function = _inner_layers
    restricted: nn.Module = model
    return restricted


def _length(sized: Sized) -> int:
    """Return what `len` does; of a tensor that is traced a size that may vary."""
    return sized.shape[0] if isinstance(sized, Tensor) else len(sized)


class _BoxesAlone:
    """The forward of a model; an object, so that a copy of the model calls the copy's weights."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, pixel_values: Tensor, **kwargs: Any) -> SetOutput:
        model, config = self.model, self.model.config
        inner = model.training and config.auxiliary_loss and config.model_type not in WITHOUT
        # any labels make a model compute the boxes of its inner layers, and call `loss_function`
        more: dict[str, Any] = {"labels": []} if inner else {}
        found = type(model).forward(model, pixel_values, **kwargs, **more)
        output = SetOutput(logits=found.logits, pred_boxes=found.pred_boxes)
        if inner:
            output.auxiliary_logits, output.auxiliary_boxes = found.auxiliary_outputs
        return output


def _inner_layers(
    logits: Tensor,
    labels: Any,
    device: Any,
    pred_boxes: Tensor,
    config: Any,
    outputs_class: Tensor,
    outputs_coord: Tensor,
    enc_topk_logits: Tensor | None = None,
    enc_topk_bboxes: Tensor | None = None,
    **kwargs: Any,
) -> tuple[None, None, tuple[Tensor, Tensor]]:
    """Take the place of a loss of transformers: return no loss, and what the layers before the last
    predict, with the encoder's proposals where queries begin with them.

    Args:
        outputs_class, outputs_coord: of all layers, [layers, b, queries, ...], or [b, layers, ...]
            of models with proposals.
        enc_topk_logits, enc_topk_bboxes: the proposals, [b, queries, ...].
    """
    if enc_topk_logits is None or enc_topk_bboxes is None:
        return None, None, (outputs_class[:-1], outputs_coord[:-1])
    inner = (
        torch.cat([layers[:, :-1].transpose(0, 1), proposed[None]])
        for layers, proposed in (
            (outputs_class, enc_topk_logits),
            (outputs_coord, enc_topk_bboxes),
        )
    )
    return None, None, tuple(inner)  # type: ignore[return-value]
