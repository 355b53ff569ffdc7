"""Masks that follow images which are put together of several, or made smaller."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.randomness import SampleRandom
from tasks.vision import compositions, geometry
from tasks.vision.composition_args import CompositionArgs

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Row = Mapping[str, Any]


def composed(rows: Sequence[Row], draws: SampleRandom, args: CompositionArgs) -> list[Row]:
    """Return rows with `image` and `mask` put together with those of their `partners`, where they
    have some, and zoomed out. What lies around an image is black, and its pixels don't count.

    Args:
        rows: `tasks.vision.mask_features.MaskFeatures` gives them; all images are of one size.
        draws: of these samples.
    """
    groups = [[row, *row.get("partners", ())] for row in rows]
    kinds = [(max(one["image"].shape[2] for one in group), len(group)) for group in groups]
    found = list(rows)
    for colour, size in set(kinds):  # grey ones apart, which stay grey
        if size == 1 and args.zoom_out <= 1:
            continue
        places = [i for i, kind in enumerate(kinds) if kind == (colour, size)]
        made = _composed([groups[i] for i in places], colour, draws.part(places), args)
        for i, image, mask in zip(places, *made, strict=True):
            found[i] = {**rows[i], "image": image, "mask": mask}
    return found


def _composed(
    groups: Sequence[Sequence[Row]], colour: int, draws: SampleRandom, args: CompositionArgs
) -> "tuple[np.ndarray, np.ndarray]":
    """Images [b, h, w, colour] and masks [b, h, w] of b groups of one length."""
    import torch

    images, *others = (
        compositions.stack([row["image"] for row in rows], colour)
        for rows in zip(*groups, strict=True)
    )
    masks, *other_masks = (
        compositions.stack([row["mask"][:, :, None] for row in rows])
        for rows in zip(*groups, strict=True)
    )
    height, width = images.shape[2:]
    if others:
        parts = zip([images, *others], [masks, *other_masks], strict=True)
        images, masks = torch.zeros_like(images), torch.zeros_like(masks)
        places = compositions.mosaic_parts(draws, height, width)
        for (image, mask), (maps, windows) in zip(parts, places, strict=True):
            compositions.paste(images, compositions.warped(image, maps), windows)
            compositions.paste(masks, _warped(mask, maps), windows)
    if args.zoom_out > 1:
        maps = compositions.zoom(draws, args.zoom_out, height, width)
        images, masks = compositions.warped(images, maps), _warped(masks, maps)
    return images.permute(0, 2, 3, 1).numpy(), masks[:, 0].numpy()


def _warped(masks: "Tensor", maps: geometry.Floats) -> "Tensor":
    """Masks uint8 [b, 1, h, w] sampled where maps [b, 2, 3] say, each pixel the class of the
    nearest."""
    import torch

    # counted from 1, 255 becomes 0, which is what lies outside
    placed = geometry.warp((masks + 1).to(torch.float32), maps, "zeros", "nearest")
    return placed.to(torch.uint8) - 1
