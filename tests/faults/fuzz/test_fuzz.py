"""Whatever the command line is given, it ends in a result or in one sentence.

ZOO_FUZZ_CASES and ZOO_FUZZ_SEED say how much is tried, and what.
"""

import os
from pathlib import Path

import pytest

from tests.cli import run_process
from tests.faults.fuzz import cases, child, snapshots, world

CASES = int(os.environ.get("ZOO_FUZZ_CASES", "200"))
SEED = int(os.environ.get("ZOO_FUZZ_SEED", "1"))
SECONDS_A_CASE = 3  # where others use the machine as well; it takes half a second by itself


@pytest.mark.slow
@pytest.mark.timeout(120 + SECONDS_A_CASE * CASES)
def test_no_case_ends_badly() -> None:
    words = ("--seed", SEED, "--cases", CASES)
    done = run_process("tests.faults.fuzz", *words, timeout=100 + SECONDS_A_CASE * CASES)
    print(done.out, done.err)
    assert done.code == 0, done.out


@pytest.mark.slow
def test_a_case_is_a_function_of_its_seed_and_number(tmp_path: Path) -> None:
    child.call(lambda: world.make(tmp_path / "world"), tmp_path / "log")
    for number in range(150):
        made = []
        for attempt in ("first", "second"):
            folder = tmp_path / attempt / "case"
            _, scene, command = cases.make(3, number, tmp_path / "world", folder)
            words = [word.replace(attempt, "") for word in command.words]
            made.append((command.program, words, _content(scene.inputs, attempt)))
            cases.remove(folder)
        assert made[0] == made[1], number


def _content(folder: Path, attempt: str) -> dict[str, object]:
    """Names and contents, without the times."""
    found = snapshots.take(folder)
    return {path: (said[0], str(said[-1]).replace(attempt, "")) for path, said in found.items()}
