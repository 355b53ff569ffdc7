"""bf16 weights in the network and fp32 weights in the optimizer stay a pair."""

import copy

import pytest
import torch
from torch import nn

from zoo.speedups.bf16_weights import Bf16Weights


class Model(nn.Module):
    """An embedding, a layer and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.norm = nn.LayerNorm(8)
        self.dense = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.dense(self.norm(self.words(ids)))


def _pair() -> tuple[Model, Model, Bf16Weights]:
    torch.manual_seed(0)
    model = Model()
    twin = copy.deepcopy(model)
    return model, twin, Bf16Weights(model)


IDS = torch.tensor([[1, 2, 3], [4, 4, 9]])


def test_dtypes_and_names() -> None:
    model, twin, pair = _pair()
    assert {p.dtype for p in model.dense.parameters()} == {torch.bfloat16}
    assert model.words.weight.dtype == torch.float32  # its gradient adds up many occurrences
    assert model(IDS).dtype == torch.bfloat16
    named = dict(pair.named_parameters())
    assert list(named) == [name for name, _ in twin.named_parameters()]
    assert all(p.dtype == torch.float32 for p in named.values())
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(named[name], parameter, rtol=0, atol=0)


def test_full_precision_is_the_original_and_comes_back() -> None:
    model, twin, pair = _pair()
    rounded = model(IDS)
    with pair.full_precision():
        torch.testing.assert_close(model(IDS), twin(IDS), rtol=0, atol=0)
        assert all(t.dtype == torch.float32 for t in model.state_dict().values())
    torch.testing.assert_close(model(IDS), rounded, rtol=0, atol=0)


def test_gradients_are_added_up_in_fp32() -> None:
    """256 passes with a gradient of 1 + 1/128: in bf16 the sum would stick far below."""
    _, _, pair = _pair()
    parameter, master = next((p, m) for p, m in pair._pairs)
    for _ in range(256):
        parameter.grad = torch.full_like(parameter, 1 + 1 / 128)
        pair.collect()
    assert parameter.grad is None
    torch.testing.assert_close(master.grad, torch.full_like(master, 258.0), rtol=0, atol=0)


def test_small_steps_add_up_in_the_masters() -> None:
    model, _, pair = _pair()
    master = pair.masters["dense.weight"]
    with torch.no_grad():
        master.fill_(1.0)
        for _ in range(100):
            master += 1e-4  # a bf16 weight of 1 would not move at all
            pair.publish()
    torch.testing.assert_close(model.dense.weight, torch.full((3, 8), 1.0078125).bfloat16())


def test_gradients_are_close_to_those_in_fp32() -> None:
    model, twin, pair = _pair()
    model(IDS).float().square().sum().backward()
    pair.collect()
    twin(IDS).square().sum().backward()
    for (name, mine), theirs in zip(pair.named_parameters(), twin.parameters(), strict=True):
        close = torch.nn.functional.cosine_similarity(
            mine.grad.flatten(), theirs.grad.flatten(), dim=0
        )
        assert close > 0.99, name


class ReadsWeights(nn.Module):
    """As DeBERTa's relative positions: an embedding that is read, never called."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.relative = nn.Embedding(6, 8)
        self.norm = nn.LayerNorm(8)
        self.position = nn.Linear(8, 3)
        self.dense = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        positions = self.position(self.norm(self.relative.weight))  # [6, 3]
        return self.dense(self.words(ids)) @ positions.T


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_embedding_that_is_read_and_not_called_trains_in_fp32(compiled: bool) -> None:
    torch.manual_seed(0)
    model = ReadsWeights()
    twin = copy.deepcopy(model)
    pair = Bf16Weights(model)
    program = torch.compile(model) if compiled else model
    assert program(IDS).dtype == torch.bfloat16
    program(IDS).float().square().sum().backward()
    pair.collect()
    twin(IDS).square().sum().backward()
    named = dict(pair.named_parameters())
    assert list(named) == [name for name, _ in twin.named_parameters()]
    for name, theirs in twin.named_parameters():
        mine = named[name]
        assert mine.dtype == mine.grad.dtype == torch.float32, name
        close = torch.nn.functional.cosine_similarity(
            mine.grad.flatten(), theirs.grad.flatten(), dim=0
        )
        assert close > 0.99, name
    assert model.relative.weight is named["relative.weight"]
    with pair.full_precision():
        torch.testing.assert_close(program(IDS), twin(IDS), rtol=0, atol=1e-6)


def test_a_network_that_fails_midway_does_not_leave_its_weights_cast() -> None:
    model = ReadsWeights()
    pair = Bf16Weights(model)
    with pytest.raises(IndexError):
        model(torch.tensor([[99]]))
    assert model.relative.weight.dtype == torch.float32 and pair.masters
