"""Figures of matplotlib: made, saved; and those of training: curves, confusion matrices, grids.

Labels of any script are drawn with fonts of this machine that have them (`zoo.machine.fonts`).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.printing import visible
from zoo.machine import fonts, output_file
from zoo.machine.formatting import width

NAMED = 60
"""Labels of a confusion matrix up to which each has its name; of more the picture has numbers."""
DOTTED = 20
"""Records of training up to which each is a point: a single one would have no line."""
COUNTED = 30
"""Labels of a confusion matrix up to which its cells have their counts."""


def new_figure(width: float, height: float) -> Any:
    """Return a `matplotlib.figure.Figure`, size in inches, made without pyplot: no global state, no
    display, and nothing to close."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Any) -> None:
    """Give axes a faint grid, and remove the frame above and to the right."""
    axes.grid(alpha=0.3, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Any, path: Path, what: str = "the picture", dpi: int = 120) -> None:
    """Write a figure to a file in the format of its extension; see `output_file.replacing`.

    Texts get fonts that have their characters. What no font of this machine has is escaped, and
    one line on standard error says so.

    Args:
        what: the flag that named the file, for messages.
    """
    choice = fonts.choose(fonts.texts_of(figure))
    fonts.apply(figure, choice)
    fonts.warn(path, choice)
    with output_file.replacing(path, what) as file:
        figure.savefig(file, format=path.suffix.lower().removeprefix("."), dpi=dpi)


def training_curves(path: Path, records: Sequence[Mapping[str, Any]], metric: str) -> None:
    """Plot training and validation loss over epochs and, if it was evaluated, the main metric."""
    measured = [r for r in records if r["split"] == "validation" and metric in r]
    margins = 0.85, 0.15, 0.55, 0.35  # for a title, and numbers of six digits
    losses, *others = _cells(1, 2 if measured else 1, (5, 4), margins)
    for split in ("train", "validation"):
        chosen = [r for r in records if r["split"] == split]
        if chosen:
            style = "-" if split == "train" and len(chosen) > DOTTED else "o-"
            _curve(losses, chosen, "loss", style, label=split)
    losses.set(xlabel="epoch", title="loss")
    if losses.lines:
        losses.legend(frameon=False)
    for axes in others:
        _curve(axes, measured, metric, "o-", color="C1")
        axes.set(xlabel="epoch", title=f"{metric} (validation)")
    for axes in (losses, *others):
        tidy(axes)
    save(losses.figure, path)


def _cells(
    rows: int, columns: int, size: tuple[float, float], margins: tuple[float, float, float, float]
) -> list[Any]:
    """Return the axes of a figure of equal cells, row by row.

    A layout that measures what is drawn draws each figure twice, and a run of seconds would wait
    for it: so the margins are given.

    Args:
        size: width and height of a cell in inches.
        margins: left, right, below and above the axes of a cell, in inches.
    """
    from matplotlib.figure import Figure

    (width, height), (left, right, below, above) = size, margins
    figure = Figure(figsize=(columns * width, rows * height))
    figure.subplots_adjust(
        left=left / (columns * width),
        right=1 - right / (columns * width),
        bottom=below / (rows * height),
        top=1 - above / (rows * height),
        wspace=(left + right) / (width - left - right),
        hspace=(below + above) / (height - below - above),
    )
    return list(np.ravel(figure.subplots(rows, columns)))


def _curve(
    axes: Any, records: Sequence[Mapping[str, Any]], name: str, style: str, **look: Any
) -> None:
    axes.plot([r["epoch"] for r in records], [r[name] for r in records], style, **look)


def confusion_matrix(path: Path, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Plot a confusion matrix, counts int64 [labels, labels] with the truth in rows, shaded by
    share of the row.

    Where no font has the characters of a label, and of more than NAMED labels, the axes have their
    numbers, from 0.
    """
    count = len(labels)
    shown = [visible(label) for label in labels]
    choice = fonts.choose(shown if count <= NAMED else ())
    names, note = fonts.numbered(shown, choice)
    size = max(4.0, 0.6 * min(count, NAMED) + 2)
    figure = new_figure(size + 1, size)
    axes = figure.subplots()
    totals = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if count <= NAMED:
        axes.set(xticks=range(count), yticks=range(count))
        slant: dict[str, Any] = {} if note else {"rotation": 45, "ha": "right"}
        names = [choice.ascii(name) for name in names]
        axes.set_xticklabels(names, parse_math=False, **slant)  # a "$" is a dollar
        axes.set_yticklabels(names, parse_math=False)
    if count <= COUNTED:
        for i, row in enumerate(matrix):
            for j, times in enumerate(row):
                colour = "white" if shares[i, j] > 0.5 else "black"
                axes.text(j, i, f"{times:,}", ha="center", va="center", color=colour)
    figure.colorbar(image, label="share of the true label")
    save(figure, path)
    fonts.warn(path, choice, note)


def grid(
    path: Path, drawn: Sequence[tuple[Callable[[Any, Any], None], Any]], titles: Sequence[str]
) -> None:
    """Plot small titled pictures, five in a row; each is a function of axes and an argument."""
    columns = min(5, len(drawn))
    rows = -(-len(drawn) // columns)
    widest = max(width(line) for title in titles for line in title.split("\n"))
    lines = max(title.count("\n") + 1 for title in titles)
    size = max(1.8, 0.075 * widest), 1.85 + 0.15 * lines
    axes = _cells(rows, columns, size, (0.05, 0.05, 0.05, 0.1 + 0.15 * lines))
    for place, (draw, argument), title in zip(axes, drawn, titles, strict=False):
        draw(place, argument)
        place.set_title(title, fontsize=8, parse_math=False)
    for place in axes[len(drawn) :]:
        place.set_axis_off()
    save(axes[0].figure, path)
