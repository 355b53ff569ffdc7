"""Speech to characters while it is spoken: a causal network of dilated, gated convolutions on
log-mel features, with a CTC head.

The convolutions are WaveNet's (van den Oord et al. 2016, "WaveNet: A Generative Model for Raw
Audio"): each layer sees a few frames of the past, whose distance doubles from layer to layer and
begins again after a cycle; tanh times sigmoid gates them; one part goes on to the next layer, and
one, past all others, to the head. In front of each layer a layer norm over the channels of a frame
makes training short. No layer sees a frame that comes later.

A network in evaluation mode, in fp32 on the CPU and without gradients, computes an utterance in
chunks of `chunk_frames`, one after the other (`StreamForCTC.in_chunks`), and carries the last
frames of each layer from one to the next: that is what a stream does (`StreamForCTC.step`), so a
stream's logits are those of the whole recording to the last bit, whatever else is in the batch.
Matrix products of other sizes may round otherwise; in chunks they have one size. Everywhere else
(training, bf16, a GPU, an exported program) all frames go through a layer together, which is faster
and differs by rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, Wav2Vec2Processor
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput
from transformers.utils import can_return_tuple

from tasks.speech.decoding import ctc
from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.padding import in_front
from zoo.model.scratch import drawing
from zoo.speech.log_mel import LogMelFeatureExtractor

FIRST_BIAS = 0.1
"""Standard deviation of the first bias: small beside features, which have one of 1."""
State = tuple[Tensor, ...]
"""What a stream has heard: for each layer the last frames that it was fed, float32 [batch, frames,
hidden]."""


class StreamConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a causal network; see `zoo.speech.stream_ctc.Options`."""

    model_type = "zoo_stream"
    attribute_map = {"num_layers": "num_hidden_layers"}  # noqa: RUF012

    vocab_size: int = 32
    num_mel_bins: int = 80
    hop_length: int = 160  # samples from one frame of features to the next
    stacked_frames: int = 4  # of features that make one frame of the network
    chunk_frames: int = 8  # of features that a stream computes at once; a multiple of the above
    hidden_size: int = 160
    num_hidden_layers: int = 8
    conv_kernel_size: int = 3  # frames that a layer sees
    cycle: int = 4  # layers whose dilations double, 1, 2, 4, 8, before they begin again
    hidden_dropout_prob: float = 0.0
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"
    ctc_loss_reduction: str = "mean"
    ctc_zero_infinity: bool = True
    pad_token_id: int | None = 0  # the blank of CTC

    @property
    def inputs_to_logits_ratio(self) -> int:
        """The number of samples per frame of logits, by which transformers' pipeline aligns its
        windows."""
        return int(self.hop_length * self.stacked_frames)


