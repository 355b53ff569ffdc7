"""Object detection without anchors: classes and boxes at the points of a feature pyramid.

Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection", on a backbone of timm with
the feature pyramid of Lin et al. 2017, "Feature Pyramid Networks for Object Detection". Two towers
of convolutions, the same ones at all levels, give at each point the logits of the classes, the
distances to the four sides of a box, and how near the point is to its centre (centerness).

Outputs are plain tensors, so that a program of it needs no custom operator: boxes are sorted and
suppressed by `tasks.vision.detection`. A distance is the softplus of what is computed where the
paper has an exponential: it grows linearly, so that rounding does not grow with the box.
"""

import math
from dataclasses import dataclass
from typing import Any

import timm
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput, can_return_tuple

from tasks.vision import points
from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.vision.fcos_processor import FcosImageProcessor

GROUPS = 8  # of the group norms
PRIOR = 0.01  # probability of a class at a point before training (Lin et al. 2017, section 4.1)


class FcosConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of an anchor-free detector; see `zoo.vision.fcos_det.Options`."""

    model_type = "zoo_fcos"

    num_channels: int = 3
    image_size: int = 128
    architecture: str = "resnet18"  # timm's name of the backbone
    backbone_args: dict[str, Any] | None = None  # timm's arguments besides the architecture
    strides: tuple[int, ...] = (8, 16, 32)  # pixels between the points of each level
    hidden_size: int = 64  # channels of the pyramid and the towers
    head_layers: int = 2  # convolutions of a tower
    initializer_range: float = 0.01  # of the towers, as in the paper


@dataclass
class FcosModelOutput(ModelOutput):  # type: ignore[misc]
    """The feature pyramid of a detector."""

    last_hidden_state: Tensor | None = None  # [b, hidden_size, h / stride, w / stride]: the finest
    feature_maps: tuple[Tensor, ...] | None = None  # of each level, the finest first
    hidden_states: tuple[Tensor, ...] | None = None  # of each level before its convolution


@dataclass
class FcosOutput(ModelOutput):  # type: ignore[misc]
    """What a detector predicts at each point, and its loss."""

    loss: Tensor | None = None  # a mean over the points that learn a box
    logits: Tensor | None = None  # [b, points, classes]
    boxes_xyxy: Tensor | None = None  # float32 [b, points, 4]: corners in pixels of the input
    centerness: Tensor | None = None  # [b, points, 1]: a logit
    hidden_states: tuple[Tensor, ...] | None = None


class FcosPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the detector."""

    config_class = FcosConfig
    base_model_prefix = "fcos"
    main_input_name = "pixel_values"
    _no_split_modules = ["FcosTower"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module.

        He's normal by fan-out in the backbone, whose blocks begin as shortcuts (He et al. 2015,
        section 2.2; Goyal et al. 2017, section 5.1), his uniform by fan-in in the pyramid, and in
        the head a normal with `initializer_range`; its classes begin with the probability `PRIOR`.
        """
        if isinstance(module, FcosScale):
            module.scale.fill_(1.0)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                module.bias.zero_()
        elif hasattr(module, "zero_init_last"):  # a residual block of timm
            module.zero_init_last()  # type: ignore[operator]
        elif isinstance(module, FcosModel):
            for convolution in (*module.laterals, *module.layers):
                nn.init.kaiming_uniform_(convolution.weight, a=1)
        elif isinstance(module, FcosTower | FcosForObjectDetection):
            for convolution in module.children():
                if isinstance(convolution, nn.Conv2d):
                    nn.init.normal_(convolution.weight, std=self.config.initializer_range)
            if isinstance(module, FcosForObjectDetection):
                assert module.classifier.bias is not None and module.distances.bias is not None
                nn.init.constant_(module.classifier.bias, -math.log((1 - PRIOR) / PRIOR))
                nn.init.constant_(module.distances.bias, 1.0)
        else:
            super().initialize(module)


def _same_size(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps height and width."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


class FcosScale(nn.Module):
    """A factor of the distances of one level, learned."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the factor."""
        return x * self.scale


class FcosBackbone(nn.Module):
    """A network of timm up to its feature maps."""

    def __init__(self, config: FcosConfig) -> None:
        """Make the network; raises ValueError for one that has no map of a stride."""
        super().__init__()
        self.body: Any = timm.create_model(
            config.architecture,
            pretrained=False,
            in_chans=config.num_channels,
            **(config.backbone_args or {}),
        )
        found = {one["reduction"]: i for i, one in enumerate(self.body.feature_info)}
        missing = [stride for stride in config.strides if stride not in found]
        if missing or len(found) < len(self.body.feature_info):
            raise ValueError(f"{config.architecture} has no feature maps of strides 8, 16 and 32")
        self.stages = [found[stride] for stride in config.strides]
        self.widths = [int(self.body.feature_info[i]["num_chs"]) for i in self.stages]
        self.body.prune_intermediate_layers(self.stages, prune_norm=True)

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """Return the maps of images [b, channels, h, w], the finest first."""
        maps: list[Tensor] = self.body.forward_intermediates(
            pixel_values, indices=self.stages, intermediates_only=True
        )
        return maps


