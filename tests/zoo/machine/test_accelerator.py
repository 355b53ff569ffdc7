"""Another device than the process began with."""

from collections.abc import Iterator

import pytest
import torch
from accelerate import DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState

from zoo.machine.accelerator import accelerator_on

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_later_device_counts() -> None:
    """As after a training on a GPU, whose accelerator lives on."""
    accelerator_on(CPU)
    PartialState().device = torch.device("cuda", 0)
    assert accelerator_on(CPU).device == CPU


def test_the_same_device_keeps_its_state() -> None:
    accelerator_on(CPU)
    kept = PartialState._shared_state
    before = dict(kept)
    found = accelerator_on(CPU, DistributedDataParallelKwargs(find_unused_parameters=True))
    assert dict(kept) == before and found.ddp_handler.find_unused_parameters


def test_ranks_keep_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate's refusal stays where a group has been joined."""
    accelerator_on(CPU)
    PartialState().device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(ValueError, match="already been initialized"):
        accelerator_on(CPU)
