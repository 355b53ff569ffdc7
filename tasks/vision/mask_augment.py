"""Masks that follow images which are put together of several, or made smaller."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.randomness import SampleRandom
from tasks.vision import compositions, geometry
from tasks.vision.composition_args import CompositionArgs
from tasks.vision.mask_files import ClassMap


def composed(row: Mapping[str, Any], args: CompositionArgs) -> dict[str, Any]:
    """Return a row with `image` and `mask` put together with those of its `partners`, where it has
    some, and zoomed out. What lies around an image is black, and its pixels don't count.

    Args:
        row: `tasks.vision.mask_features.MaskFeatures` gives it; its partners are of the same size.
    """
    draws = SampleRandom(row["view"], [row["sample_id"]])
    image, mask = row["image"], row["mask"]
    height, width = mask.shape
    if partners := row.get("partners"):
        every = [row, *partners]
        colour = max(one["image"].shape[2] for one in every)
        image, mask = np.empty((height, width, colour), np.uint8), np.empty_like(mask)
        places = compositions.mosaic_parts(draws, height, width)
        for one, (place, window) in zip(every, places, strict=True):
            image[window] = compositions.warped(one["image"], place)[window]
            mask[window] = _warped(one["mask"], place)[window]
    if args.zoom_out > 1:
        place = compositions.zoom(draws, args.zoom_out, height, width)
        image, mask = compositions.warped(image, place), _warped(mask, place)
    return {**row, "image": image, "mask": mask}


def _warped(mask: ClassMap, place: geometry.Floats) -> ClassMap:
    """Return a mask sampled where a map [1, 2, 3] says, each pixel the class of the nearest."""
    import torch

    # counted from 1, IGNORED becomes 0, which is what lies outside
    counted = torch.from_numpy(mask + np.uint8(1))[None, None].to(torch.float32)
    placed = geometry.warp(counted, place, "zeros", "nearest")[0, 0]
    return placed.to(torch.uint8).numpy() - np.uint8(1)
