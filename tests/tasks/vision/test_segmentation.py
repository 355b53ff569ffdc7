"""The task of segmentation: what a batch sees, windows and their masks, the loss, predictions."""

import io
import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tasks.errors import UserError
from tasks.randomness import EpochView
from tasks.vision import class_maps, mask_windows, segmentation
from tasks.vision.class_table import IGNORED, ClassTable
from tasks.vision.pixel_losses import dice_losses
from tasks.vision.segmentation import Args, Segmentation

NAMES = ("ground", "thing", "other")
TABLE = ClassTable(NAMES, (0, 1, 2))


def processor(size: int) -> Any:
    """All that a task asks of one."""
    square = {"height": size, "width": size}
    return SimpleNamespace(size=square, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def task_of(size: int = 16, **args: Any) -> Segmentation:
    task = Segmentation(Args(**args), NAMES, TABLE)
    return task.bind_for_training(processor(size), 0)


def rows(task: Segmentation, count: int = 5, view: EpochView | None = None) -> list[dict[str, Any]]:
    """Rows of images whose pixels tell their class, so that a mask that moved is seen."""
    found = []
    for i in range(count):
        rng = np.random.default_rng(i)
        shape = (task.size, task.size) if not task.args.windows else (20 + 3 * i, 40 - 3 * i)
        mask = np.repeat(np.repeat(rng.integers(0, 3, (12, 12)), 4, 0), 4, 1)
        mask = mask[: shape[0], : shape[1]].astype(np.uint8)
        image = np.repeat((mask * 100)[:, :, None], 1 if i == 2 else 3, 2).astype(np.uint8)
        row = {"sample_id": i, "image": image, "mask": mask}
        more = {"original": mask, "size": mask.shape} if view is None else {"view": view}
        found.append(row | more)
    return found


class OneHot(nn.Module):
    """Logits of the class that a pixel's brightness says."""

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, pixel_values: torch.Tensor) -> Any:
        brightness = (pixel_values[:, 0] * 0.5 + 0.5) * 2.55  # mean and deviation are 0.5
        logits = torch.stack([-((brightness - label) ** 2) for label in range(3)], 1)
        logits = F.avg_pool2d(logits, self.scale) if self.scale > 1 else logits

        class Output:
            pass

        output = Output()
        output.logits = logits  # type: ignore[attr-defined]
        return output


def test_masks_move_with_their_images() -> None:
    """Flips, crops, rotations and shifts: nearly every pixel is still of the class it shows."""
    task = task_of(rotation=30, crop_padding=0.2, color_jitter=0, crop_scale=0.6, vflip=True)
    batch = task.collate(rows(task, 24, EpochView(1, 2)))
    labels = batch.targets["labels"]
    assert labels.shape == (24, 16, 16) and labels.dtype == torch.int64
    seen = task.forward(OneHot(), batch)["logits"].argmax(1)
    assert (seen == labels).float().mean() > 0.9  # but at edges, where the image is interpolated
    still = task_of(augment="none").collate(rows(task, 24, EpochView(1, 2))).targets["labels"]
    assert (still != labels).float().mean() > 0.3


COMPOSED = {"mosaic": 1.0, "zoom_out": 2.0, "color_jitter": 0.0, "crop_scale": 1.0}


def composed(task: Segmentation, count: int, view: EpochView) -> list[dict[str, Any]]:
    """Rows with the partners that features give them."""
    every = rows(task, count, view)
    return [
        row | {"partners": [every[(i + k) % count] for k in (1, 2, 3)]}
        for i, row in enumerate(every)
    ]


def test_masks_follow_images_that_are_put_together() -> None:
    task = task_of(48, **COMPOSED)
    batch = task.collate(composed(task, 8, EpochView(1, 2)))
    labels = batch.targets["labels"]
    counted = labels != IGNORED
    assert 0.2 < counted.float().mean() < 0.95  # what zooming out leaves around does not count
    seen = task.forward(OneHot(), batch)["logits"].argmax(1)
    assert (seen == labels)[counted].float().mean() > 0.75  # but at edges
    alone = task.collate(rows(task, 8, EpochView(1, 2))).targets["labels"]
    assert (alone != labels).float().mean() > 0.3


def test_a_mosaic_is_the_same_alone_and_among_others() -> None:
    task = task_of(**COMPOSED)
    every = composed(task, 6, EpochView(3, 4))
    batch = task.collate(every)
    for i in (0, 2, 5):
        alone = task.collate([every[i]])
        assert torch.equal(alone.inputs["pixel_values"][0], batch.inputs["pixel_values"][i])
        assert torch.equal(alone.targets["labels"][0], batch.targets["labels"][i])


