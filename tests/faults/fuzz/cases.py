"""One case: made, run, looked at."""

import contextlib
import os
import random
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cli import ROOT
from tests.faults.fuzz import checks, child, snapshots
from tests.faults.fuzz.checks import Fault
from tests.faults.fuzz.child import Outcome
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.kinds import KINDS


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    seed: int
    number: int
    kind: str
    command: Command
    outcome: Outcome
    faults: tuple[Fault, ...]

    @property
    def replay(self) -> str:
        """The command that runs it once more."""
        return f"python -m tests.faults.fuzz --seed {self.seed} --case {self.number}"

    @property
    def line(self) -> str:
        """Its command line."""
        return shlex.join(("python", "-m", self.command.program, *self.command.words))


def kind_of(seed: int, number: int) -> str:
    """Which kind a case is."""
    weights = [weight for weight, _ in KINDS.values()]
    return random.Random(f"{seed} {number} kind").choices([*KINDS], weights)[0]


def run(seed: int, number: int, world: Path, folder: Path) -> Result:
    """Makes a case in a folder of its own, runs it, and says what did not hold."""
    kind, scene, command = make(seed, number, world, folder)
    outcome, faults = examine(scene, command)
    return Result(seed, number, kind, command, outcome, faults)


def make(seed: int, number: int, world: Path, folder: Path) -> tuple[str, Scene, Command]:
    """A case's kind, its folder with the inputs in it, and what is to be run."""
    kind = kind_of(seed, number)
    folder.mkdir(parents=True)
    scene = Scene(random.Random(f"{seed} {number}"), world, folder)
    return kind, scene, KINDS[kind][1](scene)


def examine(scene: Scene, command: Command) -> tuple[Outcome, tuple[Fault, ...]]:
    """Runs a command, and says what did not hold."""
    world, folder = scene.world, scene.folder
    around, before = _around(world, folder), snapshots.take(folder)
    outcome = child.run(command, folder)
    after = snapshots.take(folder)
    faults = list(checks.faults(command, outcome, scene, before, after))
    for path in snapshots.differences(around, _around(world, folder)):
        faults.append(Fault("written outside", path.removeprefix(str(world))))
    return outcome, tuple(faults)


def _around(world: Path, folder: Path) -> snapshots.Snapshot:
    """What no case may touch: the world, this checkout, and what lies beside the case."""
    beside = {path.name: () for path in folder.parent.iterdir()}
    return {**snapshots.glance(world, ROOT), **beside}


def remove(folder: Path) -> None:
    """Removes a case's folder, whatever lies in it."""
    with contextlib.suppress(FileNotFoundError):
        for place, _, _ in os.walk(folder):
            Path(place).chmod(0o700)
        shutil.rmtree(folder)
