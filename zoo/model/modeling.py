"""What every network of ours is to transformers: how it is initialized, and what it can tell."""

from typing import Any, TypeVar

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel

from zoo.model.loading import unfilled

T = TypeVar("T")


def register(config: Any, **kinds: Any) -> None:
    """Makes transformers' Auto classes know a network of ours, so that they and
    `transformers.pipeline` take its checkpoints like any other.

    Args:
        config: the class of its configuration.
        kinds: by the name of an Auto class, what that class is to make of such a configuration:
            `register(RnnConfig, AutoModel=RnnModel)`.
    """
    transformers.AutoConfig.register(config.model_type, config, exist_ok=True)
    for auto, kind in kinds.items():
        getattr(transformers, auto).register(config, kind, exist_ok=True)


class ZooPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """The base of our networks. A subclass says in `initialize` how a module's weights begin."""

    # A loss is the mean over its batch: transformers' Trainer divides it by accumulation steps.
    accepts_loss_kwargs = False

    def initialize(self, module: nn.Module) -> None:
        """Gives all weights and buffers that a module itself holds their first values.

        Here: the module's own way, which is torch's or timm's. What a checkpoint has filled need
        not be spared; `_init_weights` puts it back.
        """
        own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        if any(map(unfilled, own)):
            # the first computes buffers that no checkpoint holds
            for name in ("init_non_persistent_buffers", "reset_parameters"):
                if hasattr(module, name):
                    getattr(module, name)()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initializes what no checkpoint has filled in a module, one tensor at a time.

        Modules are initialized whole, and many do so past transformers' guards (a batch norm's
        statistics, slices, views): so filled tensors are put back to the bit afterwards.
        """
        tensors = (*module.parameters(), *module.buffers())
        filled = [tensor for tensor in tensors if not unfilled(tensor)]
        if len(filled) == len(tensors):
            return
        values = [tensor.clone() for tensor in filled]
        self.initialize(module)
        for tensor, value in zip(filled, values, strict=True):
            tensor.copy_(value)

    def classified(self, output: type[T], base: Any, labels: Tensor | None, **more: Any) -> T:
        """What a classifier returns: logits [batch, labels] of its `classifier` over the pooled
        states of `base`, and, given labels, transformers' loss for the problem type.

        Args:
            output: transformers' class of it.
            more: what else is known of its fields.
        """
        logits = self.classifier(self.dropout(base.pooler_output))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        states = base.hidden_states
        return output(loss=loss, logits=logits, hidden_states=states, **more)  # type: ignore[call-arg]

    def hidden_states_list(
        self, output_hidden_states: bool | None, output_attentions: bool | None
    ) -> list[Tensor] | None:
        """An empty list to collect hidden states in, or None where nobody asks for them.

        Args:
            output_hidden_states: as given to `forward`; None: as the configuration has it.
            output_attentions: likewise. Raises ValueError where it is true: the caller keeps no
                attention weights.
        """
        config: Any = self.config
        if config.output_attentions if output_attentions is None else output_attentions:
            raise ValueError(
                f"{type(self).__name__} keeps no attention weights: leave output_attentions out"
            )
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        return [] if output_hidden_states else None


def hidden_states(states: list[Tensor] | None, last: Tensor) -> tuple[Tensor, ...] | None:
    """Return the states that a model has collected, as its output has them: what went into each
    layer, and `last`, what came out of the last one."""
    return None if states is None else (*states, last)
