"""Figures of a training: what they show, and that nothing in them is empty."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.machine import plots


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved."""
    found: list[Any] = []
    save = plots.save
    monkeypatch.setattr(
        plots, "save", lambda figure, *rest: (found.append(figure), save(figure, *rest))
    )
    return found


def record(split: str, epoch: float, **values: float) -> dict[str, Any]:
    return {"split": split, "epoch": epoch, **values}


def test_curves_of_loss_and_metric(tmp_path: Path, saved: list[Any]) -> None:
    records = [record("train", i / 10, loss=1 / (i + 1)) for i in range(30)]
    records += [record("validation", i, loss=0.5, accuracy=i / 4) for i in (1, 2, 3)]
    plots.training_curves(tmp_path / "training.png", records, "accuracy")
    losses, metric = saved[0].axes
    assert [len(line.get_xdata()) for line in losses.lines] == [30, 3]
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["train", "validation"]
    assert list(metric.lines[0].get_ydata()) == [0.25, 0.5, 0.75]


@pytest.mark.parametrize("records", [[], [record("train", 1.0, loss=0.5)]], ids=["none", "one"])
def test_without_an_evaluation_there_is_no_empty_chart(
    records: list[Any], tmp_path: Path, saved: list[Any]
) -> None:
    plots.training_curves(tmp_path / "training.png", records, "accuracy")
    (losses,) = saved[0].axes
    assert all(line.get_marker() == "o" for line in losses.lines), "a point has no line"
    assert len(losses.lines) == len(records)


def test_the_counts_of_a_matrix_stand_where_they_are(tmp_path: Path, saved: list[Any]) -> None:
    matrix = np.array([[1234, 0], [7, 0]])
    plots.confusion_matrix(tmp_path / "matrix.png", matrix, ["a", "b"])
    axes = saved[0].axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "1,234",
        (1, 0): "0",
        (0, 1): "7",
        (1, 1): "0",
    }
    assert axes.get_ylabel() == "true" and axes.get_xlabel() == "predicted"


def test_a_grid_leaves_the_rest_of_its_last_row_empty(tmp_path: Path, saved: list[Any]) -> None:
    drawn = [(lambda axes, row: axes.plot(row), [i, 1]) for i in range(7)]
    plots.grid(tmp_path / "grid.png", drawn, [f"true: {i}\nsaid: x\nfile" for i in range(7)])
    axes = saved[0].axes
    assert len(axes) == 10 and [one.axison for one in axes] == [True] * 7 + [False] * 3
    assert axes[6].get_title() == "true: 6\nsaid: x\nfile"
