"""Which layers repeat, and that what is compiled of them is theirs."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.speedups import compiled_layers
from zoo.speedups.compiled_layers import compile_layers, layers_of, pays


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner, outer = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.parts = nn.Sequential(inner, outer)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return scale * self.parts(x)


class Network(nn.Module):
    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(map(Block, widths))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, scale=2.0)
        return x


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    """What is given to the compiler, which here leaves it as it is but for a sign."""
    given: list[Callable[..., Any]] = []

    def compiler(forward: Callable[..., Any]) -> Callable[..., Any]:
        given.append(forward)
        return lambda *arguments, **keywords: -forward(*arguments, **keywords)

    monkeypatch.setattr(torch, "compile", compiler)
    return given


def test_layers_are_neighbours_of_one_kind() -> None:
    assert len(layers_of(Network(4, 4, 4))) == 3
    assert len(layers_of(Network(4, 4, 8, 8))) == 4
    assert layers_of(Network(4, 8, 16, 32)) == []  # every one would be compiled by itself
    assert layers_of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))) == []


def test_one_program_for_all_of_them_in_training_alone(compiled: list[Any]) -> None:
    model = Network(4, 4, 4)
    x = torch.randn(2, 4)
    expected, keys = model(x), list(model.state_dict())
    assert compile_layers(model) == 3 and compiled == [Block.forward]
    torch.testing.assert_close(model.train()(x), -expected)
    torch.testing.assert_close(model.eval()(x), expected)
    assert list(model.state_dict()) == keys


def test_a_copy_computes_with_its_own_weights(compiled: list[Any]) -> None:
    model = Network(4, 4)
    compile_layers(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    x = torch.randn(2, 4)
    assert not model(x).any() and other(x).any()


def test_a_layer_with_a_forward_of_its_own_keeps_it(compiled: list[Any]) -> None:
    model = Network(4, 4, 4)
    own = model.blocks[2].forward = lambda x, scale: x
    assert compile_layers(model) == 2 and model.blocks[2].forward is own


def test_it_pays_in_a_long_training_alone() -> None:
    model = Network(4, 4, 4)
    cost = compiled_layers.SECONDS_A_KIND / (1 - 1 / compiled_layers.GAIN)
    assert pays(model, cost * 1.1) and not pays(model, cost * 0.9)
    assert not pays(Network(4, 4, 8, 8), cost * 1.1)  # two kinds
    assert not pays(nn.Linear(2, 2), 1e9)
