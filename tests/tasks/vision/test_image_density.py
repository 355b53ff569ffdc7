"""Density estimation of images: the noise of a sample, the loss, colours, and what is asked for."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import UserError
from tasks.randomness import EpochView
from tasks.vision import image_density, picture_inputs
from tasks.vision.colour_channels import with_channels
from tasks.vision.image_density import Args, ImageDensity
from tasks.vision.likelihood import nats_per_dim, to_bits
from tasks.vision.picture_inputs import Inputs, on_arc
from tests.evaluated import evaluated

SIZE, LATENTS = 8, 5


class Processor:
    """The fields that the task reads."""

    size = {"height": SIZE, "width": SIZE}  # noqa: RUF012
    image_mean = image_std = (0.5, 0.5, 0.5)
    num_channels, latent_size = 1, LATENTS


@pytest.fixture
def task() -> ImageDensity:
    return ImageDensity(Args()).bind_for_training(Processor(), SIZE**2)


def rows_of(count: int, view: EpochView | None = None, channels: int = 1) -> list[dict]:
    rng = np.random.default_rng(0)
    shape = (SIZE, SIZE, channels)
    rows = [{"sample_id": i, "image": rng.integers(0, 256, shape, np.uint8)} for i in range(count)]
    return [row | {"view": view} for row in rows] if view else rows


def outputs_of(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"logits": (1, SIZE, SIZE), "log_scale": (1, SIZE, SIZE)}
    shapes |= {"mean": (LATENTS,), "log_variance": (LATENTS,)}
    return {name: torch.randn(count, *s, generator=generator) for name, s in shapes.items()}


def test_noise_follows_from_seed_epoch_and_sample(task: ImageDensity) -> None:
    view = EpochView(3, 1)
    whole = task.collate(rows_of(4, view)).inputs["noise"]
    parts = [task.collate(rows_of(4, view)[i : i + 1]).inputs["noise"] for i in range(4)]
    assert whole.shape == (4, LATENTS) and torch.equal(whole, torch.cat(parts))
    for other in (EpochView(4, 1), EpochView(3, 2), None):
        assert not torch.equal(task.collate(rows_of(4, other)).inputs["noise"], whole)
    fixed = [task.collate(rows_of(4)).inputs["noise"] for _ in range(2)]
    assert torch.equal(*fixed)


def test_what_is_predicted_does_not_depend_on_its_place(task: ImageDensity) -> None:
    images = [row["image"] for row in rows_of(3)]
    together = task.collate(task.inputs(images)).inputs
    alone = task.collate(task.inputs(images[2:])).inputs
    assert all(torch.equal(together[name][2:], alone[name]) for name in together)


def test_the_loss_is_a_sum_over_images(task: ImageDensity) -> None:
    batch, outputs = task.collate(rows_of(3)), outputs_of(3)
    loss = task.loss(outputs, batch)
    levels = torch.stack([torch.from_numpy(row["image"][:, :, 0]) for row in rows_of(3)])[:, None]
    wanted = nats_per_dim(levels.float(), *outputs.values())
    torch.testing.assert_close(loss.terms, wanted)
    assert float(loss.count) == 3 and float(loss.sum) == pytest.approx(float(wanted.sum()))
    accumulator = task.accumulator()
    task.update(accumulator, evaluated(task, batch, outputs))
    (measured,) = accumulator.compute()
    assert measured.name == "bits_per_dim" and measured.n == 3
    assert measured.value == pytest.approx(float(to_bits(wanted.mean())), rel=1e-6)
    assert accumulator.constant().values == {"bits_per_dim": 8.0}
    predictions = task.predict(torch.nn.Identity(), batch, outputs)
    assert [one.bits_per_dim for one in predictions] == pytest.approx(to_bits(wanted).tolist())
    given, made = task.pictures(predictions[1])
    assert (given == rows_of(3)[1]["image"]).all() and made.shape == given.shape


def test_images_in_colour_become_grey_where_grey_is_learned(task: ImageDensity) -> None:
    row = rows_of(1, channels=3)[0]
    grey = np.asarray(Image.fromarray(row["image"]).convert("L")).astype(int)
    assert np.abs(with_channels(row["image"], 1)[:, :, 0].astype(int) - grey).max() <= 1
    pixels = task.collate([row]).inputs["pixel_values"]
    assert pixels.shape[1] == 3 and torch.equal(pixels[:, 0], pixels[:, 1])
    assert with_channels(row["image"], 3) is row["image"]
    three = rows_of(1)[0]["image"]
    assert with_channels(three, 1) is three


def test_a_task_comes_back_from_its_record(task: ImageDensity) -> None:
    assert image_density.from_config(json.loads(json.dumps(task.config()))) == task


def read(task: ImageDensity, **asked: Any) -> list[Any]:
    with ExitStack() as stack:
        inputs = Inputs(**asked)
        return list(image_density.read_inputs(inputs, task, stack))


def test_new_pictures_follow_from_the_seed(task: ImageDensity) -> None:
    few, many = (read(task, samples=n, seed=1) for n in (2, 5))
    assert [item["name"] for item in many] == ["1", "2", "3", "4", "5"]
    for mine, theirs in zip(few, many, strict=False):
        assert (mine["latent"] == theirs["latent"]).all()
    assert (read(task, samples=1, seed=2)[0]["latent"] != few[0]["latent"]).all()
    walk = read(task, samples=3, seed=1, walk=4)
    assert len(walk) == 2 * 4 and walk[1]["name"] == "1 to 2, 33%"
    ends = [walk[i]["latent"] for i in (0, 3, 4, 7)]
    for found, sample in zip(ends, (0, 1, 1, 2), strict=True):
        np.testing.assert_allclose(found, many[sample]["latent"], atol=1e-6)


def test_an_arc_keeps_the_length() -> None:
    first, second = np.array([3, 0], np.float32), np.array([0, 3], np.float32)
    middle = on_arc(first, second, 0.5)
    np.testing.assert_allclose(middle, np.full(2, 3 / np.sqrt(2)), rtol=1e-6)
    np.testing.assert_allclose(on_arc(first, 2 * first, 0.5), [4.5, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "give `image` with files"),
        ({"samples": 2, "image": ("a.png",)}, "`samples` makes new pictures"),
        ({"samples": 2}, "`samples` is for pictures: name a file for them with `grid`"),
        ({"samples": 1, "walk": 3, "grid": Path("x.png")}, "give `samples` 2 or more"),
        ({"image": ("a.png",), "mask": "left"}, "`mask` is for pictures"),
        ({"image": ("a.png",), "columns": 3}, "`columns` is for pictures"),
        ({"samples": 3, "mask": "left", "grid": Path("x.png")}, "`mask` hides a part of images"),
    ],
)
def test_what_contradicts_itself_is_named(asked: dict, said: str, task: ImageDensity) -> None:
    with pytest.raises(UserError, match=said):
        image_density.for_prediction(task, Inputs(**asked))


def test_a_part_of_an_image_is_hidden(task: ImageDensity, tmp_path: Path) -> None:
    photo, mask = tmp_path / "a photo.png", tmp_path / "遮.png"
    Image.new("L", (20, 10), 90).save(photo)
    white = np.zeros((10, 20), np.uint8)
    white[:, 10:] = 255
    Image.fromarray(white).save(mask)
    right = np.arange(SIZE) >= SIZE // 2
    for asked in ("right", str(mask)):
        items = read(task, image=(str(photo),), mask=asked, grid=Path("x.png"))
        (row,) = task.inputs(items)
        assert row["mask"].shape == (SIZE, SIZE) and (row["mask"] == right).all(), asked
    middle = picture_inputs.mask_of("middle", SIZE, None)("", None)
    assert middle.sum() == SIZE**2 / 4 and middle[2:6, 2:6].all()


def test_a_mask_that_is_none_is_named(task: ImageDensity, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("L", (20, 10), 90).save(photo)
    for name, image in {
        "black": Image.new("L", (20, 10)),
        "white": Image.new("L", (20, 10), 255),
        "other": Image.fromarray(np.eye(9, dtype=np.uint8) * 255),
    }.items():
        image.save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no image")
    for name, said in {
        "black.png": "nothing is white",
        "white.png": "everything is white",
        "other.png": "is 9 x 9 pixels, and .*photo.png 20 x 10",
        "text.png": "`mask` .*text.png: not an image",
        "upper": "is no file, and none of left, right, top, bottom, middle",
    }.items():
        mask = str(tmp_path / name) if "." in name else name
        with pytest.raises(UserError, match=said):
            read(task, image=(str(photo),), mask=mask, grid=Path("x.png"))


class Decoder(torch.nn.Module):
    """Makes of any image the grey that its one latent says, and of an image its own brightness."""

    def decode(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made = latent[:, :1, None, None].expand(-1, 1, SIZE, SIZE)
        return made, torch.zeros_like(made)

    def forward(self, pixel_values: torch.Tensor, noise: torch.Tensor) -> Any:
        mean = pixel_values[:, :1].mean((1, 2, 3))[:, None].expand(-1, LATENTS)
        made, log_scale = self.decode(mean)
        found = {"logits": made, "log_scale": log_scale}
        return type("Output", (), found | {"mean": mean, "log_variance": mean})


def test_the_hidden_part_alone_is_painted(task: ImageDensity) -> None:
    image = rows_of(1)[0]["image"]
    mask = picture_inputs.mask_of("top", SIZE, None)("", None)
    batch = task.collate(task.inputs([{"image": image, "mask": mask}]))
    (found,) = task.predict(Decoder(), batch)
    given, painted = found.pictures
    assert (given == image).all() and (painted[~mask] == image[~mask]).all()
    rest = image[~mask].mean()  # where it settles: the brightness of all is that of the rest
    assert np.abs(painted[mask].astype(float) - rest).max() <= 1
    assert found.bits_per_dim is not None and task.to_json(found).keys() == {"bits_per_dim"}


def test_the_way_between_two_images(task: ImageDensity, tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 200)):
        Image.new("L", (8, 8), value).save(tmp_path / f"{name}.png")
    names = tuple(str(tmp_path / f"{name}.png") for name in "ab")
    items = read(task, image=names, walk=3, grid=Path("x.png"))
    found = task.predict(Decoder(), task.collate(task.inputs(items)))
    assert [int(one.pictures[0][0, 0, 0]) for one in found] == [0, 100, 200]
    assert all(task.to_json(one) == {} for one in found), "a picture says nothing of itself"
    with pytest.raises(UserError, match="give `image` two or more"):
        read(task, image=names[:1], walk=3, grid=Path("x.png"))
    with pytest.raises(UserError, match="makes none of its own"):
        latents = task.inputs([{"latent": np.zeros(LATENTS, np.float32)}])
        task.predict(torch.nn.Identity(), task.collate(latents))
