"""Training that computes the same in less time: what a network brings for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from tasks.base import Features
from zoo.model.network import Network, network_of
from zoo.speedups.sparse_embedding import SparseEmbeddingGrad
from zoo.train.methods.base import Data, Method, Setup

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs


class Speedups(Method):
    """The network's own tricks; those of arithmetic are in `zoo.train.methods.precision`."""

    def __init__(self, setup: Setup, others: Sequence[Method]) -> None:
        super().__init__(setup)
        self._others = others

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """See `Method`; the compiler does its own."""
        return args.speedups and not args.torch_compile

    def model(self, model: nn.Module, data: Data) -> nn.Module:
        """See `Method`."""
        if any(one.reads_layers for one in self._others):
            return model
        # a sharded embedding is trained whole, and so is one that sees more than the split
        all_rows = self.setup.args.fsdp or any(one.sees_more for one in self._others)
        network = network_of(self.setup.entry)
        ranks = self.setup.accelerator.num_processes
        speed_up(network, model, None if all_rows else data.features["train"], ranks)
        return model


def speed_up(network: Network, model: nn.Module, train: Features | None, ranks: int) -> None:
    """Changes a model in place to train faster.

    Args:
        network: what has made it.
        train: all that it will see in training; None where that is not known.
        ranks: processes that train it together.
    """
    network.optimize_training(model, train)
    for module in model.modules():
        if isinstance(module, SparseEmbeddingGrad):
            module.reuse_gradient = ranks == 1
