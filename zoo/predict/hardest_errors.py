"""The wrong predictions a model was surest of: these tell most about model and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.base import Features, HasPicture, Task
from tasks.printing import visible
from zoo.evaluation.loop import Mistake
from zoo.machine import terminal

if TYPE_CHECKING:
    import datasets

MOST = 20  # pictures in a grid


def show(
    worst: Sequence[Mistake], task: Task, features: Features, examples: "datasets.Dataset"
) -> None:
    """Print a table of mistakes; `examples` is the split that the features were made from."""
    if not worst:
        return
    origins = [int(features.origins[mistake.sample]) for mistake in worst]
    rows = [
        (
            f"{mistake.loss:.3f}",
            short(mistake.truth),
            short(mistake.said),
            short(" ".join(task.show(examples[origin], origin).split())),
        )
        for mistake, origin in zip(worst, origins, strict=True)
    ]
    header = ("loss", "true", "predicted", "example")
    terminal.table(header, rows, "worst mistakes", after_gap=True)


def picture(folder: Path, worst: Sequence[Mistake], task: Task, features: Features) -> Path | None:
    """Draw mistakes next to each other in `plots/mistakes.png` and return its path; None if the
    task's examples are not pictures."""
    if not (worst and isinstance(task, HasPicture)):
        return None
    from zoo.machine import plots

    shown = worst[:MOST]
    rows = features.__getitems__([mistake.sample for mistake in shown])
    path = folder / "plots" / "mistakes.png"
    titles = [f"true: {short(m.truth, 40)}\nsaid: {short(m.said, 40)}" for m in shown]
    plots.grid(path, [(task.draw, row) for row in rows], titles)
    return path


def short(text: str, width: int = 100) -> str:
    """Return at most `width` characters of a text, with control characters escaped."""
    plain = visible(text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
