"""A model that writes text, as programs with a cache.

A network with `stages` (`zoo.model.network.Network`) is exported so, by a runtime that brings
`export_stages`. It has two, an encoder that runs once an input and a decoder that runs once a
token, or one, a decoder alone, called "model". The encoder gives `last_hidden_state` and what the
decoder takes under the same names (`cross_*`). A decoder takes `input_ids` and `past_*`, and gives
`logits` and `present_*`, the next `past_*`; of sources that are padded it takes their
`encoder_attention_mask` too (`zoo.runtimes.encoder_decoder_export`). One without an encoder takes
`attention_mask`, perhaps `position_ids`, and `logits_to_keep` (`zoo.nlp.causal_export`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.session import Ids, Session
from zoo.generation.target_writer import TargetWriter
from zoo.generation.writer import TokenWriter
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    from torch import nn

ENCODER, DECODER, MODEL = "encoder", "decoder", "model"
"""Names of stages; one that is alone is the model."""
BATCH, TOKENS, PAST = "batch", "tokens", "past"  # the sizes that vary
PLACES = "places"  # of an encoder of texts: tokens of the longest
KEPT, TOTAL = "kept", "total"  # of a decoder alone: logits that are wanted, and past + tokens
ENCODER_MASK = "encoder_attention_mask"
"""What a decoder calls the mask of its sources."""


@dataclass(frozen=True)
class Stage:
    """A program of a model that writes text: its encoder, its decoder, or the whole of it."""

    module: "nn.Module"
    example: Tensors
    signature: Signature


class GenerativeRunner(Runner):
    """A runner that generates text too; satisfies `zoo.generation.session.Generative`. Called, it
    gives the logits of tokens that it is given.
    """

    @property
    def special_tokens(self) -> SpecialTokens:
        """Return the special tokens of the model."""
        raise NotImplementedError

    @property
    def decoding(self) -> Decoding:
        """Return how it generates by default, as its generation config says."""
        raise NotImplementedError

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Run what goes before the first token: the encoder, and the prompts.

        Args:
            inputs: arrays by name, those that the encoder takes.

        Raises `UserError` for inputs that it does not take.
        """
        raise NotImplementedError

    def step(self, session: Session, tokens: Ids) -> Any:
        """Return logits float32 [rows, n, vocabulary] of tokens [rows, n] behind those before."""
        raise NotImplementedError

    def reorder(self, session: Session, rows: Ids) -> None:
        """Make row i go on with what was row `rows[i]`; rows may be repeated or left out."""
        raise NotImplementedError

    def join(self, session: Session, other: Session) -> None:
        """Add the rows of another session; see `zoo.generation.session.Generative.join`."""
        raise NotImplementedError

    def step_by_step(self) -> Runner | None:
        """Return the same program, given its tokens one by one, by way of the cache; None of what
        runs the network itself."""
        return None

    def writer(self) -> TokenWriter | None:
        """Return what goes on with prompts; None where this is not made for it."""
        return None

    def target_writer(self) -> TargetWriter | None:
        """Return what writes texts from texts; None where this is not made for it."""
        return None


def writer_of(runner: Runner) -> TokenWriter | None:
    """Return what goes on with prompts by a runner; None where it writes none."""
    return runner.writer() if isinstance(runner, GenerativeRunner) else None


def target_writer_of(runner: Runner) -> TargetWriter | None:
    """Return what writes texts from texts by a runner; None where it writes none."""
    return runner.target_writer() if isinstance(runner, GenerativeRunner) else None
