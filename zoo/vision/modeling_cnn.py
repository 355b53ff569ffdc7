"""Image classification by a small convolutional network with residual blocks.

He et al. 2016, "Deep Residual Learning for Image Recognition", in the small: a stage is `depth`
blocks of two 3x3 convolutions with a shortcut; between stages the image is halved by max pooling
and the width grows.
"""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    ImageClassifierOutputWithNoAttention,
)
from transformers.utils import can_return_tuple

from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.scratch import activation, drawing


class CnnConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a small convolutional network; see `zoo.vision.cnn_cls.Options`."""

    model_type = "zoo_cnn"

    num_channels: int = 3
    image_size: int = 28
    widths: tuple[int, ...] = (32, 64, 128)  # channels of each stage
    depth: int = 1  # residual blocks of a stage
    norm: str = "batch"  # "group": no row depends on the others of its batch
    hidden_dropout_prob: float = 0.0
    hidden_act: str = "relu"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(8, channels)


class CnnBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; [b, inputs, h, w] to [b, outputs, h, w]."""

    def __init__(self, inputs: int, outputs: int, norm: str, hidden_act: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = _norm(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(norm, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.act = activation(hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [b, outputs, h, w] of x [b, inputs, h, w]."""
        y = self.act(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        out: Tensor = self.act(y + self.shortcut(x))
        return out


class CnnPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the convolutional models."""

    config_class = CnnConfig
    base_model_prefix = "cnn"
    main_input_name = "pixel_values"
    _no_split_modules = ["CnnBlock"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: normal with variance 2 / fan_out for convolutions (He et
        al. 2015, section 2.2), torch's default for the head, both unless `initialization` says
        otherwise; the last norm of a block starts at 0 (Goyal et al. 2017, section 5.1)."""
        draw = drawing(self.config)
        if isinstance(module, nn.Conv2d):
            if draw is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            else:
                draw(module.weight)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Linear) and draw is not None:
            draw(module.weight)
            module.bias.zero_()
        elif isinstance(module, CnnBlock):
            nn.init.zeros_(module.norm2.weight)  # type: ignore[arg-type]
        else:
            super().initialize(module)


class CnnModel(CnnPreTrainedModel):
    """A convolutional network from pixels to a feature map and its mean."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config)
        first = config.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(config.num_channels, first, 3, padding=1, bias=False),
            _norm(config.norm, first),
            activation(config.hidden_act),
        )
        inputs = (first, *config.widths[:-1])
        self.layers = nn.ModuleList(
            nn.Sequential(
                *(
                    CnnBlock(width_in if i == 0 else width, width, config.norm, config.hidden_act)
                    for i in range(config.depth)
                )
            )
            for width_in, width in zip(inputs, config.widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return the feature map [b, widths[-1], h', w'] of images [b, channels, h, w], and its
        mean [b, widths[-1]].

        Any h and w from 2 ** (stages - 1) on. Hidden states are the maps of stem and stages.
        """
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        x = self.stem(pixel_values)
        for i, layer in enumerate(self.layers):
            if states is not None:
                states.append(x)
            x = layer(self.pool(x) if i else x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=x.mean((2, 3)),
            hidden_states=hidden_states(states, x),
        )


class CnnForImageClassification(CnnPreTrainedModel):
    """A convolutional network with a linear head over its pooled features."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.cnn = CnnModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.widths[-1], config.num_labels)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> ImageClassifierOutputWithNoAttention:
        """Return logits [b, labels]; given `labels`, transformers' loss for the problem type as
        well."""
        base = self.cnn(
            pixel_values,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        return self.classified(ImageClassifierOutputWithNoAttention, base, labels)


register(CnnConfig, AutoModel=CnnModel, AutoModelForImageClassification=CnnForImageClassification)
