"""Attention over sequences that lie one after the other in one row, each within itself.

On a GPU by the FlashAttention kernels for sequences of any length (Dao 2023,
https://arxiv.org/abs/2307.08691); elsewhere, and in fp32, by torch's plain attention over the same
sequences, padded for it and packed again behind it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn

PREFIX = "zoo_packed_"
KERNEL_DTYPES = (torch.bfloat16, torch.float16)


def kernel_fault(head_dim: int, device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why the kernels can't compute on a device, as the end of a sentence; None where they
    can."""
    if device.type != "cuda":
        return f"{device.type} has no kernel for packed attention"
    if dtype not in KERNEL_DTYPES:
        return f"packed attention has kernels for bf16 and fp16, not {str(dtype)[6:]}"
    if head_dim % 8 or head_dim > 192:  # beyond, some GPUs have no backward pass with dropout
        return f"packed attention takes heads of 8, 16, ... 192 numbers, not {head_dim}"
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:
        return (
            f"packed attention wants a GPU of compute capability 8.0, and this has {major}.{minor}"
        )
    return None


def register(plain: str) -> str:
    """Return the name of an attention of transformers that computes packed batches here and all
    others by the attention `plain`."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    name = f"{PREFIX}{plain}"
    AttentionInterface.register(name, partial(_attention, ALL_ATTENTION_FUNCTIONS[plain]))
    ALL_MASK_ATTENTION_FUNCTIONS.register(name, ALL_MASK_ATTENTION_FUNCTIONS[plain])
    return name


def _attention(
    plain: Callable[..., Any],
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Compute attention with the signature that transformers calls; a packed batch is one row, and
    has `cu_seq_lens_q` among its arguments."""
    if kwargs.get("cu_seq_lens_q") is None:
        result: tuple[Tensor, Tensor | None] = plain(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
        return result
    sliding = kwargs.get("sliding_window")
    mixed = packed_attention(
        query[0].transpose(0, 1),  # [1, heads, tokens, dim] to [tokens, heads, dim]
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        kwargs["cu_seq_lens_q"],
        kwargs["cu_seq_lens_k"],
        kwargs["max_length_q"],
        kwargs["max_length_k"],
        scale=scaling,
        dropout=dropout,
        # transformers counts the token itself
        window=None if sliding is None else sliding - 1,
        causal=bool(getattr(module, "is_causal", False)),
    )
    return mixed.unsqueeze(0), None


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
    causal: bool = False,
) -> Tensor:
    """Return softmax(scale q k^T) v within each sequence, [tokens_q, heads, dim].

    Args:
        query: [tokens_q, heads, dim]; key, value: [tokens_k, heads, dim].
        cu_q, cu_k: int32 [sequences + 1], where each sequence begins and the last ends; none is
            empty, and together they cover all tokens.
        max_q, max_k: tokens of the longest sequence.
        scale: dim ** -0.5 where it is None.
        dropout: probability at which a weight becomes 0.
        window: how far a query sees to both sides of its own position; None: everything.
        causal: whether a query sees no key behind its own position.
    """
    on_gpu = query.device.type == "cuda" and query.dtype in KERNEL_DTYPES
    compute = kernel_attention if on_gpu else reference_attention
    return compute(
        query,
        key,
        value,
        cu_q,
        cu_k,
        max_q,
        max_k,
        scale=scale,
        dropout=dropout,
        window=window,
        causal=causal,
    )


def kernel_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
    causal: bool = False,
) -> Tensor:
    """Compute `packed_attention` in bf16 or fp16 on a GPU, without waiting for it."""
    left = -1 if window is None else window
    right = 0 if causal else left
    if not dropout:
        mixed = varlen_attn(
            query, key, value, cu_q, cu_k, max_q, max_k, scale=scale, window_size=(left, right)
        )
        assert isinstance(mixed, Tensor), "nothing beside it is asked for"
        return mixed
    # varlen_attn has no dropout; the operator that it calls has
    found = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        cu_q,
        cu_k,
        max_q,
        max_k,
        dropout,
        causal and window is None,  # is_causal, as varlen_attn says it
        False,  # return_debug_mask
        scale=scale,
        window_size_left=left,
        window_size_right=right,
    )
    attended: Tensor = found[0]
    return attended


def reference_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
    causal: bool = False,
) -> Tensor:
    """Compute `packed_attention` on any device and in any precision.

    Every sequence is padded to the longest, so shapes do not depend on the values of `cu_q`.
    """
    rows_q, rows_k = _rows(cu_q, max_q), _rows(cu_k, max_k)
    inside = torch.arange(max_k, device=key.device) < cu_k.diff().unsqueeze(1)  # [sequences, max_k]
    mask = inside.unsqueeze(1)
    if window is not None or causal:
        places_q, places_k = rows_q - cu_q[:-1, None], rows_k - cu_k[:-1, None]
        back = places_q.unsqueeze(2) - places_k.unsqueeze(1)  # [sequences, max_q, max_k]
        if window is not None:
            mask = mask & (back.abs() <= window)
        if causal:
            mask = mask & (back >= 0)

    def apart(states: Tensor, rows: Tensor) -> Tensor:
        """Pad packed states [tokens, heads, dim] to [sequences, heads, longest, dim]."""
        chosen = states.index_select(0, rows.flatten())
        return chosen.view(*rows.shape, *states.shape[1:]).transpose(1, 2)

    mixed = F.scaled_dot_product_attention(
        apart(query, rows_q),
        apart(key, rows_k),
        apart(value, rows_k),
        attn_mask=mask.unsqueeze(1),
        dropout_p=dropout,
        scale=scale,
    )
    tokens = torch.arange(len(query), device=query.device, dtype=cu_q.dtype)
    owner = sequence_of(cu_q, len(query))
    back = owner * max_q + tokens - cu_q.index_select(0, owner)
    return mixed.transpose(1, 2).flatten(0, 1).index_select(0, back)


def _rows(cu: Tensor, longest: int) -> Tensor:
    """Return the token at each position when sequences are padded to the longest, [sequences,
    longest]; padding repeats the last token of the sequence."""
    places = torch.arange(longest, device=cu.device, dtype=cu.dtype)
    return torch.minimum(cu[:-1, None] + places, cu[1:, None] - 1)


def sequence_of(cu: Tensor, tokens: int) -> Tensor:
    """Return the number of the sequence that each token is in, [tokens] of the dtype of `cu`."""
    places = torch.arange(tokens, device=cu.device, dtype=cu.dtype)
    return torch.searchsorted(cu[1:], places, right=True, out_int32=True)
