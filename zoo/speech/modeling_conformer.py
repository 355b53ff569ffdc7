"""Speech to characters: a Conformer (Gulati et al. 2020) on log-mel features, with a CTC head.

Two convolutions of stride 2 make one frame of four (40 ms); then torchaudio's Conformer layers, and
a linear layer over the vocabulary for connectionist temporal classification (Graves et al. 2006).

torchaudio's layer lets padding in at two places, its depthwise convolution and its group norm over
channels and time. The layers here have its weights, by the same names, and go around that: frames
of padding are zero before the convolution, and the norm counts valid frames only. So each row's
result is what torchaudio's layer (with `use_group_norm`) gives for that row alone (tested). Each
module computes with its own weights only, in its own `forward`, so that adapters and offloading
hooks, which stand in front of one, see every call.

Frames behind the end of an utterance come out as a certain blank, so that neither a loss nor a
decoder needs lengths.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.models import conformer as torchaudio_conformer
from transformers import PreTrainedConfig, Wav2Vec2Processor
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput
from transformers.utils import can_return_tuple

from tasks.speech.decoding import ctc
from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.padding import in_front
from zoo.model.scratch import activation, drawing
from zoo.speech.log_mel import LogMelFeatureExtractor

ACTIVATION = 2  # its place in torchaudio's feed-forward module


class ConformerConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a Conformer; see `zoo.speech.conformer_ctc.Options`."""

    model_type = "zoo_conformer"
    attribute_map = {"num_layers": "num_hidden_layers"}  # noqa: RUF012

    vocab_size: int = 32
    num_mel_bins: int = 80
    hop_length: int = 160  # samples from one frame of features to the next
    subsampling_channels: int = 32
    num_subsampling_layers: int = 2  # each halves the number of frames
    hidden_size: int = 144
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 576
    conv_kernel_size: int = 31  # of the depthwise convolutions, in frames of 40 ms; odd
    hidden_dropout_prob: float = 0.1
    hidden_act: str = "silu"
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"
    ctc_loss_reduction: str = "mean"
    ctc_zero_infinity: bool = True
    pad_token_id: int | None = 0  # the blank of CTC

    @property
    def inputs_to_logits_ratio(self) -> int:
        """The number of samples per frame of logits, by which transformers' pipeline aligns its
        windows."""
        return int(self.hop_length * 2**self.num_subsampling_layers)


def frames_out(frames: Any, layers: int) -> Any:
    """Return how many of `frames` frames (int or int64 tensor) are left after `layers` halvings."""
    for _ in range(layers):
        frames = (frames - 1) // 2 + 1
    return frames


class Subsampling(nn.Module):
    """Convolutions of stride 2 over time and frequency, and a linear layer to the model's width."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        channels = config.subsampling_channels
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels if i else 1, channels, 3, stride=2, padding=1)
            for i in range(config.num_subsampling_layers)
        )
        bins = frames_out(config.num_mel_bins, config.num_subsampling_layers)
        self.projection = nn.Linear(channels * bins, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, features: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Subsample features [batch, frames, bins], of which the first `lengths`, int64 [batch],
        are valid (None: all).

        Returns vectors [batch, fewer frames, hidden], and which of them count, bool.
        """
        x = features.unsqueeze(1).to(memory_format=torch.channels_last)  # [batch, 1, frames, bins]
        for convolution in self.convolutions:
            if lengths is not None:
                x = x * _before(lengths, x.shape[2])[:, None, :, None]
                lengths = frames_out(lengths, 1)
            x = self.act(convolution(x))
        x = self.projection(x.permute(0, 2, 3, 1).flatten(2))
        return self.dropout(x), None if lengths is None else _before(lengths, x.shape[1])


