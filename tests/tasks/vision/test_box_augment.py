"""Boxes go where their objects go, whatever is done to the image, and by (seed, epoch, sample)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tasks.randomness import EpochView, SampleRandom
from tasks.vision import augment, box_augment
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.box_args import BoxAugmentArgs
from tasks.vision.box_augment import Pictured
from tasks.vision.compositions import mosaic_partners

SIDE = 48
PLAIN = AugmentArgs(crop_scale=1, hflip="off", color_jitter=0, padding="zeros")
ALONE = BoxAugmentArgs()
WAYS = {
    "flips": (replace(PLAIN, hflip="on", vflip=True), ALONE),
    "shift": (replace(PLAIN, hflip="on", crop_padding=0.3), ALONE),
    "crop": (replace(PLAIN, crop_scale=0.4, hflip="on"), ALONE),
    "crop, shift": (replace(PLAIN, crop_scale=0.4, crop_padding=0.2, vflip=True), ALONE),
    "zoom out": (PLAIN, BoxAugmentArgs(zoom_out=2.5)),
    "mosaic": (PLAIN, BoxAugmentArgs(mosaic=1.0)),
    "all": (
        replace(PLAIN, crop_scale=0.5, hflip="on"),
        BoxAugmentArgs(mosaic=1.0, zoom_out=1.5, least_visible=0.1),
    ),
}


def draws(sample: int, epoch: int = 0) -> SampleRandom:
    return SampleRandom(EpochView(seed=3, epoch=epoch), [sample])


def vary(
    sample: Pictured,
    draws: SampleRandom,
    args: AugmentArgs,
    more: BoxAugmentArgs,
    partners: Sequence[Pictured] = (),
) -> Pictured:
    """A sample by itself."""
    (found,) = box_augment.vary([sample], draws, args, more, [partners])
    return found


def picture(label: int, channels: int = 1) -> Pictured:
    """Two bright rectangles on black, of a brightness that tells which they are."""
    rng = np.random.default_rng(label)
    image = np.zeros((SIDE, SIDE, channels), np.uint8)
    boxes = []
    for left in (0, SIDE // 2):  # beside each other
        x, y = rng.integers(2, 8) + left, rng.integers(2, 28)
        wide, tall = rng.integers(8, 14), rng.integers(8, 20)
        boxes.append([x, y, x + wide, y + tall])
        image[y : y + tall, x : x + wide] = 255
    labels = np.array([2 * label, 2 * label + 1])
    return Pictured(image, np.array(boxes, float), labels, np.array([False, True]))


def only(sample: Pictured, which: int) -> Pictured:
    """The sample with one of its objects alone in the image."""
    image = np.zeros_like(sample.image)
    x0, y0, x1, y1 = sample.boxes[which].astype(int)
    image[y0:y1, x0:x1] = 255
    rows = slice(which, which + 1)
    return Pictured(image, sample.boxes[rows], sample.labels[rows], sample.crowd[rows])


def empty(sample: Pictured) -> Pictured:
    return Pictured(
        np.zeros_like(sample.image), sample.boxes[:0], sample.labels[:0], sample.crowd[:0]
    )


def bounds(image: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(image[:, :, 0] > 127)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("way", WAYS)
def test_the_box_of_what_is_seen_is_the_box_that_is_said(way: str) -> None:
    args, more = WAYS[way]
    seen = 0
    for number in range(12):
        samples = [picture(number + 20 * i) for i in range(4)]
        for owner, which in ((0, 0), (0, 1), (3, 1)):
            if owner and not more.mosaic:
                continue
            parts = [
                only(one, which) if i == owner else empty(one) for i, one in enumerate(samples)
            ]
            partners = parts[1:] if more.mosaic else []
            found = vary(parts[0], draws(number), args, more, partners)
            assert found.image.shape == (SIDE, SIDE, 1) and len(found.boxes) <= 1
            if len(found.boxes):
                assert np.abs(bounds(found.image) - found.boxes[0]).max() <= 1
                assert found.labels == parts[owner].labels
                assert found.crowd == parts[owner].crowd
                seen += 1
    assert seen >= 8


def test_a_turned_box_is_around_what_was_turned() -> None:
    """No tighter than what is seen, and, of an upright rectangle, around its corners exactly."""
    args = replace(PLAIN, rotation=45)
    for number in range(8):
        sample = only(picture(number), 0)
        found = vary(sample, draws(number), args, BoxAugmentArgs(least_visible=0))
        assert np.abs(bounds(found.image) - found.boxes[0]).max() <= 1.5


def test_corners_go_where_the_inverse_map_leads() -> None:
    rng = np.random.default_rng(0)
    args = replace(PLAIN, crop_scale=0.3, crop_padding=0.2, hflip="on", rotation=90)
    maps = augment.maps(SampleRandom(EpochView(seed=3, epoch=0), range(40)), args, 30, 50)
    low = rng.uniform(0, 25, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 20, (40, 2))], axis=1)
    found, _ = box_augment.place_boxes(boxes, maps, (30, 50), np.array([[-1e3, -1e3, 1e3, 1e3]]))
    middle = np.array([25, 15])
    for box, place, ours in zip(boxes, maps, found, strict=True):
        corners = box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) - middle
        moved = np.linalg.solve(place[:, :2], (corners - place[:, 2]).T).T + middle
        expected = np.concatenate([moved.min(0), moved.max(0)])
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


def test_what_is_hardly_left_is_dropped() -> None:
    sample = only(picture(1), 0)
    box = sample.boxes
    place = np.array([[[1.0, 0, box[0, 0] + 0.75 * (box[0, 2] - box[0, 0])], [0, 1, 0]]])
    left, visible = box_augment.place_boxes(box, place, (SIDE, SIDE))
    assert visible == pytest.approx([0.25]) and left[0, 0] == 0
    objects = box_augment._Objects.of([sample])
    for least, many in ((0.24, 1), (0.26, 0)):
        more = BoxAugmentArgs(least_visible=least)
        kept = box_augment._followed(objects, place, (SIDE, SIDE), more)
        assert len(kept.boxes) == len(kept.labels) == len(kept.crowd) == many


def test_of_a_crowd_nothing_becomes_background() -> None:
    """A quarter of it is left, and less would be no reason to drop it."""
    sample = replace(only(picture(1), 0), crowd=np.array([True]))
    box = sample.boxes
    place = np.array([[[1.0, 0, box[0, 0] + 0.75 * (box[0, 2] - box[0, 0])], [0, 1, 0]]])
    objects = box_augment._Objects.of([sample])
    little = BoxAugmentArgs(least_visible=0.9)
    kept = box_augment._followed(objects, place, (SIDE, SIDE), little)
    assert kept.crowd.tolist() == [True] and kept.boxes[0, 0] == 0
    place[0, 0, 2] = box[0, 2]
    gone = box_augment._followed(objects, place, (SIDE, SIDE), BoxAugmentArgs())
    assert not len(gone.boxes)


@pytest.mark.parametrize("way", ["all", "crop, shift", "zoom out"])
def test_images_without_objects(way: str) -> None:
    args, more = WAYS[way]
    nothing = empty(picture(0))
    found = vary(nothing, draws(0), args, more, [nothing] * 3 if more.mosaic else [])
    assert found.boxes.shape == (0, 4) and found.labels.shape == (0,) == found.crowd.shape


def test_all_follows_from_seed_epoch_and_sample() -> None:
    args, more = WAYS["all"]
    samples = [picture(i) for i in range(4)]
    first = vary(samples[0], draws(5), args, more, samples[1:])
    again = vary(samples[0], draws(5), args, more, samples[1:])
    assert (first.image == again.image).all() and (first.boxes == again.boxes).all()
    for other in (draws(6), draws(5, epoch=1)):
        assert (vary(samples[0], other, args, more, samples[1:]).image != first.image).any()
    assert (samples[0].image == picture(0).image).all()  # what was given stays as it is


@pytest.mark.parametrize("way", ["all", "crop, shift", "mosaic", "flips"])
def test_a_sample_is_the_same_in_whatever_batch(way: str) -> None:
    """Grey ones and coloured ones, alone and with partners, to the last bit."""
    args, more = replace(WAYS[way][0], color_jitter=0.3, noise=0.05), WAYS[way][1]
    samples = [picture(i, channels) for i, channels in enumerate((1, 3, 1, 1, 3, 1))]
    samples[3] = empty(samples[3])
    partners = [samples[1:4], [], [samples[i] for i in (0, 3, 5)], [], samples[:3], []]
    view = EpochView(seed=3, epoch=1)
    together = box_augment.vary(samples, SampleRandom(view, range(6)), args, more, partners)
    for i, (sample, beside, found) in enumerate(zip(samples, partners, together, strict=True)):
        alone = vary(sample, SampleRandom(view, [i]), args, more, beside)
        assert found.image.shape == alone.image.shape
        for name in ("image", "boxes", "labels", "crowd"):
            assert (getattr(found, name) == getattr(alone, name)).all()
            assert len(getattr(found, name)) == len(getattr(alone, name))


def test_partners_follow_from_seed_epoch_and_sample() -> None:
    more = BoxAugmentArgs(mosaic=0.5)
    view = EpochView(seed=3, epoch=1)
    together = mosaic_partners(SampleRandom(view, np.arange(200)), more, 1000)
    alone = [mosaic_partners(SampleRandom(view, [i]), more, 1000)[0] for i in range(200)]
    assert (together == alone).all()
    mixed = together[:, 0] >= 0
    assert ((together >= 0) == mixed[:, None]).all() and 70 < mixed.sum() < 130
    assert together.max() < 1000 and len(np.unique(together[mixed])) > 150
    other = mosaic_partners(SampleRandom(replace(view, epoch=2), np.arange(200)), more, 1000)
    assert (other != together).any()
    assert (mosaic_partners(SampleRandom(view, [1]), ALONE, 10) == -1).all()


def test_grey_and_coloured_images_make_one_mosaic() -> None:
    samples = [picture(i, channels) for i, channels in enumerate((1, 3, 1, 1))]
    found = vary(samples[0], draws(0), *WAYS["mosaic"], samples[1:])
    assert found.image.shape == (SIDE, SIDE, 3)
    # each of the four fills its part: there are no black stripes between
    white = [Pictured(np.full_like(one.image, 255), *(getattr(empty(one), name) for name in
             ("boxes", "labels", "crowd"))) for one in samples]  # fmt: skip
    assert vary(white[0], draws(1), *WAYS["mosaic"], white[1:]).image.min() > 120


def test_no_augmentation_is_none() -> None:
    sample = picture(3)
    args = replace(PLAIN, augment="none")
    assert vary(sample, draws(0), args, WAYS["all"][1], [sample] * 3) is sample
