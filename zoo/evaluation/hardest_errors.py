"""The wrong predictions a model was surest of: these tell most about model and labels."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import atomic
from tasks.base import Features, HasPicture, Task
from tasks.data.fingerprint import sha256
from tasks.printing import visible
from zoo.evaluation.loop import Mistake
from zoo.machine import terminal

if TYPE_CHECKING:
    import datasets

MOST = 20  # pictures in a grid
RECORD = "mistakes.json"
"""In `plots`, for the card that is rendered here. It holds examples of the data, and is never
published."""
NAME = 24  # characters of a file's name below a picture: its end tells most


def rows(
    worst: Sequence[Mistake], task: Task, features: Features, examples: "datasets.Dataset"
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the header and the rows of a table of mistakes, as plain text on one line a cell.

    The score is the probability of the prediction; its column is there where a task has one.

    Args:
        examples: the split that the features were made from.
    """
    scored = any(mistake.score is not None for mistake in worst)
    header = ("loss", *(("score",) if scored else ()), "true", "predicted", "example")
    cells = []
    for mistake, origin in zip(worst, _origins(worst, features), strict=True):
        score = "-" if mistake.score is None else f"{mistake.score:.3f}"
        cells.append(
            (
                f"{mistake.loss:.3f}",
                *((score,) if scored else ()),
                short(mistake.truth),
                short(mistake.said),
                short(" ".join(task.show(examples[origin], origin).split())),
            )
        )
    return header, cells


def show(
    worst: Sequence[Mistake], task: Task, features: Features, examples: "datasets.Dataset"
) -> None:
    """Print a table of mistakes; `examples` is the split that the features were made from."""
    if worst:
        header, cells = rows(worst, task, features, examples)
        terminal.table(header, cells, "worst mistakes", after_gap=True)


def markdown(
    worst: Sequence[Mistake], task: Task, features: Features, examples: "datasets.Dataset"
) -> str:
    """Return a table of mistakes in Markdown, for TensorBoard; empty without mistakes."""
    if not worst:
        return ""
    header, cells = rows(worst, task, features, examples)
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(
    folder: Path,
    worst: Sequence[Mistake],
    task: Task,
    features: Features,
    examples: "datasets.Dataset",
) -> Path | None:
    """Draw mistakes next to each other in `plots/mistakes.png` and return its path; None if the
    task's examples are not pictures.

    Above each stand its true label, the predicted one with its probability, and the name of its
    file.
    """
    if not (worst and isinstance(task, HasPicture)):
        return None
    from zoo.machine import fonts, plots

    shown = worst[:MOST]
    features_shown = features.__getitems__([mistake.sample for mistake in shown])
    files = [
        _end(Path(task.show(examples[origin], origin)).name) for origin in _origins(shown, features)
    ]
    choice = fonts.choose(text for m in shown for text in (m.truth, m.said, *files))
    numbers = fonts.renamed(task.labels, choice)

    def named(text: str) -> str:
        """Return labels as the fonts can show them, by number where they can't."""
        parts = [numbers.get(part) or choice.ascii(part) for part in text.split("|")]
        return short("|".join(parts), 40)

    titles = []
    for mistake, file in zip(shown, files, strict=True):
        score = "" if mistake.score is None else f"  {mistake.score:.2f}"
        said = f"{named(mistake.said)}{score}"
        titles.append(f"true: {named(mistake.truth)}\nsaid: {said}\n{choice.ascii(file)}")
    path = folder / "plots" / "mistakes.png"
    plots.grid(path, [(task.draw, row) for row in features_shown], titles)
    fonts.warn(path, choice, fonts.numbered(task.labels, choice)[1] if numbers else None)
    return path


def record(
    folder: Path,
    table: tuple[Sequence[str], Sequence[Sequence[str]]],
    picture: Path | None,
    said: Mapping[str, Any],
) -> None:
    """Write a table of mistakes to `plots/mistakes.json` in a checkpoint's folder.

    Args:
        table: header and rows of `rows`.
        picture: of the same mistakes, as `picture` returns it.
        said: what was evaluated: `subject`, `dataset`, `split`, as facts have them.
    """
    header, cells = table
    content = {
        **{name: said[name] for name in ("subject", "dataset", "split")},
        "header": list(header),
        "rows": [list(row) for row in cells],
        "picture": None if picture is None else {"name": picture.name, "sha256": sha256(picture)},
    }
    path = folder / "plots" / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_json(path, content)


def short(text: str, width: int = 100) -> str:
    """Return at most `width` characters of a text, with control characters escaped."""
    plain = visible(text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"


def _origins(worst: Sequence[Mistake], features: Features) -> list[int]:
    """Return the row of the split that each mistake is of."""
    return [int(features.origins[mistake.sample]) for mistake in worst]


def _end(name: str) -> str:
    """Return the end of a file's name, with control characters escaped."""
    plain = visible(name)
    return plain if len(plain) <= NAME else "…" + plain[1 - NAME :]


def _cell(text: str) -> str:
    """Return a text as it is in a cell of Markdown, where it is no markup."""
    marks = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]|#"})
    return html.escape(text, quote=False).translate(marks)