def _before(lengths: Tensor, size: int) -> Tensor:
    """Return a mask of the positions before each length, bool [batch, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


class SelfAttention(nn.MultiheadAttention):
    """Self-attention, batch first, which computes what torch's does in fewer steps."""

    def forward(  # type: ignore[override]
        self, x: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, None]:
        """Apply self-attention to x [batch, frames, hidden]; valid bool [batch, frames], at least
        one per row; None: all.

        Returns the same shape, and no attention weights, as torch's would (adapters expect two).
        """
        parts = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts.chunk(3, -1)
        )  # [batch, heads, frames, head size]
        y = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if valid is None else valid[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(y.transpose(1, 2).flatten(2)), None


class MaskedGroupNorm(nn.GroupNorm):
    """A group norm of one group, whose statistics are computed over valid frames in float32."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Normalize x [batch, channels, frames]; valid bool [batch, 1, frames]; None: torch's group
        norm."""
        if valid is None:
            return super().forward(x)
        exact = x.float()
        padding = ~valid
        # counted in floats: OpenVINO makes nan of a whole number that a float is divided by
        count = x.shape[1] * valid.to(exact.dtype).sum((1, 2), keepdim=True)
        mean = exact.masked_fill(padding, 0).sum((1, 2), keepdim=True) / count
        centred = exact - mean
        variance = centred.masked_fill(padding, 0).square().sum((1, 2), keepdim=True) / count
        scaled = centred * torch.rsqrt(variance + self.eps)
        return (scaled * self.weight.unsqueeze(-1) + self.bias.unsqueeze(-1)).to(x.dtype)


class MaskedSequential(nn.Sequential):
    """The steps of the convolution module; its depthwise convolution and norm ignore invalid
    frames."""

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:  # type: ignore[override]
        """Apply the steps to x [batch, hidden, frames]; valid bool [batch, 1, frames]; None:
        all."""
        widen, gate, depthwise, norm, activation, narrow, dropout = self
        x = gate(widen(x))
        x = norm(depthwise(x if valid is None else x * valid), valid)
        return dropout(narrow(activation(x)))  # type: ignore[no-any-return]


class ConvolutionModule(torchaudio_conformer._ConvolutionModule):  # type: ignore[misc]
    """torchaudio's convolution module, made independent of padding."""

    def __init__(self, config: ConformerConfig) -> None:
        width = config.hidden_size
        super().__init__(
            width,
            width,
            config.conv_kernel_size,
            config.hidden_dropout_prob,
            bias=True,
            use_group_norm=True,
        )
        widen, gate, depthwise, _, _, *rest = self.sequential.children()
        between = MaskedGroupNorm(1, width), activation(config.hidden_act)
        self.sequential: nn.Module = MaskedSequential(widen, gate, depthwise, *between, *rest)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Apply the module to x [batch, frames, hidden]; valid bool [batch, frames], at least one
        per row; None: all."""
        among = None if valid is None else valid.unsqueeze(1)
        y: Tensor = self.sequential(self.layer_norm(x).transpose(1, 2), among)
        return y.transpose(1, 2)


def _feed_forward(config: ConformerConfig) -> nn.Module:
    """Return torchaudio's feed-forward module with the activation of the config."""
    width, inner, p = config.hidden_size, config.intermediate_size, config.hidden_dropout_prob
    feed_forward: nn.Module = torchaudio_conformer._FeedForwardModule(width, inner, dropout=p)
    steps: Any = feed_forward.sequential
    steps[ACTIVATION] = activation(config.hidden_act)
    return feed_forward


class ConformerLayer(nn.Module):
    """torchaudio's Conformer layer, batch first, made independent of padding."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        width, p = config.hidden_size, config.hidden_dropout_prob
        self.ffn1 = _feed_forward(config)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn = SelfAttention(width, config.num_attention_heads, dropout=p)
        self.self_attn_dropout = nn.Dropout(p)
        self.conv_module = ConvolutionModule(config)
        self.ffn2 = _feed_forward(config)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Apply the layer to x [batch, frames, hidden]; valid bool [batch, frames], at least one
        per row; None: all."""
        x = x + 0.5 * self.ffn1(x)
        attended, _ = self.self_attn(self.self_attn_layer_norm(x), valid)
        x = x + self.self_attn_dropout(attended)
        x = x + self.conv_module(x, valid)
        x = x + 0.5 * self.ffn2(x)
        return self.final_layer_norm(x)  # type: ignore[no-any-return]


class ConformerPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the Conformer models."""

    config_class = ConformerConfig
    base_model_prefix = "conformer"
    main_input_name = "input_features"
    _no_split_modules = ["ConformerLayer"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: Glorot & Bengio 2010 for linear layers, with attention's
        three as separate matrices; He et al. 2015, by fan-in, for convolutions, unless
        `initialization` says otherwise; biases are 0."""
        draw = drawing(self.config)
        if isinstance(module, nn.MultiheadAttention):
            for part in module.in_proj_weight.chunk(3):
                (draw or nn.init.xavier_uniform_)(part)
            module.in_proj_bias.zero_()
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            if draw is not None:
                draw(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                module.bias.zero_()
        else:
            super().initialize(module)

    def _get_feat_extract_output_lengths(self, input_lengths: Any) -> Any:
        """Return the number of frames of logits for a number of frames of features (int or int64
        tensor)."""
        return frames_out(input_lengths, self.config.num_subsampling_layers)


class ConformerModel(ConformerPreTrainedModel):
    """A Conformer encoder from log-mel features to states, each of 40 ms."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__(config)
        self.subsampling = Subsampling(config)
        self.layers = nn.ModuleList(ConformerLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Return states [batch, ceil(frames / 4), hidden].

        Args:
            input_features: float [batch, frames, mel bins].
            attention_mask: int64 [batch, frames], 1 at frames and 0 at padding; None: no padding.
                States begin with the first frame that counts, wherever the padding is.
        """
        found = self.hidden_states_list(output_hidden_states, output_attentions)
        x, lengths = input_features.to(self.dtype), None
        if attention_mask is not None:
            x, lengths = in_front(x, attention_mask)
            lengths = lengths.clamp(min=1)  # a row of nothing but padding has a frame to attend to
        x, valid = self.subsampling(x, lengths)
        for layer in self.layers:
            if found is not None:
                found.append(x)
            x = layer(x, valid)
        return BaseModelOutput(last_hidden_state=x, hidden_states=hidden_states(found, x))


class ConformerForCTC(ConformerPreTrainedModel):
    """A Conformer with a linear head over the vocabulary."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__(config)
        self.conformer = ConformerModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.ctc_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutput:
        """Return logits [batch, ceil(frames / 4), vocab]; given `labels`, the CTC loss as well.

        Args:
            input_features: float [batch, frames, mel bins].
            attention_mask: int64 [batch, frames], 1 at frames and 0 at padding; None: no padding.
                Logits begin with the first frame that counts, wherever the padding is.
            labels: int64 [batch, targets], -100 at padding. A target longer than its frames allow
                adds nothing to the loss (`ctc_zero_infinity`).
        """
        base = self.conformer(
            input_features,
            attention_mask,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = self.ctc_head(self.dropout(base.last_hidden_state))
        if attention_mask is not None:
            frames = self._get_feat_extract_output_lengths((attention_mask != 0).sum(1))
            logits = ctc.mask_frames(logits, frames, self.config.pad_token_id)
        loss = None
        if labels is not None:
            how = self.config.pad_token_id, self.config.ctc_loss_reduction
            loss = ctc.mean_loss(logits, labels, *how)
        return CausalLMOutput(loss=loss, logits=logits, hidden_states=base.hidden_states)


register(
    ConformerConfig,
    AutoModel=ConformerModel,
    AutoModelForCTC=ConformerForCTC,
    AutoFeatureExtractor=LogMelFeatureExtractor,
    AutoProcessor=Wav2Vec2Processor,  # a feature extractor, whichever, and a tokenizer
)
