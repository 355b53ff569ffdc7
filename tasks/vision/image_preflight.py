"""Checks of images and labels before training: what is suspicious is a warning, what cannot work an
error.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tasks.data import label_checks
from tasks.data.label_checks import warning
from tasks.errors import UserError
from tasks.media import duplicates
from tasks.media.source import BadFile, name_of
from tasks.preflight import Finding
from tasks.vision import images
from tasks.vision.image_args import ImageArgs

if TYPE_CHECKING:
    import datasets

    from tasks.media.decoding import Decoded

SAMPLED = 500  # headers of a split that are read for their sizes
SQUEEZED = 1.5  # height to width, of the file against what the model sees
WORTH_SQUEEZING = 0.1  # share of images that may be squeezed unremarked
UNEQUAL = 4  # sides of large images to those of small ones
TAIL = 0.05  # share at either end that does not count for that

USUAL = ImageArgs(background="white", resize="stretch")


def check(
    splits: "datasets.DatasetDict",
    decoded: "Mapping[str, Decoded]",
    labels: Sequence[str] | None,
    args: ImageArgs = USUAL,
) -> list[Finding]:
    """Return what is wrong or suspicious in the images and their labels, errors first.

    Images count as the same where their pixels are, at the size the model sees; without digests,
    where their files are. Images of one colour are found in memory only.

    Args:
        splits: rows in the columns media (see `tasks.media.source`) and label: an integer, for
            multi-label a list of them, for regression a float.
        decoded: the images of some of the splits, all of one size.
        labels: what the integers are called; None where the splits have no labels.
        args: how they were read.

    Raises `UserError` where a file is no longer what it was when `decoded` was made.
    """
    findings: list[Finding] = []
    try:
        for name, found in decoded.items():
            findings += _transparent(name, splits[name], found, args)
            findings += _moving(name, splits[name], found)
            findings += _deep(name, splits[name], found, args)
            findings += _blank(name, splits[name], found)
            findings += _sizes(name, splits[name], found, args)
    except BadFile as problem:
        raise UserError(f"an image that could be read cannot be any more: {problem}") from None
    values = {
        name: [None] * len(split) if labels is None else split["label"][:]
        for name, split in splits.items()
    }
    if all(found.digests is not None for found in decoded.values()):
        findings += duplicates.of_groups(
            splits,
            _groups(decoded),
            "images",
            "an image",
            lambda name, row: repr(values[name][row]),
        )
    else:
        findings += duplicates.duplicates(splits, "images", "label")
    if labels is not None:
        findings += label_checks.check(values, labels)
    return sorted(findings, key=lambda finding: finding.level != "error")


def _transparent(
    name: str, split: "datasets.Dataset", decoded: "Decoded", args: ImageArgs
) -> Iterator[Finding]:
    """Yield a warning about transparent images: which background they were laid on."""
    rows = [row for row, facts in decoded.facts.items() if "transparent" in facts]
    if not rows:
        return
    behind = args.background or "white"
    lost = [row for row in rows if "uniform" in decoded.facts[row]]
    ending = ""
    if lost:
        ending = (
            f", which leaves {_images(len(lost))} of one colour, the first is"
            f" {_named(split, min(lost))}: give another `background`"
        )
    yield warning(
        f"{name}: {_images(len(rows))} of {len(decoded):,} with transparency,"
        f" laid on {behind}{ending}"
    )


def _moving(name: str, split: "datasets.Dataset", decoded: "Decoded") -> Iterator[Finding]:
    """Yield a warning about images of several frames or pages, of which one is read."""
    rows = [row for row, facts in decoded.facts.items() if "frames" in facts]
    if rows:
        yield warning(
            f"{name}: {_images(len(rows))} of several frames or pages, of which the first is read,"
            f" such as {_named(split, min(rows))}"
        )


def _deep(
    name: str, split: "datasets.Dataset", decoded: "Decoded", args: ImageArgs
) -> Iterator[Finding]:
    """Yield which values of images with more than 8 bits are black and white."""
    deep = {row: facts for row, facts in decoded.facts.items() if "high" in facts}
    if not deep:
        return
    low, high = (
        min(facts["low"] for facts in deep.values()),
        max(facts["high"] for facts in deep.values()),
    )
    asked = "the range of their type"
    if args.value_range is not None:
        asked = f"{args.value_range[0]:,g} to {args.value_range[1]:,g}"
    yield warning(
        f"{name}: {_images(len(deep))} of more than 8 bits, with values from {low:,g} to {high:,g};"
        f" {asked} is taken for black to white (`value_range`)"
    )


def _blank(name: str, split: "datasets.Dataset", decoded: "Decoded") -> Iterator[Finding]:
    if decoded.block is None:
        return
    blank = [i for i in range(len(decoded)) if _is_blank(decoded.get(i))]
    if blank:
        yield warning(
            f"{name}: {_images(len(blank))} of one colour, the first is"
            f" {_named(split, int(decoded.kept[blank[0]]))}"
        )


def _is_blank(pixels: images.Pixels) -> bool:
    return bool((pixels == pixels[0, 0]).all())


def _sizes(
    name: str, split: "datasets.Dataset", decoded: "Decoded", args: ImageArgs
) -> Iterator[Finding]:
    """Yield warnings about images whose size or shape changes much, of those that are looked at."""
    sampled = decoded.kept[:: -(-len(decoded) // SAMPLED)].tolist()
    claimed = np.array([images.size(split[row]["media"]) for row in sampled], np.float64)  # [n, 2]
    height, width = decoded.get(0).shape[:2]
    squeeze = np.abs(np.log(claimed[:, 0] / claimed[:, 1]) - math.log(height / width))
    share = float((squeeze > math.log(SQUEEZED)).mean())
    worst = claimed[squeeze.argmax()]
    if share >= WORTH_SQUEEZING and args.resize == "crop":
        yield warning(
            f"{name}: {share:.1%} of the images lose more than {1 - 1 / SQUEEZED:.0%} of their area"
            f" to `resize` crop; the worst is {worst[0]:.0f} x {worst[1]:.0f}"
        )
    elif share >= WORTH_SQUEEZING and args.resize != "pad":
        yield warning(
            f"{name}: {share:.1%} of the images are squeezed or stretched more than {SQUEEZED}"
            f" times to become {height} x {width}; the worst is {worst[0]:.0f} x {worst[1]:.0f}"
        )
    ranked = claimed[claimed.prod(1).argsort()]
    skipped = int(TAIL * len(ranked))
    small, large = ranked[skipped], ranked[len(ranked) - 1 - skipped]
    if large.prod() > UNEQUAL**2 * small.prod():
        yield warning(
            f"{name}: images of {small[0]:.0f} x {small[1]:.0f} to {large[0]:.0f} x {large[1]:.0f}"
            f" all become {height} x {width}, so that things differ in size by chance"
        )


def _groups(decoded: "Mapping[str, Decoded]") -> list[list[duplicates.Place]]:
    """Where each image stands."""
    groups: dict[int, list[duplicates.Place]] = {}
    for name, found in decoded.items():
        assert found.digests is not None
        for row, digest in zip(found.kept.tolist(), found.digests.tolist(), strict=True):
            groups.setdefault(digest, []).append((name, row))
    return list(groups.values())


def _named(split: "datasets.Dataset", row: int) -> str:
    return name_of(split[row]["media"], row)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
