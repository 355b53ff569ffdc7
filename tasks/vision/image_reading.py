"""How a task reads images: decodes them within bounds, and makes them the square that its model
sees."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tasks.media import items

if TYPE_CHECKING:
    import numpy as np

    from tasks.vision.pixels import Facts

DIMS = 3  # of the array of one image, at most


class ReadsImages:
    """A base class for tasks of images that are frozen dataclasses."""

    args: Any
    """`tasks.vision.image_args.ImageArgs`"""
    size: int
    """Height and width that the model sees."""

    def decode(self, media: Mapping[str, Any]) -> "tuple[np.ndarray, Facts]":
        """The pixels of a file, uint8 [height, width, 1 or 3]; see `tasks.vision.images.read`."""
        from tasks.vision import images

        args = self.args
        return images.read(
            media,
            max_pixels=args.max_pixels,
            background=args.behind,
            value_range=args.value_range,
        )

    def square(self, image: "np.ndarray") -> "np.ndarray":
        """Return the square of an image that the model sees, uint8 [size, size, 1 or 3]."""
        from tasks.vision import images

        return images.fit(image, self.size, self.args.resize or "stretch", self.args.behind)

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single image, and not a list of them."""
        return items.is_one(raw, DIMS)

    def opened(self, raw: Sequence[Any]) -> "Iterator[np.ndarray]":
        """Yield the pixels, uint8 [height, width, 1 or 3], of what `read_inputs` gives, or of
        whatever `tasks.vision.image_items.pixels` takes for an image."""
        from tasks.vision import image_items, images

        def decode(media: Mapping[str, Any]) -> "np.ndarray":
            return self.decode(media)[0]

        args = self.args
        convert = partial(images.open_any, background=args.behind, value_range=args.value_range)
        for item in raw:
            yield image_items.pixels(item, decode, convert)