@pytest.mark.parametrize("windows", [False, True])
def test_a_sample_is_the_same_alone_and_among_others(windows: bool) -> None:
    task = task_of(rotation=20, noise=0.1, windows=windows, padding="zeros")
    view = EpochView(3, 4)
    every = rows(task, 6, view)
    batch = task.collate(every)
    for i in (0, 2, 5):
        alone = task.collate([every[i]])
        assert torch.equal(alone.inputs["pixel_values"][0], batch.inputs["pixel_values"][i])
        assert torch.equal(alone.targets["labels"][0], batch.targets["labels"][i])
    other = task.collate(rows(task, 6, EpochView(3, 5)))
    assert not torch.equal(other.targets["labels"], batch.targets["labels"])


def test_zeros_from_outside_do_not_count() -> None:
    task = task_of(rotation=90, padding="zeros", color_jitter=0, crop_scale=1)
    batch = task.collate(rows(task, 12, EpochView(1, 1)))
    outside = batch.targets["labels"] == IGNORED
    assert 0.05 < outside.float().mean() < 0.5


class Counting(OneHot):
    """Remembers how many windows it saw at once."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def forward(self, pixel_values: torch.Tensor) -> Any:
        self.most = max(self.most, len(pixel_values))
        return super().forward(pixel_values)


def test_the_logits_of_a_tall_image_are_never_in_memory_whole() -> None:
    import tracemalloc

    task = task_of(windows=True, window_overlap=0.5)
    mask = np.repeat(np.arange(300) % 3, 8)[:, None].repeat(40, 1).astype(np.uint8)
    image = np.repeat((mask * 100)[:, :, None], 3, 2)
    rows_of_one = [{"sample_id": 0, "image": image, "size": mask.shape}]
    batch = task.collate(rows_of_one)
    known = task.collate([rows_of_one[0] | {"mask": mask, "original": mask}])
    model = Counting()
    whole = 3 * mask.size * 4  # bytes of its logits

    def peak_of(call: Any) -> tuple[Any, int]:
        tracemalloc.start()
        try:
            return call(), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    [one], peak = peak_of(lambda: task.predict(model, batch))
    assert np.array_equal(one.classes, mask) and peak < whole / 2
    outputs, peak = peak_of(lambda: task.forward(model, known))
    assert peak < whole / 2 and model.most == segmentation.WINDOWS
    [other] = task.predict(model, known, outputs)
    assert np.array_equal(other.classes, mask)
    loss = task.loss(outputs, known)
    every = task.loss({"logits": model(**known.inputs).logits}, known)
    assert loss.count == every.count == mask.size and torch.equal(loss.terms, every.terms)
    [again] = task.predict(model, batch, task.forward(model, batch))
    assert np.array_equal(again.classes, mask)


@pytest.mark.parametrize("size", [(40, 33), (9, 40), (40, 9), (5, 7)])
@pytest.mark.parametrize("small", [1, 2])
def test_stitched_windows_are_the_mean_of_their_logits(size: tuple[int, int], small: int) -> None:
    side, rng = 16, np.random.default_rng(0)
    owners, spans = mask_windows.all_of(np.array([size]), side, 0.4)
    shape = (len(owners), 4, side // small, side // small)
    logits = rng.normal(size=shape).astype(np.float32)
    sums = np.zeros((4, max(size[0], side), max(size[1], side)), np.float32)
    for one, (top, left) in zip(logits, spans, strict=True):
        sums[:, top : top + side, left : left + side] += class_maps.at_size(one, side)
    [found] = class_maps.stitched(iter(logits), owners, spans, [size], side)
    assert np.array_equal(found, sums[:, : size[0], : size[1]].argmax(0))


@pytest.mark.parametrize(("side", "window", "overlap"), [(40, 16, 0.25), (16, 16, 0.9), (5, 8, 0)])
def test_windows_see_all_of_an_axis(side: int, window: int, overlap: float) -> None:
    found = class_maps.starts(side, window, overlap)
    seen = np.zeros(max(side, window), bool)
    for start in found:
        seen[start : start + window] = True
    assert seen.all() and found[0] == 0
    for one, later in itertools.pairwise(found):
        assert one + window - later >= int(window * overlap)


@pytest.mark.parametrize("scale", [1, 2])
def test_windows_are_put_together_and_every_pixel_counts_once(scale: int) -> None:
    task = task_of(windows=True, window_overlap=0.5)
    every = rows(task)
    batch = task.collate(every)
    assert batch.windows is not None and len(batch.windows) > len(every)
    assert batch.windows.tolist() == sorted(batch.windows.tolist())
    outputs = task.forward(OneHot(scale), batch)
    loss = task.loss(outputs, batch)
    pixels = sum(row["mask"].size for row in every)
    assert loss.count == pixels
    assert loss.terms is not None and loss.terms.shape == (len(every),)
    assert torch.allclose(loss.terms.sum(), loss.sum)
    found = task.predict(OneHot(), batch, outputs)
    right = [one.classes == row["mask"] for one, row in zip(found, every, strict=True)]
    assert all(one.shape == row["mask"].shape for one, row in zip(right, every, strict=True))
    assert np.concatenate([one.ravel() for one in right]).mean() > (0.99 if scale == 1 else 0.8)


def test_the_loss_is_cross_entropy_of_the_pixels_that_count() -> None:
    task = task_of()
    every = rows(task)
    every[0]["mask"] = every[0]["mask"].copy()
    every[0]["mask"][:8] = IGNORED
    batch = task.collate(every)
    logits = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    loss = task.loss({"logits": logits}, batch)
    labels = batch.targets["labels"]
    wanted = F.cross_entropy(logits, labels, ignore_index=IGNORED)
    assert loss.count == (labels != IGNORED).sum()
    assert loss.sum / loss.count == pytest.approx(float(wanted), rel=1e-5)
    parts = [
        task.loss({"logits": logits[i : i + 1]}, task.collate(every[i : i + 1])) for i in range(5)
    ]
    assert sum(float(one.sum) for one in parts) == pytest.approx(float(loss.sum), rel=1e-5)
    small = task.loss({"logits": logits[..., ::4, ::4]}, batch)
    wanted = F.cross_entropy(
        F.interpolate(logits[..., ::4, ::4], (16, 16), mode="bilinear"),
        labels,
        ignore_index=IGNORED,
    )
    assert small.sum / small.count == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_pixel_weighs_as_its_class_does(smoothing: float) -> None:
    weights = (0.25, 4.0, 1.5)
    task = replace(task_of(), class_weights=weights)
    every = rows(task)
    every[0]["mask"] = every[0]["mask"].copy()
    every[0]["mask"][:8] = IGNORED
    batch = task.collate(every)
    logits = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = batch.targets["labels"]
    loss = task.loss({"logits": logits}, batch, smoothing)
    wanted = F.cross_entropy(
        logits, labels, torch.tensor(weights), ignore_index=IGNORED, label_smoothing=smoothing
    )
    assert loss.sum / loss.count == pytest.approx(float(wanted), rel=1e-5)
    assert loss.count == sum(weight * (labels == i).sum() for i, weight in enumerate(weights))
    alone = [task.collate([row]) for row in every]
    parts = [
        task.loss({"logits": logits[i : i + 1]}, one, smoothing) for i, one in enumerate(alone)
    ]
    for whole, split in ((loss.sum, "sum"), (loss.count, "count")):
        assert sum(float(getattr(one, split)) for one in parts) == pytest.approx(float(whole))


def test_dice_stays_what_it_is_where_classes_weigh() -> None:
    """It is a mean over images, beside a mean over pixels."""
    plain = task_of(dice_weight=0.0)
    both = replace(plain, args=replace(plain.args, dice_weight=0.7))
    batch = plain.collate(rows(plain, 1))
    logits = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    dice = float(dice_losses(logits, batch.targets["labels"]))
    for weights in ((), (0.25, 4.0, 1.5)):
        losses = [
            replace(task, class_weights=weights).loss({"logits": logits}, batch)
            for task in (both, plain)
        ]
        more, less = (float(loss.sum / loss.count) for loss in losses)
        assert more - less == pytest.approx(0.7 * dice, rel=1e-4)


def test_windows_weigh_as_their_pixels_do() -> None:
    weighed = replace(task_of(windows=True, window_overlap=0.5), class_weights=(0.5, 2.0, 3.0))
    every = rows(weighed)
    batch = weighed.collate(every)
    loss = weighed.loss(weighed.forward(OneHot(), batch), batch)
    pixels = np.concatenate([row["mask"].ravel() for row in every])
    assert float(loss.count) == np.array(weighed.class_weights)[pixels].sum()


def test_the_dice_loss_is_its_formula_and_independent_of_the_cut() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 3, 4, 4, generator=generator)
    labels = torch.randint(0, 2, (3, 4, 4), generator=generator)  # no class 2
    labels[1, 0] = IGNORED
    labels[2] = IGNORED
    found = dice_losses(logits, labels)
    for i in range(2):
        counted = labels[i] != IGNORED
        given = logits[i].softmax(0)[:, counted]
        losses = []
        for label in range(2):
            truth = (labels[i][counted] == label).float()
            losses.append(1 - 2 * (given[label] * truth).sum() / (given[label].sum() + truth.sum()))
        assert found[i] == pytest.approx(float(sum(losses) / 2), rel=1e-5)
    assert found[2] == 0
    assert (
        float(dice_losses(20 * F.one_hot(labels[:1], 3).movedim(-1, 1).float(), labels[:1])) < 1e-6
    )


@pytest.mark.parametrize("size", [(33, 20), (16, 16), (5, 70)])
def test_class_maps_are_those_of_transformers(size: tuple[int, int]) -> None:
    from transformers import SegformerImageProcessor

    logits = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    class Outputs:
        pass

    outputs = Outputs()
    outputs.logits = logits  # type: ignore[attr-defined]
    processor = SegformerImageProcessor()
    wanted = processor.post_process_semantic_segmentation(outputs, [size, size])
    for i in range(2):
        theirs = wanted[i].numpy()
        assert np.array_equal(class_maps.of_logits(logits[i], *size), theirs)
        ours = class_maps.of_logits(logits[i].numpy(), *size)
        assert (ours == theirs).mean() > 0.995  # the last bit may decide where two are equal


def test_large_images_are_computed_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
    whole = class_maps.of_logits(logits, 50, 60)
    monkeypatch.setattr(class_maps, "BAND", 3 * 60 * 7)
    assert np.array_equal(class_maps.of_logits(logits, 50, 60), whole)


def test_arrays_and_tensors_predict_alike() -> None:
    for windows in (False, True):
        task = task_of(windows=windows)
        every = rows(task)
        tensors, found = task.collate(every), task.collate_arrays(every)
        assert np.array_equal(tensors.inputs["pixel_values"].numpy(), found.inputs["pixel_values"])
        outputs = task.forward(OneHot(), tensors)  # of many windows not their logits
        assert ("logits" in outputs) is not windows
        arrays = {"logits": OneHot()(**tensors.inputs).logits.numpy()}
        for one, other in zip(
            task.predict(OneHot(), tensors, outputs),
            task.predict(OneHot(), found, arrays),  # type: ignore[arg-type]
            strict=True,
        ):
            assert np.array_equal(one.classes, other.classes)


def test_inputs_of_any_kind_have_their_own_size() -> None:
    task = task_of()
    image = np.zeros((10, 30, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    found = task.inputs([image, Image.fromarray(image), content.getvalue()])
    assert [row["size"] for row in found] == [(10, 30)] * 3
    [one, *_] = task.predict(OneHot(), task.collate(found))
    assert one.classes.shape == (10, 30)
    assert task.to_json(one) == {"labels": ["ground"], "shares": [1.0]}


def test_json_has_the_shares_of_the_classes_the_largest_first() -> None:
    from tasks.vision.segmentation import SegmentationPrediction

    classes = np.array([[2, 2, 2, 0]], np.uint8)
    found = task_of().to_json(SegmentationPrediction(classes))
    assert found == {"labels": ["other", "ground"], "shares": [0.75, 0.25]}
    assert task_of().to_json(SegmentationPrediction(classes), 1)["labels"] == ["other"]


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        ({"resize": "crop"}, "`resize` crop"),
        ({"mixup": 0.2}, "blend labels"),
        ({"mosaic": 0.2, "windows": True}, "no `mosaic`"),
        ({"zoom_out": 2.0, "windows": True}, "no `zoom_out`"),
        ({"augment": "randaugment"}, "away from their masks"),
        ({"window_overlap": 1.0}, "window_overlap"),
        ({"ignore_index": -2}, "ignore_index"),
    ],
)
def test_settings_that_make_no_sense(args: dict[str, Any], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        Args(**args)


def test_a_checkpoint_gives_the_same_task() -> None:
    import json

    coloured = ClassTable(NAMES, (3, 7, 9), ((0, 0, 0), (1, 2, 3), (4, 5, 6)), ((9, 9, 9),))
    args = Args(windows=True, value_range=(0, 4095), class_weights="balanced")
    task = Segmentation(args, NAMES, coloured, (0.1, 1 / 3, 7.0))
    task = task.bind_for_training(processor(16), 0)
    assert segmentation.from_config(json.loads(json.dumps(task.config()))) == task
