"""Encoders out of transformers that take texts packed in one row, and decoders; see
`tasks.packed`.

Positions begin anew in each text, attention stays within it, and a head that reads one vector a
text is given the first token of each, or their mean, as the model does. Weights, names and
configuration stay as they are, and padded batches are computed as before.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tasks.packed import PackedShape
from zoo.speedups import packed_attention
from zoo.speedups.fast_encoder import FIRST_TOKEN_MODELS
from zoo.speedups.packed_attention import sequence_of

BERT_LIKE = FIRST_TOKEN_MODELS | {"electra"}
"""Whose layers are made as BERT's, and whose classifiers read the first token."""
TYPES = BERT_LIKE | {"distilbert", "modernbert"}
POSITIONS_BEHIND_PADDING = frozenset(("roberta", "xlm-roberta", "camembert"))
"""Whose positions are counted from the padding's on, tokens of padding left out."""


def fault(model: Any) -> str | None:
    """Return why a model can't take packed texts, as the end of a sentence; None where it can."""
    config = model.config
    if config.model_type not in TYPES or getattr(config, "is_decoder", False):
        return f"it is made for {', '.join(sorted(TYPES))}, and this is {config.model_type}"
    if getattr(config, "position_embedding_type", "absolute") != "absolute":
        return f"positions are {config.position_embedding_type}"
    if getattr(config, "chunk_size_feed_forward", 0):
        return f"chunk_size_feed_forward is {config.chunk_size_feed_forward} in its config.json"
    attention = config._attn_implementation
    if attention != "sdpa" and not attention.startswith("zoo_"):  # `zoo.speedups.fast_encoder`
        return f"its attention is {attention}, and not sdpa"
    return None


