"""Text classification by a recurrent network: embeddings, RNN, GRU or LSTM layers, pooling, a head.

LSTM: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; GRU: Cho et al. 2014;
in two directions: Schuster & Paliwal 1997. Pooling by attention: Bahdanau et al. 2015 (additive
scores), with several heads Lin et al. 2017, "A Structured Self-attentive Sentence Embedding".

Padding is moved to the right, wherever it was. Going forward, it comes after everything that
counts; going backward, each row is turned around within its own length, so padding comes last there
too. So a row's result depends on neither its padding nor its neighbours, and nothing need be packed
(packing keeps LSTMs on the CPU from oneDNN's kernels).
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.utils import can_return_tuple

from zoo.model.modeling import ZooPreTrainedModel, hidden_states, register
from zoo.model.padding import places_in_front
from zoo.model.scratch import drawing
from zoo.nlp.recurrent_loop import states

ATTENTION = ("attention", "multi_head")  # the poolings that have weights
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
EMBEDDING_STD = 0.05  # large ones learn slowly: torch's own 1.0 lost 16 points in 3 epochs


class RnnConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape and initialization of a recurrent classifier; see `zoo.nlp.rnn_cls.Options`."""

    model_type = "zoo_rnn"
    attribute_map = {"num_layers": "num_hidden_layers"}  # noqa: RUF012

    vocab_size: int = 8000
    embedding_size: int = 128
    hidden_size: int = 128  # of each direction
    num_hidden_layers: int = 1
    cell: str = "lstm"
    bidirectional: bool = True
    pooling: str = "max"
    attention_heads: int = 1  # of pooling attention and multi_head
    hidden_dropout_prob: float = 0.5
    hidden_act: str = "tanh"  # of cell rnn: tanh or relu
    initialization: str = "default"
    initializer_range: float = 0.02  # standard deviation of "normal"
    pad_token_id: int | None = 0


class RnnLayer(nn.Module):
    """One recurrent layer: a forward cell and, if requested, a backward cell."""

    def __init__(self, config: RnnConfig, input_size: int) -> None:
        super().__init__()
        more = {"nonlinearity": config.hidden_act} if config.cell == "rnn" else {}
        cell = partial(CELLS[config.cell], input_size, config.hidden_size, batch_first=True, **more)
        self.ahead = cell()
        self.back = cell() if config.bidirectional else None

    def forward(self, x: Tensor, turned: Tensor) -> Tensor:
        """Return states [batch, seq, directions * hidden] of vectors [batch, seq, input].

        `turned` int64 [batch, seq] tells for each position which one takes its place backward.
        """
        ahead = states(self.ahead, x)
        if self.back is None:
            return ahead
        back = states(self.back, _reorder(x, turned))
        return torch.cat([ahead, _reorder(back, turned)], -1)


class AttentionPooling(nn.Module):
    """Weighted means of states, their weights computed from each state: softmax over the text of
    W2 tanh(W1 h + b), a row of W2 a head. Lin et al. 2017, without their penalty on heads that look
    at the same places."""

    def __init__(self, config: RnnConfig, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, config.hidden_size)
        self.scores = nn.Linear(config.hidden_size, config.attention_heads, bias=False)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return means [batch, heads * hidden] of x [batch, seq, hidden], and their weights float32
        [batch, heads, seq]: 0 where `valid`, bool [batch, seq, 1], is not."""
        scores = self.scores(self.hidden(x).tanh()).float()
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
        weights = scores.softmax(1).transpose(1, 2)
        return (weights.to(x.dtype) @ x).flatten(1), weights


def pooled_size(config: RnnConfig) -> int:
    """Return the size of the vector that a text becomes."""
    heads = config.attention_heads if config.pooling in ATTENTION else 1
    return heads * (2 if config.bidirectional else 1) * config.hidden_size


def _reorder(x: Tensor, places: Tensor) -> Tensor:
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class RnnPreTrainedModel(ZooPreTrainedModel):
    """The base class for loading, saving and initialization of the recurrent models."""

    config_class = RnnConfig
    base_model_prefix = "rnn"
    main_input_name = "input_ids"
    _no_split_modules = ["RnnLayer"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module.

        Each gate's matrices are drawn as matrices of their own (`zoo.model.scratch.drawing`).
        `default`: Glorot uniform, recurrent ones orthogonal (Saxe et al. 2014). Biases are 0, an
        LSTM's forget gate's 1 (Jozefowicz et al. 2015). Embeddings, of which one row is picked at a
        time, have no fan: normal with `EMBEDDING_STD`, or as `normal` says.
        """
        scheme = self.config.initialization
        if isinstance(module, nn.Embedding):
            std = self.config.initializer_range if scheme == "normal" else EMBEDDING_STD
            module.weight.normal_(0, std)
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.RNNBase | nn.Linear):
            draw = drawing(self.config) or nn.init.xavier_uniform_
            for name, parameter in module.named_parameters(recurse=False):
                if name.startswith("bias"):
                    parameter.zero_()
                    if name.startswith("bias_ih") and isinstance(module, nn.LSTM):
                        parameter.chunk(4)[1].fill_(1.0)  # gates: input, forget, cell, output
                    continue
                gates = 1 if isinstance(module, nn.Linear) else len(parameter) // module.hidden_size
                orthogonal = scheme == "default" and name.startswith("weight_hh")
                for gate in parameter.chunk(gates):
                    (nn.init.orthogonal_ if orthogonal else draw)(gate)
        else:
            super().initialize(module)


