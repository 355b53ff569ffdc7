"""The constraints of `nox -s lowest`, made from pyproject's lower bounds."""

import subprocess

import pytest

from tests import lowest
from tests.cli import ROOT

PROJECT = """
[project]
dependencies = ["torch>=2.11,<2.14", "torchvision", "Some.Thing >= 1.2 ; python_version > '3'", "a"]
[project.optional-dependencies]
more = ["exact[extra]==3.0", "zoo[other]", "newest<5"]
"""
PINS = {"torch": "2.13.0", "torchvision": "0.28.0", "a": "4.5", "some-thing": "2.0", "below": "9"}


def test_lower_bounds_are_read() -> None:
    found = lowest.floors(lowest.requirements(PROJECT))
    assert found == {"torch": "2.11", "some-thing": "1.2", "exact": "3.0"}


@pytest.mark.parametrize("has_torch", [True, False])
def test_what_has_a_bound_is_held_to_it_and_the_rest_is_no_newer(has_torch: bool) -> None:
    found = lowest.constraints(PINS, lowest.floors(lowest.requirements(PROJECT)), has_torch)
    common = ["a<=4.5", "below<=9", "exact==3.0", "some-thing==1.2"]
    family = ["torch==2.11"] if has_torch else ["torch==2.13.0", "torchvision==0.28.0"]
    assert found == common + family, "torchvision follows torch"


@pytest.mark.parametrize(
    ("said", "is_there"),
    [
        ("Available versions: 2.13.0+cpu, 2.13.0, 2.11.0+cpu", True),
        ("Available versions: 2.13.0+cpu, 2.11.0, 2.11.10+cpu", False),
        ("", False),
    ],
)
def test_a_build_for_processors(said: str, is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 0, said, "")
    monkeypatch.setattr(lowest.subprocess, "run", lambda *args, **kwargs: done)
    assert lowest.has_cpu_build("2.11") == is_there


def test_every_dependency_has_a_bound_that_was_tested() -> None:
    """But for those that torch's version decides."""
    wanted = lowest.requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    core = wanted[: wanted.index("torch-tb-profiler>=0.4.3") + 1]
    names = {lowest.normalized(lowest.REQUIREMENT.match(line)["name"]) for line in core}
    assert names - set(lowest.floors(core)) == {"torchvision", "torchaudio"}
    pins = lowest.pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert set(lowest.floors(core)) <= set(pins)
