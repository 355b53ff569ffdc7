"""Spectrograms: the picture shows the pitch at its place, and odd sounds are drawn too."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tasks.speech.draw import spectrogram


def drawn(x: np.ndarray, rate: int = 16_000, title: str = "one $ two $ three") -> plt.Axes:
    figure, axes = plt.subplots()
    spectrogram(axes, x.astype(np.float32), rate, title)
    figure.canvas.draw()
    plt.close(figure)
    return axes


def test_a_tone_is_a_line_at_its_pitch() -> None:
    axes = drawn(0.5 * np.sin(2 * np.pi * 2_000 * np.arange(16_000) / 16_000))
    [image] = axes.get_images()
    picture = image.get_array()
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (0, 1, 0, 8)
    row = int(picture.mean(axis=1).argmax())
    assert row / (picture.shape[0] - 1) * top == pytest.approx(2.0, abs=0.03)
    assert picture.max() == pytest.approx(0)
    assert axes.get_title() == "one $ two $ three"


@pytest.mark.parametrize("length", [0, 1, 50, 400])
def test_short_and_silent_sounds(length: int) -> None:
    for x in (np.zeros(length), np.ones(length)):
        [image] = drawn(x).get_images()
        assert np.isfinite(image.get_array()).all()


def test_a_long_sound_is_no_larger_a_picture() -> None:
    [image] = drawn(np.random.default_rng(0).standard_normal(8_000 * 300), 8_000).get_images()
    assert image.get_array().shape[1] <= 2_001
