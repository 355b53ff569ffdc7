"""Images in a plot."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tasks.vision import draw
from tests.cli import run_program


@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_image_in_its_pixels(channels: int) -> None:
    figure = Figure(figsize=(1, 1), dpi=80)
    canvas = FigureCanvasAgg(figure)
    image = np.full((2, 2, channels), 100, np.uint8)
    image[0, 1] = 200
    draw.image(figure.add_axes((0, 0, 1, 1)), image)
    canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[:, :, :3]
    assert (shown[:38, :38] == 100).all() and (shown[:38, 42:] == 200).all()
    assert (shown[42:] == 100).all()  # not stretched from the darkest to the brightest


def test_it_does_without_pyplot() -> None:
    code = "import sys, tasks.vision.draw; print('matplotlib' in sys.modules)"
    done = run_program(code)
    assert done.out.strip() == "False"
