"""What evaluate lists beside the metrics."""

import numpy as np

from zoo.predict.evaluate import top_confusions


def test_the_most_frequent_confusions_come_first() -> None:
    matrix = np.array([[9, 1, 0], [4, 7, 2], [1, 0, 5]])
    assert top_confusions(matrix, ("a", "b", "c")) == [
        ("b", "a", 4),
        ("b", "c", 2),
        ("a", "b", 1),
        ("c", "a", 1),
    ]
