"""Hidden layers of a multilayer perceptron, whatever the vectors are that go in.

Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors". Layers of
neurons that are all connected, with a nonlinearity and dropout (Srivastava et al. 2014) after each.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from zoo.model.modeling import ZooPreTrainedModel
from zoo.model.narrowing import rebuilt, strongest
from zoo.model.scratch import activation, drawing


class MlpLayer(nn.Module):
    """A hidden layer; [b, inputs] to [b, outputs]."""

    def __init__(self, inputs: int, outputs: int, hidden_act: str, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(inputs, outputs)
        self.act = activation(hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations [b, outputs] of x [b, inputs]."""
        out: Tensor = self.act(self.linear(self.dropout(x)))
        return out


def hidden_layers(inputs: int, config: Any) -> nn.ModuleList:
    """Return the layers of a configuration: from vectors of `inputs` numbers to its `hidden_sizes`.

    Inputs are not dropped, hidden neurons are: by the layer behind them, the last by the head.
    """
    sizes = (inputs, *config.hidden_sizes)
    return nn.ModuleList(
        MlpLayer(before, after, config.hidden_act, config.hidden_dropout_prob if i else 0.0)
        for i, (before, after) in enumerate(pairwise(sizes))
    )


class PerceptronPreTrainedModel(ZooPreTrainedModel):
    """A base class for loading, saving and initialization of multilayer perceptrons."""

    base_model_prefix = "mlp"
    _no_split_modules = ["MlpLayer"]  # noqa: RUF012  (transformers' own way)

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights of a module: torch's own way, unless `initialization` says otherwise."""
        draw = drawing(self.config)
        if isinstance(module, nn.Linear) and draw is not None:
            draw(module.weight)
            module.bias.zero_()
        else:
            super().initialize(module)


def narrow(model: Any, asked: Sequence[int]) -> nn.Module:
    """Return a perceptron with `asked` neurons in each hidden layer, those of the largest weights;
    see `zoo.model.narrowing`."""
    config = copy.deepcopy(model.config)
    config.hidden_sizes = tuple(asked)
    state = model.state_dict()
    layers = [f"mlp.layers.{i}.linear" for i in range(len(asked))]
    for makes, reads, count in zip(layers, [*layers[1:], "classifier"], asked, strict=True):
        sums = state[f"{makes}.weight"].abs().sum(1) + state[f"{reads}.weight"].abs().sum(0)
        kept = strongest(sums, count)
        state[f"{makes}.weight"] = state[f"{makes}.weight"][kept]
        state[f"{makes}.bias"] = state[f"{makes}.bias"][kept]
        state[f"{reads}.weight"] = state[f"{reads}.weight"][:, kept]
    return rebuilt(model, config, state)
