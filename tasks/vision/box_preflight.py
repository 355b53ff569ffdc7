"""Checks of images and boxes before training: what is suspicious is a warning, what cannot work an
error."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.data.label_checks import warning
from tasks.media.source import name_of
from tasks.preflight import Finding
from tasks.vision import image_preflight
from tasks.vision.image_args import ImageArgs

if TYPE_CHECKING:
    import datasets

WORTH_TELLING = 0.01  # share of boxes that may be lost unremarked


def check(
    splits: "datasets.DatasetDict",
    features: Mapping[str, Any],
    stride: int,
    size: int,
    args: ImageArgs,
    queries: int = 0,
) -> list[Finding]:
    """Return what is wrong or suspicious in images and boxes, errors first.

    Args:
        features: `tasks.vision.box_features.BoxFeatures` of some of the splits.
        stride: pixels between the points of the finest level; 0 for a model without points.
        size: height and width that the model sees.
        queries: things that the model finds in an image at most; 0 for a model of points.

    Raises `UserError` where a file is no longer what it was.
    """
    decoded = {name: one.decoded for name, one in features.items()}
    findings = image_preflight.check(splits, decoded, None, args)
    for name, one in decoded.items():
        turned = [row for row, facts in one.facts.items() if "orientation" in facts]
        if turned:
            first = name_of(splits[name][min(turned)]["media"], min(turned))
            findings.append(
                warning(
                    f"{name}: {len(turned):,} of {len(one):,} images, such as {first}, are turned"
                    " by their EXIF data: boxes are those of images as they are shown, as labelling"
                    " tools write them, and not as they are stored"
                )
            )
    for name, one in features.items() if stride else ():
        boxes = one.boxes()
        lost = int((~reached(boxes, stride)).sum())
        if lost and lost >= WORTH_TELLING * len(boxes):
            findings.append(
                warning(
                    f"{name}: {lost:,} of {len(boxes):,} boxes are so small at {size} x {size} that"
                    f" they lie between the points of the model, {stride} pixels apart, and are not"
                    " learned: give a larger `image_size`"
                )
            )
    for name, one in features.items() if queries else ():
        full = int((one.counts() > queries).sum())
        if full:
            findings.append(
                warning(
                    f"{name}: {full:,} of {len(one):,} images have more things than the model has "
                    f"queries, {queries}, and the rest of them is not learned"
                )
            )
    return findings


def reached(boxes: npt.NDArray[Any], stride: int) -> npt.NDArray[np.bool_]:
    """Return in which boxes [n, 4] of the input a point of a level lies, bool [n].

    Args:
        stride: of the level, as `tasks.vision.points.grid` has it.
    """
    first = np.floor(boxes[:, :2] / stride - 0.5) + 1  # of the points behind the corner
    reaches: npt.NDArray[np.bool_] = (first + 0.5) * stride < boxes[:, 2:]
    return reaches[:, 0] & reaches[:, 1]
