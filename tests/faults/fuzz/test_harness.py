"""The fuzzer finds what it looks for, and nothing where there is nothing."""

import random
from pathlib import Path

import pytest

from tests.faults.fuzz import cases, mutations
from tests.faults.fuzz.command import Command, Scene

PROGRAM = "tests.faults.fuzz.broken"
FOUND = {
    "nothing": [],
    "a mistake": [],
    "traceback": ["traceback"],
    "a thread": ["traceback"],
    "hang": ["hang"],
    "memory": ["memory"],
    "crash": ["crash"],
    "code": ["exit code"],
    "wordy": ["several sentences"],
    "mute": ["no sentence"],
    "partial": ["partial output"],
    "touched": ["input touched"],
    "mode": ["input touched"],
    "left": ["left behind"],
    "temporary": ["left in a folder of others"],
    "fewer": ["fewer predictions"],
    "no output": ["no output"],
    "stdin": ["read stdin"],
    "steering": ["steers the terminal"],
    "outside": ["written outside"],
    "beside": ["written outside"],
    "running": ["left running"],
}
"""What a program does wrong, and what is to be found."""


def _scene(folder: Path) -> tuple[Scene, Path, Path]:
    (folder / "world").mkdir()
    scene = Scene(random.Random(0), folder / "world", folder / "case")
    given = scene.inputs / "given.txt"
    given.write_text("precious")
    return scene, given, scene.out / "labels.jsonl"


@pytest.mark.parametrize("fault", FOUND)
def test_each_fault_is_found(fault: str, tmp_path: Path) -> None:
    scene, given, out = _scene(tmp_path)
    limit_s = 0.5 if fault == "hang" else 20
    command = Command(
        PROGRAM,
        (fault, str(given), str(out)),
        fault,
        output=out,
        rows=2,
        limit_s=limit_s,
        memory_mb=100,
    )
    outcome, faults = cases.examine(scene, command)
    assert [one.what for one in faults] == FOUND[fault], (faults, outcome)


def test_a_fault_has_its_place(tmp_path: Path) -> None:
    """What is found twice is told once, by the place in the project that it comes from."""
    scene, given, out = _scene(tmp_path)
    words = ("info", str(given))
    _, faults = cases.examine(scene, Command("zoo", words, "a file for a folder"))
    assert [one.what for one in faults] == []
    words = ("traceback", str(given), str(out))
    scene = Scene(random.Random(0), tmp_path / "world", tmp_path / "again")
    _, (fault,) = cases.examine(scene, Command(PROGRAM, words, ""))
    assert fault.where == "tests/faults/fuzz/broken.py _traceback ValueError"


def test_what_a_command_may_write_is_no_fault(tmp_path: Path) -> None:
    scene, given, out = _scene(tmp_path)
    words = ("touched", str(given), str(out))
    _, faults = cases.examine(scene, Command(PROGRAM, words, "", writes=("given.*",)))
    assert faults == ()


def test_damage_is_a_function_of_its_seed() -> None:
    content = b'{"labels": ["a", "b"], "sizes": {"width": 3}}'
    for seed in range(200):
        first, what = mutations.spoil_json(random.Random(seed), content)
        assert (first, what) == mutations.spoil_json(random.Random(seed), content)
        assert isinstance(first, bytes)
    kinds = {cases.kind_of(1, number) for number in range(2000)}
    assert kinds == set(cases.KINDS)
