"""What is timed, and what must not happen meanwhile."""

import torch

from bench.cases.targets import Violations


def test_compiling_anew_is_a_violation() -> None:
    program = torch.compile(lambda x: x + 1, backend="eager", dynamic=False)
    program(torch.zeros(2))
    asked = Violations()
    program(torch.zeros(2))
    assert asked() == []
    program(torch.zeros(3))
    assert asked() == ["frames compiled: 1"]
    assert asked() == []