class GatedLayer(nn.Module):
    """A causal convolution with a dilation, gated, with a residual and a skip connection.

    The convolution is a matrix product of the frames that it sees, side by side.
    """

    def __init__(self, config: StreamConfig, dilation: int) -> None:
        super().__init__()
        width, self.dilation, self.taps = config.hidden_size, dilation, config.conv_kernel_size
        self.norm = nn.LayerNorm(width)
        self.gates = nn.Linear(self.taps * width, 2 * width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.out = nn.Linear(width, 2 * width)

    @property
    def past(self) -> int:
        """The number of frames before a frame that the layer looks back."""
        return (self.taps - 1) * self.dilation

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Apply the layer to x [batch, frames, hidden].

        Args:
            past: the normed frames before x, [batch, `past`, hidden]; None: zeros.

        Returns what goes on, what goes to the head, both as x, and the `past` of the next frames.
        """
        heard = self.norm(x)
        heard = F.pad(heard, (0, 0, self.past, 0)) if past is None else torch.cat([past, heard], 1)
        ends = [(self.taps - 1 - tap) * self.dilation for tap in range(self.taps)]
        taps = [heard[:, self.past - end : heard.shape[1] - end] for end in ends]
        wave, gate = self.gates(torch.cat(taps, -1)).chunk(2, -1)
        residual, skip = self.out(self.dropout(wave.tanh() * gate.sigmoid())).chunk(2, -1)
        return x + residual, skip, heard[:, heard.shape[1] - self.past :]


class StreamPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the causal networks."""

    config_class = StreamConfig
    base_model_prefix = "stream"
    main_input_name = "input_features"
    _no_split_modules = ["GatedLayer"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: Glorot & Bengio 2010, unless `initialization` says
        otherwise; biases are 0, but for the first, which is drawn: else a masked frame, of zeros,
        would be zeros behind each layer, and there a layer norm makes the gradient 300 times as
        large: a power of that behind all layers."""
        if isinstance(module, nn.Linear | nn.Conv1d):
            (drawing(self.config) or nn.init.xavier_uniform_)(module.weight)
            if module.bias is not None:
                first = isinstance(module, nn.Conv1d)
                nn.init.normal_(module.bias, std=FIRST_BIAS if first else 0.0)
        else:
            super().initialize(module)

    def _get_feat_extract_output_lengths(self, input_lengths: Any) -> Any:
        """Return the number of frames of logits for a number of frames of features (int or int64
        tensor)."""
        return (input_lengths - 1) // self.config.stacked_frames + 1


class StreamModel(StreamPreTrainedModel):
    """A causal network from log-mel features to states, each of `stacked_frames` frames."""

    def __init__(self, config: StreamConfig) -> None:
        super().__init__(config)
        size = config.stacked_frames
        self.stack = nn.Conv1d(config.num_mel_bins, config.hidden_size, size, stride=size)
        self.layers = nn.ModuleList(
            GatedLayer(config, 2 ** (i % config.cycle)) for i in range(config.num_hidden_layers)
        )
        self.hidden = nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()

    def begin(self, device: torch.device | None = None) -> State:
        """Return the state of one stream of which nothing has been heard; on the device of the
        weights, where they are on one."""
        layers: Any = self.layers
        size, place = int(self.config.hidden_size), device or self.device
        return tuple(
            torch.zeros(1, layer.past, size, dtype=self.dtype, device=place) for layer in layers
        )

    def advance(
        self,
        features: Tensor,
        state: State | None = None,
        found: list[Tensor] | None = None,
    ) -> tuple[Tensor, State]:
        """Return the states [batch, ceil(frames / stacked), hidden] of features [batch, frames,
        bins], and what the next features need of them.

        Args:
            state: what `begin` or the call before gave; None: nothing was heard before.
            found: takes what each layer is fed.
        """
        # frames that are missing in the last stack are 0; contiguous, or torch.export would compare
        # strides of sizes that it does not know
        x = F.pad(features, (0, 0, 0, self.config.stacked_frames - 1))
        x = self.stack(x.transpose(1, 2)).transpose(1, 2).contiguous()
        skips, pasts = torch.zeros_like(x), []
        for i, layer in enumerate(self.layers):
            if found is not None:
                found.append(x)
            x, skip, past = layer(x, None if state is None else state[i])
            skips = skips + skip
            pasts.append(past)
        return self.hidden(skips.relu()).relu(), tuple(pasts)

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Return states [batch, ceil(frames / stacked), hidden], made of what the layers skip.

        Args:
            input_features: float [batch, frames, mel bins].
            attention_mask: int64 [batch, frames], 1 at frames and 0 at padding; None: no padding.
                States begin with the first frame that counts, wherever the padding is.
        """
        found = self.hidden_states_list(output_hidden_states, output_attentions)
        x = input_features.to(self.dtype)
        if attention_mask is not None:
            x, lengths = in_front(x, attention_mask)
            x = x * _before(lengths, x.shape[1])
        x, _ = self.advance(x, None, found)
        return BaseModelOutput(last_hidden_state=x, hidden_states=hidden_states(found, x))


def _before(lengths: Tensor, size: int) -> Tensor:
    """Return a mask of the positions before each length, bool [batch, size, 1]."""
    return (torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)).unsqueeze(-1)


class StreamForCTC(StreamPreTrainedModel):
    """A causal network with a linear head over the vocabulary."""

    in_chunks = True
    """Whether an utterance is computed in chunks, where the module's docstring says so; validation
    between the epochs of a training does without."""

    def __init__(self, config: StreamConfig) -> None:
        super().__init__(config)
        self.stream = StreamModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.ctc_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def _logits(self, states: Tensor) -> Tensor:
        found: Tensor = self.ctc_head(self.dropout(states))
        return found

    def begin(self, device: torch.device | None = None) -> State:
        """Return the state of one stream of which nothing has been heard; on the device of the
        weights, where they are on one."""
        return self.stream.begin(device)

    @torch.inference_mode()
    def step(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the logits of the next frames of a stream, and its state after them.

        Args:
            features: float32 [frames, bins], `chunk_frames` of them; fewer at the end of a stream.
            state: what `begin` or the step before gave; it is not changed.

        Returns logits float32 [ceil(frames / stacked), vocab], which are those of the whole
        recording to the last bit.
        """
        frames = len(features)
        chunk = F.pad(features, (0, 0, 0, self.config.chunk_frames - frames))
        states, after = self.stream.advance(chunk.contiguous().unsqueeze(0), state)
        count = self._get_feat_extract_output_lengths(frames)
        return self._logits(states)[0, :count], after

    def _in_chunks(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """Return logits [batch, frames, vocab], each row computed as a stream."""
        lengths = [features.shape[1]] * len(features)
        if mask is not None:
            features, counts = in_front(features, mask)
            lengths = counts.tolist()
        most = self._get_feat_extract_output_lengths(features.shape[1])
        logits = features.new_zeros(len(features), most, self.config.vocab_size)
        for row, length in enumerate(lengths):
            state, place = self.begin(features.device), 0
            for start in range(0, length, self.config.chunk_frames):
                end = min(start + self.config.chunk_frames, length)
                found, state = self.step(features[row, start:end], state)
                logits[row, place : place + len(found)] = found
                place += len(found)
        return logits

    def _is_exact(self, features: Tensor) -> bool:
        """Return whether an utterance is computed in chunks, as the module's docstring says."""
        return self.in_chunks and not (
            self.training
            or torch.is_grad_enabled()
            or features.device.type != "cpu"
            or self.dtype != torch.float32
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
            or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        )

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
        """Return logits [batch, ceil(frames / stacked), vocab]; given `labels`, the CTC loss as
        well.

        Args:
            input_features: float [batch, frames, mel bins].
            attention_mask: int64 [batch, frames], 1 at frames and 0 at padding; None: no padding.
                Logits begin with the first frame that counts, wherever the padding is.
            labels: int64 [batch, targets], -100 at padding. A target longer than its frames allow
                adds nothing to the loss (`ctc_zero_infinity`).
        """
        states = None
        if self.stream.hidden_states_list(output_hidden_states, output_attentions) is None and (
            self._is_exact(input_features)
        ):
            logits = self._in_chunks(input_features.float(), attention_mask)
        else:
            base = self.stream(
                input_features,
                attention_mask,
                output_hidden_states=output_hidden_states,
                output_attentions=output_attentions,
                return_dict=True,
            )
            logits, states = self._logits(base.last_hidden_state), base.hidden_states
        if attention_mask is not None:
            frames = self._get_feat_extract_output_lengths((attention_mask != 0).sum(1))
            logits = ctc.mask_frames(logits, frames, self.config.pad_token_id)
        loss = None
        if labels is not None:
            how = self.config.pad_token_id, self.config.ctc_loss_reduction
            loss = ctc.mean_loss(logits, labels, *how)
        return CausalLMOutput(loss=loss, logits=logits, hidden_states=states)


register(
    StreamConfig,
    AutoModel=StreamModel,
    AutoModelForCTC=StreamForCTC,
    AutoFeatureExtractor=LogMelFeatureExtractor,
    AutoProcessor=Wav2Vec2Processor,  # a feature extractor, whichever, and a tokenizer
)
