"""Image classification by a multilayer perceptron: the pixels of an image are one vector; see
`zoo.model.perceptron`."""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    ImageClassifierOutputWithNoAttention,
)
from transformers.utils import can_return_tuple

from tasks.vision.pixels import luma
from zoo.model.modeling import hidden_states, register
from zoo.model.perceptron import PerceptronPreTrainedModel, hidden_layers


class MlpConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a multilayer perceptron; see `zoo.vision.mlp_cls.Options`."""

    model_type = "zoo_mlp"

    num_channels: int = 3  # 1: of images in colour it sees the brightness
    image_size: int = 28
    hidden_sizes: tuple[int, ...] = (128,)  # neurons of each hidden layer; none: a linear model
    hidden_dropout_prob: float = 0.0
    hidden_act: str = "relu"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"


class MlpPreTrainedModel(PerceptronPreTrainedModel):
    """The base class for loading, saving and initialization of the multilayer perceptron."""

    config_class = MlpConfig
    main_input_name = "pixel_values"


class MlpModel(MlpPreTrainedModel):
    """The hidden layers of a multilayer perceptron, from pixels to features."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(config)
        self.layers = hidden_layers(config.num_channels * config.image_size**2, config)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return the features [b, hidden_sizes[-1]] of images [b, channels, h, w].

        A network of one channel takes images of three as well, and sees their brightness. Hidden
        states are the pixels as vectors, and what each layer makes.
        """
        states = self.hidden_states_list(output_hidden_states, output_attentions)
        if pixel_values.shape[1] > self.config.num_channels:
            pixel_values = luma(pixel_values)
        x = pixel_values.flatten(1)
        for layer in self.layers:
            if states is not None:
                states.append(x)
            x = layer(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x, pooler_output=x, hidden_states=hidden_states(states, x)
        )


class MlpForImageClassification(MlpPreTrainedModel):
    """A multilayer perceptron with a linear head over its last hidden layer."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.mlp = MlpModel(config)
        last = (config.num_channels * config.image_size**2, *config.hidden_sizes)[-1]
        self.dropout = nn.Dropout(config.hidden_dropout_prob if config.hidden_sizes else 0.0)
        self.classifier = nn.Linear(last, config.num_labels)
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
        base = self.mlp(
            pixel_values,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        return self.classified(ImageClassifierOutputWithNoAttention, base, labels)


register(MlpConfig, AutoModel=MlpModel, AutoModelForImageClassification=MlpForImageClassification)