class FcosModel(FcosPreTrainedModel):
    """A backbone and its feature pyramid: pixels to maps of one width at several strides."""

    def __init__(self, config: FcosConfig) -> None:
        """Make the network; raises ValueError for a backbone without such maps."""
        super().__init__(config)
        self.backbone = FcosBackbone(config)
        width = config.hidden_size
        self.laterals = nn.ModuleList(
            nn.Conv2d(inputs, width, 1) for inputs in self.backbone.widths
        )
        # from the coarsest to the finest, as they are computed
        self.layers = nn.ModuleList(_same_size(width, width) for _ in config.strides)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> FcosModelOutput:
        """Return the pyramid of images [b, channels, h, w]: a map [b, hidden_size, h / stride, w /
        stride] for each stride, rounded up."""
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        maps: list[Tensor] = []
        above: Tensor | None = None
        sides = zip(self.laterals, self.backbone(pixel_values), strict=True)
        for layer, (lateral, stage) in zip(self.layers, reversed(list(sides)), strict=True):
            x = lateral(stage)
            if above is not None:
                x = x + F.interpolate(above, size=x.shape[2:], mode="nearest")
            if states is not None:
                states.append(x)
            above = x
            maps.append(layer(x))
        return FcosModelOutput(
            last_hidden_state=maps[-1],
            feature_maps=tuple(reversed(maps)),
            hidden_states=hidden_states(states, maps[-1]),
        )


class FcosTower(nn.Sequential):
    """Convolutions with group norm that keep width and size; [b, width, h, w]."""

    def __init__(self, width: int, layers: int) -> None:
        parts: list[nn.Module] = []
        for _ in range(layers):
            parts += [_same_size(width, width, bias=False), nn.GroupNorm(GROUPS, width)]
            parts += [nn.ReLU(inplace=True)]
        super().__init__(*parts)


class FcosForObjectDetection(FcosPreTrainedModel):
    """A feature pyramid with a head that predicts classes and boxes at each of its points."""

    def __init__(self, config: FcosConfig) -> None:
        """Make the network; raises ValueError for a backbone without maps of these strides."""
        super().__init__(config)
        width = config.hidden_size
        self.fcos = FcosModel(config)
        self.class_tower = FcosTower(width, config.head_layers)
        self.box_tower = FcosTower(width, config.head_layers)
        self.classifier = _same_size(width, config.num_labels)
        self.distances = _same_size(width, 4)
        self.centerness = _same_size(width, 1)
        self.scales = nn.ModuleList(FcosScale() for _ in config.strides)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        labels: list[dict[str, Tensor]] | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> FcosOutput:
        """Predict a class, a box and its centerness at every point of the pyramid.

        Args:
            pixel_values: float [b, channels, h, w].
            labels: of each image `class_labels` int64 [n] and `boxes` float32 [n, 4]: centre, width
                and height as shares of the image, as transformers' other detectors take them.
        """
        base = self.fcos(
            pixel_values,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        height, width = pixel_values.shape[2:]
        where = points.grid(height, width, self.config.strides, pixel_values)
        levels = [self._level(x, i) for i, x in enumerate(base.feature_maps)]
        logits, sides, centerness = (torch.cat(part, 1) for part in zip(*levels, strict=True))
        xy, stride = where[:, :2], where[:, 2:]
        reach = F.softplus(sides.float()) * stride  # to the left, top, right and bottom, in pixels
        output = FcosOutput(
            logits=logits,
            boxes_xyxy=torch.cat([xy - reach[..., :2], xy + reach[..., 2:]], -1),
            centerness=centerness,
            hidden_states=base.hidden_states,
        )
        if labels is not None:
            output.loss = self._loss(output, where, labels, height, width)
        return output

    def _level(self, x: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, distances and centerness of one level, each [b, points, values]."""
        of_class, of_box = self.class_tower(x), self.box_tower(x)
        parts = (
            self.classifier(of_class),
            self.scales[level](self.distances(of_box)),
            self.centerness(of_box),
        )
        logits, sides, centre = (part.flatten(2).transpose(1, 2) for part in parts)
        return logits, sides, centre

    def _loss(
        self,
        output: FcosOutput,
        where: Tensor,
        labels: list[dict[str, Tensor]],
        height: int,
        width: int,
    ) -> Tensor:
        size = where.new_tensor([width, height])
        boxes = []
        for one in labels:
            centre, sides = one["boxes"][:, :2] * size, one["boxes"][:, 2:] * size
            boxes.append(torch.cat([centre - sides / 2, centre + sides / 2], 1))
        classes = [one["class_labels"] for one in labels]
        crowd = [torch.zeros_like(one, dtype=torch.bool) for one in classes]
        targets = points.assign(where, self.config.strides, boxes, classes, crowd)
        total = sum(part.sum() for part in points.losses(output, where, targets).values())
        loss: Tensor = total / points.counts(targets).sum()
        return loss


transformers.AutoImageProcessor.register(
    FcosConfig, image_processor_classes={"torchvision": FcosImageProcessor}, exist_ok=True
)
register(FcosConfig, AutoModel=FcosModel, AutoModelForObjectDetection=FcosForObjectDetection)
