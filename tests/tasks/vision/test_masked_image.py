"""Masked images: patches, what is hidden, the loss, and the data without labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.randomness import EpochView
from tasks.vision import image_classification, masked_image
from tasks.vision.masked_image import Args, MaskedImage
from tasks.vision.patches import normalised, patchify, seen, shuffles, usual_patch
from tests.evaluated import evaluated
from tests.media import png


class Processor:
    """The fields that the task reads."""

    size = {"height": 16, "width": 16}  # noqa: RUF012
    image_mean = image_std = (0.5, 0.5, 0.5)


@pytest.fixture
def task() -> MaskedImage:
    return MaskedImage(Args(patch_size=4, augment="none")).bind_for_training(Processor(), 256)


def rows_of(count: int, view: EpochView | None = None) -> list[dict]:
    rng = np.random.default_rng(0)
    rows = [
        {"sample_id": i, "image": rng.integers(0, 256, (16, 16, 3), np.uint8)} for i in range(count)
    ]
    return [row | {"view": view} for row in rows] if view else rows


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=20)
def test_patches_are_squares_row_by_row(channels, size, down, across) -> None:
    pixels = torch.randn(2, channels, down * size, across * size)
    patches = patchify(pixels, size)
    assert patches.shape == (2, down * across, size * size * channels)
    for row in range(down):
        for column in range(across):
            square = pixels[
                :, :, row * size : (row + 1) * size, column * size : (column + 1) * size
            ]
            expected = square.permute(0, 2, 3, 1).flatten(1)
            assert torch.equal(patches[:, row * across + column], expected)


def test_normalised_patches_have_no_brightness() -> None:
    patches = torch.randn(3, 5, 48) * 7 + 2
    found = normalised(patches)
    torch.testing.assert_close(found.mean(-1), torch.zeros(3, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(-1), torch.ones(3, 5), atol=1e-3, rtol=0)
    assert normalised(torch.full((1, 1, 12), 0.3)).abs().max() < 1e-3  # flat, and no division by 0


@given(st.integers(2, 200), st.floats(0.01, 0.99))
def test_some_patches_are_seen_and_some_hidden(patches: int, ratio: float) -> None:
    assert 1 <= seen(patches, ratio) <= patches - 1
    assert seen(64, 0.75) == 16


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8, unique=True), st.integers(2, 60))
def test_a_shuffle_depends_on_seed_epoch_and_sample_alone(samples, patches) -> None:
    view = EpochView(seed=5, epoch=2)
    together = shuffles(view, samples, patches)
    assert (np.sort(together, 1) == np.arange(patches)).all()
    alone = [shuffles(view, [sample], patches)[0] for sample in samples]
    assert (together == np.stack(alone)).all()


def test_each_of_them_changes_the_shuffle_and_places_are_even() -> None:
    first = shuffles(EpochView(1, 0), [0], 64).tolist()
    for view, sample in ((EpochView(2, 0), 0), (EpochView(1, 1), 0), (EpochView(1, 0), 1)):
        assert shuffles(view, [sample], 64).tolist() != first
    chosen = shuffles(EpochView(1, 0), range(8000), 16)[:, :4]
    assert np.bincount(chosen.ravel(), minlength=16) / 8000 == pytest.approx(0.25, abs=0.02)


def test_evaluation_hides_alike_and_training_anew_each_epoch(task: MaskedImage) -> None:
    fixed = [task.collate(rows_of(3)).inputs["shuffle"] for _ in range(2)]
    assert torch.equal(*fixed)
    epochs = [task.collate(rows_of(3, EpochView(0, epoch))).inputs["shuffle"] for epoch in (1, 2)]
    assert not torch.equal(*epochs)
    pixels = task.collate(rows_of(3)).inputs["pixel_values"]
    theirs = task._images.collate(rows_of(3)).inputs["pixel_values"]
    assert torch.equal(pixels, theirs)


def test_the_loss_is_that_of_hidden_patches(task: MaskedImage) -> None:
    batch = task.collate(rows_of(3))
    target = normalised(patchify(batch.inputs["pixel_values"], 4))
    painted = target.clone()
    for i, order in enumerate(batch.inputs["shuffle"]):
        painted[i, order[:4]] += 100  # what was seen is not asked for
        painted[i, order[4]] += 2
    loss = task.loss({"logits": painted}, batch)
    assert float(loss.count) == 3 * 12
    assert float(loss.sum) == pytest.approx(3 * 4.0, rel=1e-4)
    accumulator = task.accumulator()
    task.update(accumulator, evaluated(task, batch, {"logits": painted}))
    (measured,) = accumulator.compute()
    assert measured.name == "reconstruction_loss" and measured.n == 3
    assert measured.value == pytest.approx(float(loss.sum / loss.count), rel=1e-6)
    constant = accumulator.constant()
    assert constant is not None and constant.answer == "a flat patch"
    flat = task.loss({"logits": torch.zeros_like(painted)}, batch)
    expected = float(flat.sum / flat.count)
    assert constant.values == {"reconstruction_loss": pytest.approx(expected, rel=1e-6)}


def test_a_task_comes_back_from_its_record(task: MaskedImage) -> None:
    assert masked_image.from_config(json.loads(json.dumps(task.config()))) == task


def test_a_folder_of_images_is_enough(tmp_path: Path) -> None:
    for i in range(20):
        png(tmp_path / f"{i}.png", i)
    task, examples = masked_image.from_data(Args(), DataArgs(data=str(tmp_path)))
    assert {name: len(split) for name, split in examples.splits.items()} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
    assert examples.splits["train"].column_names == ["media"]
    found = masked_image.for_evaluation(
        task, DataArgs(data=str(tmp_path)), None, examples.fingerprint
    )
    assert found.splits["test"]["media"] == examples.splits["test"]["media"]


def test_splits_of_labelled_images_are_the_classifiers_own(tmp_path: Path) -> None:
    for i in range(40):
        png(tmp_path / "ab"[i % 2] / f"{i}.png", i)
    data = DataArgs(data=str(tmp_path), split_seed=3, max_train_samples=20)
    _, ours = masked_image.from_data(Args(), data)
    _, theirs = image_classification.from_data(image_classification.Args(), data)
    assert ours.fingerprint == theirs.fingerprint
    for name, split in theirs.splits.items():
        assert ours.splits[name]["media"] == split["media"]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match="mask_ratio"):
        masked_image.from_data(Args(mask_ratio=1.0), DataArgs())
    with pytest.raises(UserError, match="blend labels"):
        masked_image.from_data(Args(mixup=0.2), DataArgs())
    for patch in (3, 16):
        with pytest.raises(UserError, match=f"`patch_size` {patch}"):
            MaskedImage(Args(patch_size=patch)).bind_for_training(Processor(), 256)
    assert usual_patch(16) == 4 and usual_patch(224) == 16
