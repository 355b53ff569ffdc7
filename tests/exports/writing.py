"""What the tests of exported models that write have in common."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli import run_cli
from zoo.measure import Estimate, Interval
from zoo.runtimes.signature import Signature


class Timed:
    """A speedup and a time, as the stopwatch gives them."""

    def __init__(self, value: float) -> None:
        between = Interval(value * 0.9, value * 1.1, 0.99, "made up")
        self.speedup = self.median = Estimate(value, between, 5)


@dataclass(frozen=True)
class Artifact:
    """Exported programs that were not put in place, as a runner reads them."""

    folder: Path
    manifest: Any
    signature: Signature = field(default=Signature((), ("logits",), {}))


def predicted(module: str, folder: Path, deployment: str, *flags: object) -> list[str]:
    """The lines that `predict` prints of a checkpoint under a deployment, on the processor."""
    words = ("--deployment", deployment, "--device", "cpu", *flags)
    done = run_cli(module, "predict", folder, *words)
    assert done.code == 0, done.err
    return done.lines
