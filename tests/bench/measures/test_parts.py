"""A training step in its parts: not where it is replayed as a whole."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.cases.case import Case
from bench.cases.targets import replays
from bench.measures import parts
from zoo.runtimes.deployment import Deployment


@pytest.mark.parametrize(
    ("deployment", "device", "expected"),
    [
        ("eager", "cuda", False),
        ("eager:cuda-graphs+bf16", "cuda", True),
        ("eager:cuda-graphs", "cpu", True),  # which then says that it has none
        ("compile+bf16", "cuda", False),
        ("compile:reduce-overhead+bf16", "cuda:1", True),
        ("compile:reduce-overhead", "cpu", False),
        ("compile:reduce-overhead-static", "cuda", False),
        ("compile:max-autotune", "cuda", False),
    ],
)
def test_which_steps_are_replayed(deployment: str, device: str, expected: bool) -> None:
    assert replays(Deployment.parse(deployment), device) == expected


def test_a_replayed_step_has_no_parts() -> None:
    case = Case.of("cnn_cls", "compile:reduce-overhead", device="cuda", phase="training")
    job: Any = SimpleNamespace(case=case)
    assert parts.measure(job).status == "not_measured"
