"""An image in a plot."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tasks.vision.images import Pixels

SMALL = 64  # pixels of a side up to which each is worth seeing


def image(axes: "Axes", array: "Pixels") -> None:
    """Shows an image, uint8 [height, width, 1 or 3], without ticks; a small one in its pixels."""
    small = max(array.shape[:2]) <= SMALL
    grey = array.shape[2] == 1
    axes.imshow(
        array[:, :, 0] if grey else array,
        cmap="gray" if grey else None,
        vmin=0,
        vmax=255,
        interpolation="nearest" if small else "antialiased",
    )
    axes.set_axis_off()
