"""What evaluate lists beside the metrics."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from zoo.cli.args import EvaluateArgs
from zoo.predict.evaluate import _as_told, top_confusions


def test_the_most_frequent_confusions_come_first() -> None:
    matrix = np.array([[9, 1, 0], [4, 7, 2], [1, 0, 5]])
    assert top_confusions(matrix, ("a", "b", "c")) == [
        ("b", "a", 4),
        ("b", "c", 2),
        ("a", "b", 1),
        ("c", "a", 1),
    ]


@pytest.mark.parametrize(
    ("flag", "what"),
    [
        ({"box_format": "xyxy"}, "boxes"),
        ({"objects_column": "things"}, "boxes"),
        ({"classes": "classes.csv"}, "masks"),
    ],
)
def test_how_data_are_written_is_for_tasks_that_read_them(flag: dict[str, Any], what: str) -> None:
    task = SimpleNamespace(name="text-classification", args=SimpleNamespace())
    with pytest.raises(UserError, match=f"`{next(iter(flag))}` is for {what}, and text-class"):
        _as_told(task, EvaluateArgs(Path("runs/x"), **flag))
    assert _as_told(task, EvaluateArgs(Path("runs/x"))) is task
