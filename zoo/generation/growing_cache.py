"""Keys and values of a network of transformers, in buffers with room for the tokens to come.

A `DynamicLayer` of transformers makes new tensors of all keys and values for every token, so that a
text of n tokens copies n ** 2 / 2 of them. Here those of a token are written in place behind the
others, which are copied once in `BLOCK` tokens.
"""

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache

BLOCK = 64
"""Tokens for which a full buffer gets room."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types of it
    """The keys and values of a layer, views [rows, heads, n, size] of buffers that are longer.

    Whoever else gives it other tensors, or a part of them, as all of transformers' methods do, need
    not know of the buffers: what does not lie in them any more is copied by the next `update`.
    """

    _buffers: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, layer: DynamicLayer) -> "GrowingLayer":
        """Return a layer that goes on where another one is, without a copy."""
        growing = cls()
        growing.__dict__.update(layer.__dict__)
        return growing

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values [rows, heads, m, size] behind those that are there; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin = self.get_seq_length()
        end = begin + key_states.shape[2]
        buffers = self._buffers
        if buffers is None or not self._lies_in(buffers) or end > buffers[0].shape[2]:
            buffers = (
                _longer(self.keys, key_states, begin, end),
                _longer(self.values, value_states, begin, end),
            )
        for buffer, states in zip(buffers, (key_states, value_states), strict=True):
            buffer[:, :, begin:end] = states
        self._view(buffers, end)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Replace row i by row `beam_idx[i]`, and keep the room behind them."""
        buffers = self._buffers
        if buffers is None or not self._lies_in(buffers):
            super().reorder_cache(beam_idx)
            return
        which, length = beam_idx.to(buffers[0].device), self.get_seq_length()
        keys, values = (buffer.index_select(0, which) for buffer in buffers)
        self._view((keys, values), length)

    def _view(self, buffers: tuple[Tensor, Tensor], length: int) -> None:
        self._buffers = buffers
        self.keys, self.values = (buffer[:, :, :length] for buffer in buffers)

    def _lies_in(self, buffers: tuple[Tensor, Tensor]) -> bool:
        """Return whether keys and values begin where the buffers do, and have their rows."""
        return all(
            one.data_ptr() == buffer.data_ptr() and len(one) == len(buffer)
            for one, buffer in zip((self.keys, self.values), buffers, strict=True)
        )


def let_grow(cache: Any) -> None:
    """Replace the layers of a cache that keep every token by `GrowingLayer`s, in place.

    Those of an encoder's tokens don't grow; others, as of a sliding window, stay as they are, and
    so does a cache that is no `Cache` of transformers.
    """
    if isinstance(cache, EncoderDecoderCache):
        cache = cache.self_attention_cache
    if isinstance(cache, Cache):
        cache.layers = [
            GrowingLayer.of(one) if type(one) is DynamicLayer else one for one in cache.layers
        ]


def _longer(kept: Tensor, states: Tensor, begin: int, end: int) -> Tensor:
    """Return a buffer with room for `BLOCK` tokens behind `end`; it has the `begin` of `kept`."""
    rows, heads, _, size = states.shape
    buffer = states.new_empty(rows, heads, end + BLOCK, size)
    if begin:
        buffer[:, :, :begin] = kept
    return buffer
