"""Segmentation by a U-Net: features at several scales on the way down, joined on the way up.

Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", with
padded convolutions, so that a class map is as large as its image, and a norm behind each of them
(Ioffe & Szegedy 2015). `stem_stride` 2 looks at 2 x 2 pixels first, at a quarter of the cost.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutput, SemanticSegmenterOutput
from transformers.utils import can_return_tuple

from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.scratch import activation, drawing


class UnetConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a U-Net; see `zoo.vision.unet_seg.Options`."""

    model_type = "zoo_unet"

    num_channels: int = 3
    image_size: int = 96
    widths: tuple[int, ...] = (16, 32, 64, 128)  # channels at each scale
    stem_stride: int = 1  # pixels of a side that the first layer takes together
    norm: str = "batch"  # "group": no row depends on the others of its batch
    residual: bool = False  # the second convolution of a block adds to the first
    hidden_dropout_prob: float = 0.0
    hidden_act: str = "relu"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"
    semantic_loss_ignore_index: int = 255


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(8, channels)


class UnetBlock(nn.Sequential):
    """Two 3x3 convolutions, each with a norm and an activation; [b, inputs, h, w] to [b, outputs,
    h, w]. Where it is residual, the second adds to what the first gives, before its activation (He
    et al. 2015, "Deep Residual Learning", in a U-Net after Zhang et al. 2018, "Road Extraction by
    Deep Residual U-Net")."""

    def __init__(self, config: UnetConfig, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            _norm(config.norm, outputs),
            activation(config.hidden_act),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            _norm(config.norm, outputs),
            activation(config.hidden_act),
        )
        self.residual = config.residual

    def forward(self, x: Tensor) -> Tensor:
        """Return features [b, outputs, h, w] of x [b, inputs, h, w]."""
        first = self[2](self[1](self[0](x)))
        second = self[4](self[3](first))
        out: Tensor = self[5](first + second if self.residual else second)
        return out


class UnetUp(nn.Module):
    """Twice the height and width, joined with the features of the way down."""

    def __init__(self, config: UnetConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.block = UnetBlock(config, 2 * outputs, outputs)

    def forward(self, x: Tensor, skipped: Tensor) -> Tensor:
        """Return features [b, outputs, 2h, 2w] of x [b, inputs, h, w] and what was skipped [b,
        outputs, 2h, 2w]."""
        joined: Tensor = self.block(torch.cat([skipped, self.up(x)], dim=1))
        return joined


class UnetPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the U-Nets."""

    config_class = UnetConfig
    base_model_prefix = "unet"
    main_input_name = "pixel_values"
    _no_split_modules = ["UnetBlock"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: normal with variance 2 / fan_in for convolutions before an
        activation (He et al. 2015, as Ronneberger et al. have it, section 3.1), torch's default for
        what has a bias; unless `initialization` says otherwise."""
        draw = drawing(self.config)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if draw is not None:
                draw(module.weight)
                if module.bias is not None:
                    module.bias.zero_()
            elif module.bias is None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            else:
                super().initialize(module)
        else:
            super().initialize(module)


class UnetModel(UnetPreTrainedModel):
    """A U-Net from pixels to features of each of them."""

    def __init__(self, config: UnetConfig) -> None:
        super().__init__(config)
        widths, stride = config.widths, config.stem_stride
        self.stem: nn.Module = nn.Identity()
        inputs = config.num_channels
        if stride > 1:
            self.stem = nn.Conv2d(inputs, widths[0], stride, stride=stride)
            inputs = widths[0]
        self.layers = nn.ModuleList(
            UnetBlock(config, before, width)
            for before, width in zip((inputs, *widths[:-1]), widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            UnetUp(config, below, width)
            for width, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Return features [b, widths[0], h / stem_stride, w / stem_stride] of images [b, channels,
        h, w].

        Height and width are multiples of stem_stride * 2 ** (scales - 1). Hidden states are what
        goes into each scale on the way down, before it is pooled, and those features.
        """
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        x = self.stem(pixel_values)
        skipped: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            if states is not None:
                states.append(x)
            x = layer(self.pool(x) if i else x)
            skipped.append(x)
        for up, features in zip(self.up, skipped[-2::-1], strict=True):
            x = up(x, features)
        return BaseModelOutput(last_hidden_state=x, hidden_states=hidden_states(states, x))


class UnetForSemanticSegmentation(UnetPreTrainedModel):
    """A U-Net with a linear head over the features of each pixel."""

    def __init__(self, config: UnetConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.unet = UnetModel(config)
        self.dropout = nn.Dropout2d(config.hidden_dropout_prob)
        stride = config.stem_stride
        self.classifier: nn.Module
        if stride == 1:
            self.classifier = nn.Conv2d(config.widths[0], config.num_labels, 1)
        else:
            self.classifier = nn.ConvTranspose2d(
                config.widths[0], config.num_labels, stride, stride=stride
            )
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> SemanticSegmenterOutput:
        """Return logits [b, labels, h, w]; given `labels`, int64 [b, h, w], the mean cross entropy
        of the pixels that are not `semantic_loss_ignore_index` as well."""
        base = self.unet(
            pixel_values,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(base.last_hidden_state))
        loss = None
        if labels is not None:
            ignored = self.config.semantic_loss_ignore_index
            loss = nn.functional.cross_entropy(logits, labels, ignore_index=ignored)
        return SemanticSegmenterOutput(
            loss=loss, logits=logits, hidden_states=base.hidden_states, attentions=None
        )


register(
    UnetConfig,
    AutoModel=UnetModel,
    AutoModelForSemanticSegmentation=UnetForSemanticSegmentation,
)
