"""Checks of images and masks before training: what is suspicious is a warning, what cannot work an
error."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.data.label_checks import warning
from tasks.preflight import Finding
from tasks.vision import image_preflight, mask_files
from tasks.vision.class_table import IGNORED
from tasks.vision.image_args import ImageArgs

if TYPE_CHECKING:
    import datasets

NAMED = 5  # classes that a message names
RARE = 1e-4  # share of the pixels of train below which a class is hardly learned


def check(
    splits: "datasets.DatasetDict",
    features: Mapping[str, Any],
    labels: Sequence[str],
    args: ImageArgs,
) -> list[Finding]:
    """Return what is wrong or suspicious in images and masks, errors first.

    Args:
        features: `tasks.vision.mask_features.MaskFeatures` of some of the splits.
        labels: what the classes are called.

    Classes are counted in what is in memory. Raises `UserError` where a file is no longer what it
    was.
    """
    decoded = {name: one.decoded for name, one in features.items()}
    findings = image_preflight.check(splits, decoded, None, args)
    pixels = {
        name: _pixels(one, len(labels)) for name, one in decoded.items() if one.block is not None
    }
    for name, counts in pixels.items():
        absent = [label for label, count in zip(labels, counts, strict=True) if not count]
        if absent:
            findings.append(warning(f"{name} has no pixel of {_listed(absent)}"))
    if "train" in pixels and (total := pixels["train"].sum()):
        counts = pixels["train"]
        rare = [label for label, n in zip(labels, counts, strict=True) if 0 < n < RARE * total]
        if rare:
            findings.append(
                warning(f"less than {RARE:.2%} of the pixels of train are {_listed(rare)}")
            )
    return findings


def _pixels(decoded: Any, classes: int) -> np.ndarray:
    """Return how many pixels of a split have each class, as the model sees them, int64
    [classes]."""
    counts = np.zeros(256, np.int64)
    for i in range(len(decoded)):
        counts += mask_files.pixels_of_classes(decoded.get(i)[:, :, -1])
    assert not counts[classes:IGNORED].any(), "masks are checked when they are read"
    return counts[:classes]


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more
