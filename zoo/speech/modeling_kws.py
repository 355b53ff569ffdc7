"""A small convolutional network that tells words or sounds by their log-mel features.

Two convolutions over time and frequency, as in res15 (Tang & Lin 2018), so that a word said higher
or by a longer throat still looks like itself; then residual blocks over time alone, where frequency
has become channels (Choi et al. 2019): a depthwise convolution and two linear layers, as in
ConvNeXt (Liu et al. 2022). Mean and maximum over time are the clip's vector.

Norms are over the channels of one frame, and frames of padding are zero before every convolution
that looks beside its frame. So a clip's result depends on neither its padding nor its neighbours.
Padding on the left is moved to the right.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.utils import can_return_tuple

from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.padding import in_front
from zoo.model.scratch import activation, drawing
from zoo.speech.log_mel import LogMelFeatureExtractor


class KwsConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a keyword classifier; see `zoo.speech.kws_cls.Options`."""

    model_type = "zoo_kws"
    attribute_map = {"num_layers": "num_hidden_layers"}  # noqa: RUF012

    num_mel_bins: int = 40
    stem_channels: tuple[int, int] | list[int] = (24, 48)
    hidden_size: int = 96
    num_hidden_layers: int = 4
    kernel_size: int = 9  # of the depthwise convolutions, in frames of 20 ms; odd
    expansion: int = 2  # width of a block's inner layer in hidden sizes
    hidden_dropout_prob: float = 0.1
    hidden_act: str = "gelu"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"


class KwsStem(nn.Module):
    """Two convolutions over time and frequency, and a linear layer over the results of each frame.

    They halve time once and frequency twice.
    """

    def __init__(self, config: KwsConfig) -> None:
        super().__init__()
        first, second = config.stem_channels
        self.first = nn.Conv2d(1, first, 3, stride=2, padding=1)
        self.second = nn.Conv2d(first, second, 3, stride=(1, 2), padding=1)
        self.projection = nn.Linear(second * -(-config.num_mel_bins // 4), config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.act = activation(config.hidden_act)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the stem to features [batch, frames, bins], of which the first `lengths`, int64
        [batch], are valid.

        Returns vectors [batch, ceil(frames / 2), hidden], and which of them count, bool.
        """
        x = features * _before(lengths, features.shape[1]).unsqueeze(-1)
        x = self.first(x.unsqueeze(1).to(memory_format=torch.channels_last))
        mask = _before((lengths + 1) // 2, x.shape[2])
        x = self.act(x) * mask[:, None, :, None]
        x = self.act(self.second(x))  # [batch, channels, frames, bins / 4]
        return self.norm(self.projection(x.permute(0, 2, 3, 1).flatten(2))), mask


def _before(lengths: Tensor, size: int) -> Tensor:
    """Return a mask of the positions before each length, bool [batch, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


class KwsLayer(nn.Module):
    """One residual block over time."""

    def __init__(self, config: KwsConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.expansion * config.hidden_size
        self.depthwise = nn.Conv1d(
            width, width, config.kernel_size, padding=config.kernel_size // 2, groups=width
        )
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply the block to x [batch, frames, hidden]; mask bool [batch, frames], true at valid
        frames."""
        near = self.depthwise((x * mask.unsqueeze(-1)).transpose(1, 2)).transpose(1, 2)
        inner = self.act(self.up(self.norm(near)))
        return x + self.dropout(self.down(inner))  # type: ignore[no-any-return]


class KwsPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the keyword models."""

    config_class = KwsConfig
    base_model_prefix = "kws"
    main_input_name = "input_features"
    _no_split_modules = ["KwsStem", "KwsLayer"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: He et al. 2015, by fan-in, for convolutions, Glorot &
        Bengio 2010 for linear layers, unless `initialization` says otherwise; biases are 0."""
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            if (draw := drawing(self.config)) is not None:
                draw(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                module.bias.zero_()
        else:
            super().initialize(module)


class KwsModel(KwsPreTrainedModel):
    """A network from log-mel features to states of 20 ms, and their mean and maximum over the
    clip."""

    def __init__(self, config: KwsConfig) -> None:
        super().__init__(config)
        self.stem = KwsStem(config)
        self.layers = nn.ModuleList(KwsLayer(config) for _ in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return states [batch, ceil(frames / 2), hidden] and their pooling [batch, 2 * hidden].

        Args:
            input_features: float [batch, frames, mel bins].
            attention_mask: int64 [batch, frames], 1 at frames and 0 at padding; None: no padding.
                States begin with the first frame that counts, wherever the padding is.
        """
        found = self.hidden_states_list(output_hidden_states, output_attentions)
        features = input_features.to(self.dtype)
        if attention_mask is None:
            lengths = features.new_full(features.shape[:1], features.shape[1], dtype=torch.long)
        else:
            features, lengths = in_front(features, attention_mask)
        x, mask = self.stem(features, lengths)
        for layer in self.layers:
            if found is not None:
                found.append(x)
            x = layer(x, mask)
        x = self.final_norm(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=_pool(x, mask),
            hidden_states=hidden_states(found, x),
        )


def _pool(x: Tensor, mask: Tensor) -> Tensor:
    """Return mean and maximum of x [batch, states, hidden] over states whose mask [batch, states]
    is true."""
    padding = ~mask.unsqueeze(-1)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    mean = (x.float().masked_fill(padding, 0).sum(1) / count).to(x.dtype)
    # A clip of nothing but padding has no maximum: it gets 0.
    least = torch.finfo(x.dtype).min
    top = x.masked_fill(padding, least).amax(1)
    return torch.cat([mean, top.masked_fill(top == least, 0)], -1)


class KwsForAudioClassification(KwsPreTrainedModel):
    """A keyword network with a linear head over its pooled states."""

    def __init__(self, config: KwsConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.loss_type = "ForSequenceClassification"  # older transformers have none for audio
        self.kws = KwsModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(2 * config.hidden_size, config.num_labels)
        self.post_init()

    def _get_feat_extract_output_lengths(self, input_lengths: Tensor) -> Tensor:
        """Return the number of states for a number of frames of features (the name is
        transformers')."""
        return (input_lengths + 1) // 2

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return logits [batch, labels]; given `labels`, transformers' loss for the problem type as
        well.

        Args:
            input_features: float [batch, frames, mel bins].
            attention_mask: int64 [batch, frames], 1 at frames and 0 at padding, wherever it is;
                None: no padding.
            labels: int64 [batch] for single label, float32 [batch, labels] for multi label.
        """
        base = self.kws(
            input_features,
            attention_mask,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        return self.classified(SequenceClassifierOutput, base, labels)


register(
    KwsConfig,
    AutoModel=KwsModel,
    AutoModelForAudioClassification=KwsForAudioClassification,
    AutoFeatureExtractor=LogMelFeatureExtractor,
)