class RnnModel(RnnPreTrainedModel):
    """A recurrent network from token ids to states, pooled to one vector per row."""

    def __init__(self, config: RnnConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(
            config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id
        )
        directions = 2 if config.bidirectional else 1
        sizes = [config.embedding_size] + [directions * config.hidden_size] * (
            config.num_hidden_layers - 1
        )
        self.layers = nn.ModuleList(RnnLayer(config, size) for size in sizes)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        states_size = directions * config.hidden_size
        attends = config.pooling in ATTENTION
        self.attention = AttentionPooling(config, states_size) if attends else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of token ids."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the embedding of token ids."""
        self.embeddings = value

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return states [batch, seq, directions * hidden] and their pooling [batch, heads *
        directions * hidden].

        Given `output_attentions`, pooling by attention gives its weights as well: `attentions` is
        one tensor, float32 [batch, heads, seq], 0 at padding.

        Args:
            input_ids: int64 [batch, seq].
            attention_mask: int64 [batch, seq], 1 at tokens and 0 at padding, wherever it is; None:
                no padding.
        """
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        refused = output_attentions and self.attention is None
        found = self.hidden_states_list(output_hidden_states, refused)
        places = None
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        else:
            places = places_in_front(attention_mask)
            input_ids = input_ids.scatter(1, places, input_ids)
        lengths = (attention_mask != 0).sum(1, keepdim=True).clamp(min=1)  # [batch, 1]
        position = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        valid = position < lengths  # [batch, seq]
        turned = torch.where(valid, lengths - 1 - position, position)
        x = self.embeddings(input_ids)
        for layer in self.layers:
            if found is not None:
                found.append(x)
            x = layer(self.dropout(x), turned)
        weights = None
        if self.attention is None:
            pooled = self._pool(x, valid.unsqueeze(-1), lengths)
        else:
            pooled, weights = self.attention(x, valid.unsqueeze(-1))
        if places is not None:  # back to where each token stands
            x = _reorder(x, places)
            found = None if found is None else [_reorder(state, places) for state in found]
        if weights is not None and places is not None and output_attentions:
            weights = _reorder(weights.transpose(1, 2), places).transpose(1, 2)
        return BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=pooled,
            hidden_states=hidden_states(found, x),
            attentions=(weights,) if weights is not None and output_attentions else None,
        )

    def _pool(self, x: Tensor, valid: Tensor, lengths: Tensor) -> Tensor:
        """Pool x [batch, seq, hidden] over valid positions; valid bool [batch, seq, 1], lengths
        int64 [batch, 1]."""
        if self.config.pooling == "max":
            return x.masked_fill(~valid, torch.finfo(x.dtype).min).amax(1)
        if self.config.pooling == "mean":
            return (x.float().masked_fill(~valid, 0).sum(1) / lengths).to(x.dtype)
        size = self.config.hidden_size
        last = _reorder(x[..., :size], lengths - 1).squeeze(1)  # the backward cell ends at 0
        return torch.cat([last, x[:, 0, size:]], -1)


class RnnForSequenceClassification(RnnPreTrainedModel):
    """A recurrent network with a linear head over its pooled states."""

    def __init__(self, config: RnnConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.rnn = RnnModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(pooled_size(config), config.num_labels)
        self.post_init()

    def pooling_weights(self, **inputs: Any) -> Tensor | None:
        """Return the weights that pooling by attention gives each token, float32 [batch, heads,
        seq]; None where pooling is another (`tasks.nlp.attention.PoolsByAttention`)."""
        if self.rnn.attention is None:
            return None
        base = self.rnn(**inputs, output_attentions=True, return_dict=True)
        (weights,) = base.attentions
        return weights  # type: ignore[no-any-return]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return logits [batch, labels]; given `labels`, transformers' loss for the problem type as
        well, and given `output_attentions` what `RnnModel` has of them.

        Args:
            input_ids: int64 [batch, seq].
            attention_mask: int64 [batch, seq], 1 at tokens and 0 at padding, wherever it is; None:
                no padding.
            labels: int64 [batch] for single label, float32 [batch, labels] for multi label, float32
                [batch] for regression.
        """
        base = self.rnn(
            input_ids,
            attention_mask,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        return self.classified(SequenceClassifierOutput, base, labels, attentions=base.attentions)


register(
    RnnConfig, AutoModel=RnnModel, AutoModelForSequenceClassification=RnnForSequenceClassification
)
