"""A model that writes text, in two programs: an encoder that runs once an input, and a decoder that
runs once a token, with a cache.

A network with `stages` (`zoo.model.network.Network`) is exported so, by a runtime that brings
`export_halves`. The encoder gives `last_hidden_state` and what the decoder takes under the same
names (`cross_*`); the decoder takes `input_ids` and `past_*`, and gives `logits` and `present_*`,
the next `past_*`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

BATCH, TOKENS, PAST = "batch", "tokens", "past"  # the sizes that vary


@dataclass(frozen=True)
class Half:
    """One of the two."""

    module: "nn.Module"
    example: Tensors
    signature: Signature


class Writer(Runner):
    """A runner that writes text too. Called, it gives the logits of tokens that it is given."""

    def generate(self, features: Any, exactly: int | None = None) -> "np.ndarray":
        """The tokens int64 [batch, tokens] that it writes about inputs float32 [batch, ...], as
        `generate` of transformers gives them: without those that every text begins with and the one
        that ends it, padded behind.

        Args:
            exactly: so many of them, and none ends the text.
        """
        raise NotImplementedError

    def stepwise(self) -> Runner:
        """The same program, given its tokens one by one, by way of the cache."""
        raise NotImplementedError
