"""Training that computes the same in less time: what a network brings for it."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from tasks.base import Features
from tasks.printing import print_lines
from zoo.model.network import Network, network_of
from zoo.speedups import compiled_layers
from zoo.speedups.sparse_embedding import SparseEmbeddingGrad
from zoo.train.methods.base import Data, Method, Setup
from zoo.train.reporting.forecast import forecast

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs


class Speedups(Method):
    """Applies the network's own speedups and compiles its layers; `zoo.train.methods.precision` has
    those of arithmetic."""

    def __init__(self, setup: Setup, others: Sequence[Method]) -> None:
        super().__init__(setup)
        self._others = others
        self._compiled = 0  # layers

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Return whether speedups or compiled layers are asked for; False if the whole model is
        compiled, since the compiler has its own."""
        return (args.speedups or args.compile_layers == "on") and not args.torch_compile

    def model(self, model: nn.Module, data: Data) -> nn.Module:
        """Apply speedups and compile layers in place, unless another method reads the layers
        (`Method.model`)."""
        if any(one.reads_layers for one in self._others):
            return model
        compiles = self._compiles(model, data)
        if self.setup.args.speedups and not (compiles and self.setup.device.type == "cpu"):
            # a sharded embedding is trained whole, and so is one that sees more than the split
            all_rows = self.setup.args.fsdp or any(one.sees_more for one in self._others)
            network = network_of(self.setup.entry)
            ranks = self.setup.accelerator.num_processes
            speed_up(network, model, None if all_rows else data.features["train"], ranks)
        if compiles:
            self._compiled = compiled_layers.compile_layers(model)
            if self.setup.is_main:
                print_lines(f"{self._compiled} layers are compiled", file=sys.stderr)
        return model

    def _compiles(self, model: nn.Module, data: Data) -> bool:
        """Return whether layers are compiled: by the flag, or for `auto` on a GPU if compiling
        saves more time than it costs."""
        setup, asked = self.setup, self.setup.args.compile_layers
        if asked != "auto" or setup.device.type != "cuda" or setup.args.torch_compile:
            return asked == "on"
        train = data.features["train"]
        expected = forecast(model, data.task, train, setup.args, setup.device, setup.dtype)
        return compiled_layers.pays(model, expected.seconds)

    def show(self) -> None:
        """Print the seconds that compiling took (`Method.show`)."""
        if self._compiled:
            print_lines(f"compiling     {compiled_layers.seconds_compiled():.1f} s of the training")


def speed_up(network: Network, model: nn.Module, train: Features | None, ranks: int) -> None:
    """Change a model in place to train faster (`optimize_training` of `network`, which made it).

    `train` has all samples that training will see, or is None if they are not known; `ranks`
    processes train the model together.
    """
    network.optimize_training(model, train)
    for module in model.modules():
        if isinstance(module, SparseEmbeddingGrad):
            module.reuse_gradient = ranks == 1
