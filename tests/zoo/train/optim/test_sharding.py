"""What ranks tell each other before a forward pass: running statistics, and no constants."""

from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from zoo.train.optim.sharding import keep_integers_local


class Network(nn.Module):
    """Positions as BERT has them, and running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 4)
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("positions", torch.arange(8)[None], persistent=False)

    def forward(self, length: int) -> torch.Tensor:
        return self.norm(self.embedding(self.positions[:, :length])[0])


@pytest.fixture
def one_rank(tmp_path: Path):
    """A group of one process."""
    store = f"file://{tmp_path / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_integers_are_not_broadcast_and_statistics_are(one_rank: None) -> None:
    model = Network()
    keep_integers_local(model)
    ranks = nn.parallel.DistributedDataParallel(model)
    (ranks(4).sum() + ranks(8).sum()).backward()  # two forward passes before one backward
    ranks._assign_modules_buffers()
    assert set(ranks.named_module_buffers) == {"norm.running_mean", "norm.running_var"}
    assert model.embedding.weight.grad is not None


def test_of_a_model_without_buffers_nothing_is_kept_back(one_rank: None) -> None:
    model = nn.Linear(2, 2)
    keep_integers_local(model)
    assert nn.parallel.DistributedDataParallel(model)(torch.ones(1, 2)).shape == (1, 2)
