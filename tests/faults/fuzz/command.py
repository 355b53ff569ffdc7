"""What a case is: a command line, what surrounds it, and what it may do."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """`python -m PROGRAM WORDS`, and what it may leave behind."""

    program: str
    words: tuple[str, ...]
    what: str
    """what is odd about it, in one line"""
    stdin: bytes | None = None
    """what it may read; by default nobody may, and consent to everything stands there"""
    output: Path | None = None
    """file it is to write when it succeeds, and to leave alone otherwise"""
    rows: int | None = None
    """predictions in `output`, or else on standard output, when it succeeds"""
    run: Path | None = None
    """folder of a checkpoint that it makes: whole, or not to be opened"""
    writes: tuple[str, ...] = ()
    """patterns of what may change among its inputs, or come to them"""
    prepare: Callable[[], None] = lambda: None
    """called in the child before the command: a server it talks to"""
    signal: int | None = None
    """what stops it in the middle"""
    is_terminal: bool = False
    encoding: str = "utf-8"
    """of a terminal"""
    limit_s: float = 30.0
    memory_mb: float = 1200.0
    """most that it may take above what the warm process has"""


@dataclass
class Scene:
    """A case's own folder, what it may copy from, and its source of chance."""

    draw: random.Random
    world: Path
    folder: Path
    inputs: Path = field(init=False)
    """what the command is given: nothing in it may change"""
    out: Path = field(init=False)
    """where it is to write"""

    def __post_init__(self) -> None:
        self.inputs, self.out = self.folder / "in", self.folder / "out"
        for place in (self.inputs, self.out):
            place.mkdir(parents=True)

    @property
    def run(self) -> Path:
        """The folder of a checkpoint that it makes."""
        return self.out / "run"

    def copy(self, name: str, to: str | None = None, without: tuple[str, ...] = ()) -> Path:
        """A file or folder of the world among the inputs."""
        source, target = self.world / name, self.inputs / (to or Path(name).name)
        if source.is_file():
            return Path(shutil.copy(source, target))
        return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns(*without)))

    def chance(self, share: float) -> bool:
        """True for this share of all cases."""
        return self.draw.random() < share


Kind = Callable[[Scene], Command]
"""Makes the inputs of a case and says what is to be run."""
