"""Faster training of BERT-like encoders with the same result.

- Attention over short texts by plain products: on the CPU torch's fused kernel takes five times as
  long there (32 x 12 heads x 27 tokens, forward and backward), and with dropout falls back to one
  that draws a random number an element.
- On a GPU masks are made without a look at the batch, which would wait for it.
- The classifier reads the first token only, so the last layer's queries, output and feed-forward
  need be computed at that token only: of the 12 h^2 multiplications a token costs in a layer,
  10 h^2 fall away.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.speedups.fast_dropout import dropout as fast_dropout
from zoo.speedups.fast_dropout import replace_dropout
from zoo.speedups.sparse_embedding import train_used_rows

ATTENTION = "zoo_short"
ATTENTION_ON_GPU = "zoo_sdpa"
# keys up to which plain bf16 products beat the fused kernel on the CPU; in fp32 they never do
SHORT = 64
FIRST_TOKEN_MODELS = frozenset(("bert", "roberta", "xlm-roberta", "camembert"))


def speed_up(model: Any, used_ids: np.ndarray | None) -> None:
    """Speed up a transformers encoder in place; its state dict and configuration stay the same.

    Args:
        model: an AutoModelForSequenceClassification.
        used_ids: int64, the token ids of the training data, if its embedding is to be cut to them.
    """
    speed_up_layers(model)
    if model.config.model_type in FIRST_TOKEN_MODELS and not model.config.is_decoder:
        layer = model.base_model.encoder.layer[-1]
        layer.forward = _FirstToken(layer)
    if used_ids is not None:
        train_used_rows(model, model.get_input_embeddings(), used_ids)


def speed_up_layers(model: Any) -> None:
    """Apply the speedups that do not depend on the head: dropout, and attention over short
    texts."""
    on_gpu = model.device.type == "cuda"
    if not on_gpu:
        replace_dropout(model)
    if (on_gpu or model.device.type == "cpu") and model.config._attn_implementation == "sdpa":
        _register_attention()
        model.set_attn_implementation(ATTENTION_ON_GPU if on_gpu else ATTENTION)


def _register_attention() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

    AttentionInterface.register(ATTENTION, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, sdpa_mask)
    AttentionInterface.register(ATTENTION_ON_GPU, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION_ON_GPU, mask_without_a_look)


def mask_without_a_look(*arguments: Any, **keywords: Any) -> Tensor | None:
    """Return transformers' `sdpa_mask`, made for every batch: checking whether a batch has no
    padding, and so needs none, would wait for the GPU in every pass."""
    from transformers.masking_utils import sdpa_mask

    mask: Tensor | None = sdpa_mask(
        *arguments, **{**keywords, "allow_is_bidirectional_skip": False}
    )
    return mask


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute scaled dot-product attention, with the signature that transformers calls.

    Takes query [batch, heads, q, dim], key and value [batch, heads, k, dim], and a boolean mask
    broadcastable to [batch, heads, q, k] that is True where attention is allowed; returns
    [batch, q, heads, dim].
    """
    plain = attention_mask is None or attention_mask.dtype == torch.bool
    causal = kwargs.get("is_causal")
    causal = getattr(module, "is_causal", False) if causal is None else causal
    if (
        causal
        or not plain
        or query.shape[1] != key.shape[1]
        or kwargs.get("position_bias") is not None
    ):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        # heads that share keys, biases, and masks that stand in an argument
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
        return result
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    short = query.dtype == torch.bfloat16 and key.shape[-2] <= SHORT
    if query.device.type != "cpu" or not (dropout or short):
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scale
        )
        return mixed.transpose(1, 2).contiguous(), None
    # bf16 products, but scores in fp32: its softmax is the faster one, and the more exact
    scores = torch.matmul(query * scale, key.transpose(-1, -2)).float()
    if attention_mask is not None:
        scores = scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    weights = F.softmax(scores, -1).to(value.dtype)
    if dropout:
        weights = fast_dropout(weights, dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


class _FirstToken:
    """The forward of a BertLayer (or a similar layer) that computes the first token only."""

    def __init__(self, layer: Any) -> None:
        self.attention, self.intermediate, self.output = (
            layer.attention,
            layer.intermediate,
            layer.output,
        )

    def __call__(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Map hidden states [batch, seq, hidden] to those of the first token, [batch, 1,
        hidden]."""
        own = self.attention.self
        batch = len(hidden)
        first = hidden[:, :1]
        heads = (batch, -1, own.num_attention_heads, own.attention_head_size)
        mask = attention_mask
        if mask is not None and mask.shape[-2] > 1:
            mask = mask[..., :1, :]
        mixed, _ = attention(
            own,
            own.query(first).view(heads).transpose(1, 2),
            own.key(hidden).view(heads).transpose(1, 2),
            own.value(hidden).view(heads).transpose(1, 2),
            mask,
            own.scaling,
            own.dropout.p if own.training else 0.0,
        )
        attended = self.attention.output(mixed.reshape(batch, 1, -1), first)
        result: Tensor = self.output(self.intermediate(attended), attended)
        return result
