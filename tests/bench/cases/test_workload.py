"""The work of a batch: padding is none."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.cases.workload import work_of

WAVE = SimpleNamespace(unit="seconds", settled=SimpleNamespace(rate=8000, bins_first=False))
WHISPER = SimpleNamespace(unit="seconds", settled=SimpleNamespace(rate=8000, bins_first=True))
TEXT, IMAGE = SimpleNamespace(unit="tokens"), SimpleNamespace(unit="pixels")
MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("arrays", "task", "work"),
    [
        ({"input_ids": MASK, "attention_mask": MASK}, TEXT, {"samples": 2, "tokens": 5}),
        ({"input_ids": MASK}, TEXT, {"samples": 2, "tokens": 8}),
        ({"pixel_values": np.zeros((3, 3, 8, 16))}, IMAGE, {"samples": 3, "pixels": 384}),
        ({"input_values": np.zeros((2, 4000))}, WAVE, {"samples": 2, "seconds": 1.0}),
        ({"input_features": np.zeros((2, 50, 40))}, WAVE, {"samples": 2, "seconds": 1.0}),
        ({"input_features": np.zeros((2, 40, 50))}, WHISPER, {"samples": 2, "seconds": 1.0}),
        (
            {"input_features": np.zeros((1, 100, 40)), "attention_mask": np.ones((1, 100)) * 0.5},
            WAVE,
            {"samples": 1, "seconds": 0.5},
        ),
    ],
)
def test_work(arrays: dict[str, np.ndarray], task: object, work: dict[str, float]) -> None:
    assert work_of(arrays, task) == work
