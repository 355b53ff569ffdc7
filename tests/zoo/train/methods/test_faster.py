"""When the layers of a network are compiled: where it is asked for, or where a GPU wins by it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.zoo.speedups.test_compiled_layers import Network
from zoo.speedups.compiled_layers import CompiledForward
from zoo.train.args import TrainArgs
from zoo.train.methods import faster
from zoo.train.methods.faster import Speedups

DATA: Any = SimpleNamespace(features={"train": None}, task=None)


def trained(monkeypatch: pytest.MonkeyPatch, device: str, seconds: float, **flags: Any) -> Any:
    """A network as it is trained, and the speed-ups that it was given."""
    monkeypatch.setattr(faster, "network_of", lambda entry: None)
    monkeypatch.setattr(faster, "speed_up", lambda network, model, *more: given.append(model))
    monkeypatch.setattr(faster, "forecast", lambda *asked: SimpleNamespace(seconds=seconds))
    given: list[nn.Module] = []
    setup: Any = SimpleNamespace(
        args=TrainArgs(**flags),
        device=torch.device(device),
        dtype=torch.float32,
        entry=None,
        is_main=False,
        accelerator=SimpleNamespace(num_processes=1),
    )
    model = Speedups(setup, ()).model(Network(4, 4, 4), DATA)
    compiled = [isinstance(block.forward, CompiledForward) for block in model.blocks]
    assert len(set(compiled)) == 1
    return compiled[0], len(given)


@pytest.mark.parametrize(
    ("device", "seconds", "flags", "expected"),
    [
        ("cpu", 1e6, {}, (False, 1)),
        ("cuda", 10, {}, (False, 1)),
        ("cuda", 1e6, {}, (True, 1)),
        ("cuda", 1e6, {"compile_layers": "off"}, (False, 1)),
        ("cuda", 10, {"compile_layers": "on"}, (True, 1)),
        ("cuda", 10, {"compile_layers": "on", "speedups": False}, (True, 0)),
        ("cpu", 10, {"compile_layers": "on"}, (True, 0)),  # the compiler does its own there
    ],
)
def test_what_is_compiled(
    device: str,
    seconds: float,
    flags: dict[str, Any],
    expected: tuple[bool, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert trained(monkeypatch, device, seconds, **flags) == expected


def test_who_asks_for_it() -> None:
    for flags, asked in (
        ({}, True),
        ({"speedups": False}, False),
        ({"speedups": False, "compile_layers": "on"}, True),
        ({"torch_compile": True}, False),
    ):
        assert Speedups.is_asked(TrainArgs(**flags)) == asked  # type: ignore[arg-type]
