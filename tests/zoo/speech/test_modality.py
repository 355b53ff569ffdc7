"""Sounds as a service is given them."""

from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from zoo.speech.modality import MODALITY


def test_samples_may_last_no_longer_than_a_file() -> None:
    """At a low rate a small body has hours of sound."""
    task: Any = None  # samples need none before they are resampled
    sound = {"array": np.zeros(12_000, np.float32), "sampling_rate": 1000}
    assert MODALITY.decode(sound, task, 12.0) is sound
    with pytest.raises(UserError, match="the sound: 12 s, longer than `max_seconds` 11"):
        MODALITY.decode(sound, task, 11.0)
