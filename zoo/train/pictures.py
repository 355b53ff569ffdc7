"""Plots as PNG files: training curves and confusion matrices."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.printing import visible


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    figure.savefig(temporary, format="png", dpi=120)
    temporary.replace(path)


def training_curves(path: Path, records: Sequence[Mapping[str, Any]], metric: str) -> None:
    """Training and validation loss, and the main metric, over epochs."""
    figure, subplots = _figure(10, 4)
    losses, metrics = subplots(1, 2)
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
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def confusion_matrix(path: Path, matrix: np.ndarray, labels: Sequence[str]) -> None:
    """Counts int64 [labels, labels], rows the truth, shaded by the share of the row."""
    size = max(4.0, 0.6 * len(labels) + 2)
    figure, subplots = _figure(size + 1, size)
    axes = subplots()
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
    _save(figure, path)


def grid(
    path: Path, drawn: Sequence[tuple[Callable[[Any, Any], None], Any]], titles: Sequence[str]
) -> None:
    """Small pictures with a title each, five in a row; each is a function of axes and its
    argument."""
    columns = min(5, len(drawn))
    rows = -(-len(drawn) // columns)
    widest = max(max(map(len, title.split("\n"))) for title in titles)
    figure, subplots = _figure(columns * max(1.8, 0.075 * widest), rows * 2.1)
    axes = subplots(rows, columns, squeeze=False).reshape(-1)
    for place, (draw, argument), title in zip(axes, drawn, titles, strict=False):
        draw(place, argument)
        place.set_title(title, fontsize=8, parse_math=False)
    for place in axes[len(drawn) :]:
        place.set_axis_off()
    _save(figure, path)