def kernel_fault(model: Any, device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why a device has no fast attention over packed texts for a model, as the end of a
    sentence; None where it has."""
    config = model.config
    head_dim = config.hidden_size // config.num_attention_heads
    return packed_attention.kernel_fault(head_dim, device, dtype)


def pack(model: Any, shape: PackedShape) -> None:
    """Let a model take packed batches of a shape in addition to padded ones, in place.

    Packed batches come with `cu_seqlens` (`tasks.packed.Packs.collate_packed`). A text classifier
    returns logits [sequences, labels] for them, other models [1, tokens, labels].

    Args:
        model: one that has no `fault`, or a decoder whose attention has a key for every query.
    """
    plain = model.config._attn_implementation.removeprefix(packed_attention.PREFIX)
    model.set_attn_implementation(packed_attention.register(plain))
    model.base_model.register_forward_pre_hook(_without_mask, with_kwargs=True)
    model.forward = _PackedForward(model, shape)
    if not type(model).__name__.endswith("ForSequenceClassification"):
        return
    if model.config.model_type in BERT_LIKE:
        layer = model.base_model.encoder.layer[-1]
        layer.forward = _PackedFirstToken(layer, shape.sequences)
    else:
        mean = getattr(model.config, "classifier_pooling", "cls") == "mean"
        pooled = _Pooled(shape.sequences, mean)
        model.base_model.register_forward_hook(pooled, with_kwargs=True)


class _PackedForward:
    """The forward of a model; an object, so that a copy of the model calls the copy's weights."""

    def __init__(self, model: Any, shape: PackedShape) -> None:
        self.plain, self.longest = model.forward, shape.longest
        self.padding: int | None = None
        if model.config.model_type in POSITIONS_BEHIND_PADDING:
            self.padding = model.base_model.embeddings.padding_idx

    def __call__(self, *arguments: Any, cu_seqlens: Tensor | None = None, **inputs: Any) -> Any:
        """Call the model, on packed sequences if `cu_seqlens` is given."""
        if cu_seqlens is None:
            return self.plain(*arguments, **inputs)
        if self.padding is not None:
            inputs["position_ids"] = positions_behind_padding(
                inputs["input_ids"], inputs["position_ids"], self.padding
            )
        return self.plain(
            *arguments,
            cu_seq_lens_q=cu_seqlens,
            cu_seq_lens_k=cu_seqlens,
            max_length_q=self.longest,
            max_length_k=self.longest,
            **inputs,
        )


def positions_behind_padding(ids: Tensor, positions: Tensor, padding: int) -> Tensor:
    """Return RoBERTa's position ids counted within each sequence, int64 [1, tokens]: the first is
    padding + 1; padding tokens are not counted and have the position `padding`."""
    counts = (ids != padding).long()
    upto = counts.cumsum(1)
    places = torch.arange(ids.shape[1], device=ids.device)
    begins = places - positions  # where the sequence of each token begins
    before = (upto - counts).gather(1, begins)
    return (upto - before) * counts + padding


def _without_mask(
    module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Keep a model from making masks [1, 1, tokens, tokens] that packed attention does not read, by
    passing one of four dimensions, which is used unchanged."""
    cu_seqlens = keywords.get("cu_seq_lens_q")
    if cu_seqlens is None:
        return None
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=cu_seqlens.device)
    return arguments, {**keywords, "attention_mask": mask}


class _PackedFirstToken:
    """The forward of the last layer of BERT or a similar model, which computes only the first token
    of each sequence of a packed batch (as `zoo.speedups.fast_encoder` does for padded ones)."""

    def __init__(self, layer: Any, sequences: int) -> None:
        self.plain, self.sequences = layer.forward, sequences
        self.attention, self.intermediate, self.output = (
            layer.attention,
            layer.intermediate,
            layer.output,
        )

    def __call__(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Map hidden states [1, tokens, hidden] to [sequences, 1, hidden]."""
        cu_seqlens = kwargs.get("cu_seq_lens_k")
        if cu_seqlens is None:
            return self.plain(hidden, attention_mask, *args, **kwargs)
        own, states = self.attention.self, hidden[0]
        first = states.index_select(0, cu_seqlens[:-1])
        heads = (-1, own.num_attention_heads, own.attention_head_size)
        mixed = packed_attention.packed_attention(
            own.query(first).view(heads),
            own.key(states).view(heads),
            own.value(states).view(heads),
            torch.arange(len(cu_seqlens), device=cu_seqlens.device, dtype=cu_seqlens.dtype),
            cu_seqlens,
            1,
            kwargs["max_length_k"],
            scale=own.scaling,
            dropout=own.dropout.p if own.training else 0.0,
        )
        mixed, first = mixed[: self.sequences], first[: self.sequences]
        attended = self.attention.output(mixed.flatten(1), first)
        result: Tensor = self.output(self.intermediate(attended), attended)
        return result.unsqueeze(1)


class _Pooled:
    """Pools the states of a packed batch after an encoder to one vector for each sequence."""

    def __init__(self, sequences: int, mean: bool) -> None:
        self.sequences, self.mean = sequences, mean

    def __call__(
        self, module: nn.Module, arguments: Any, keywords: dict[str, Any], output: Any
    ) -> Any:
        """Replace `last_hidden_state` [1, tokens, hidden] by [sequences, 1, hidden]: the first
        token of each sequence, or the mean in fp32."""
        cu_seqlens = keywords.get("cu_seq_lens_q")
        if cu_seqlens is None:
            return None
        states = output.last_hidden_state[0]
        if self.mean:
            sums = states.new_zeros(len(cu_seqlens) - 1, states.shape[1], dtype=torch.float32)
            owner = sequence_of(cu_seqlens, len(states))
            sums = sums.index_add(0, owner, states.float())
            pooled = (sums / cu_seqlens.diff().unsqueeze(1)).to(states.dtype)[: self.sequences]
        else:
            pooled = states.index_select(0, cu_seqlens[: self.sequences])
        output.last_hidden_state = pooled.unsqueeze(1)
        return output
