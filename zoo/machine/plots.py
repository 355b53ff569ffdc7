"""Figures of matplotlib: made, saved; and those of training: curves, confusion matrices, grids."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.printing import visible
from zoo.machine import output_file


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

    Args:
        what: the flag that named the file, for messages.
    """
    with output_file.replacing(path, what) as file:
        figure.savefig(file, format=path.suffix.lower().removeprefix("."), dpi=dpi)


def training_curves(path: Path, records: Sequence[Mapping[str, Any]], metric: str) -> None:
    """Plot training and validation loss, and the main metric, over epochs."""
    figure = new_figure(10, 4)
    losses, metrics = figure.subplots(1, 2)
    for split, style in (("train", "-"), ("validation", "o-")):
        chosen = [r for r in records if r["split"] == split]
        if chosen:
            losses.plot(
                [r["epoch"] for r in chosen], [r["loss"] for r in chosen], style, label=split
            )
    chosen = [r for r in records if r["split"] == "validation" and metric in r]
    metrics.plot([r["epoch"] for r in chosen], [r[metric] for r in chosen], "o-", color="C1")
    losses.set(xlabel="epoch", ylabel="loss", title="loss")
    metrics.set(xlabel="epoch", ylabel=metric, title=f"{metric} (validation)")
    if losses.lines:
        losses.legend(frameon=False)
    for axes in (losses, metrics):
        tidy(axes)
    save(figure, path)


def confusion_matrix(path: Path, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Plot a confusion matrix, counts int64 [labels, labels] with the truth in rows, shaded by
    share of the row."""
    size = max(4.0, 0.6 * len(labels) + 2)
    figure = new_figure(size + 1, size)
    axes = figure.subplots()
    totals = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(
        xticks=range(len(labels)), yticks=range(len(labels)), xlabel="predicted", ylabel="true"
    )
    names = [visible(label) for label in labels]
    axes.set_xticklabels(names, rotation=45, ha="right", parse_math=False)  # a "$" is a dollar
    axes.set_yticklabels(names, parse_math=False)
    if len(labels) <= 30:
        for i, row in enumerate(matrix):
            for j, count in enumerate(row):
                colour = "white" if shares[i, j] > 0.5 else "black"
                axes.text(j, i, f"{count:,}", ha="center", va="center", color=colour)
    figure.colorbar(image, label="share of the true label")
    save(figure, path)


def grid(
    path: Path, drawn: Sequence[tuple[Callable[[Any, Any], None], Any]], titles: Sequence[str]
) -> None:
    """Plot small titled pictures, five in a row; each is a function of axes and an argument."""
    columns = min(5, len(drawn))
    rows = -(-len(drawn) // columns)
    widest = max(max(map(len, title.split("\n"))) for title in titles)
    figure = new_figure(columns * max(1.8, 0.075 * widest), rows * 2.1)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for place, (draw, argument), title in zip(axes, drawn, titles, strict=False):
        draw(place, argument)
        place.set_title(title, fontsize=8, parse_math=False)
    for place in axes[len(drawn) :]:
        place.set_axis_off()
    save(figure, path)
