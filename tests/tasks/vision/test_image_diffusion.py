"""Diffusion of images: the noise of a sample, its label, the loss, and what is made of noise."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.base import Batch
from tasks.errors import UserError
from tasks.randomness import EpochView
from tasks.vision import image_diffusion, noise_schedule
from tasks.vision.image_diffusion import Args, ImageDiffusion, Inputs
from tests.evaluated import evaluated

SIZE, LABELS = 8, ("cat", "狗", "none")
GRID = Path("x.png")


class Processor:
    """The fields that the task reads."""

    size = {"height": SIZE, "width": SIZE}  # noqa: RUF012
    image_mean = image_std = (0.5, 0.5, 0.5)
    num_channels = 1


def task_of(labels: tuple[str, ...] = LABELS, **args: Any) -> ImageDiffusion:
    return ImageDiffusion(Args(**args), labels).bind_for_training(Processor(), SIZE**2)


def rows_of(count: int, view: EpochView | None = None) -> list[dict]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, SIZE, SIZE, 1), np.uint8)
    rows = [{"sample_id": i, "image": image, "label": i % 3} for i, image in enumerate(images)]
    return [row | {"view": view} for row in rows] if view else rows


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {**batch.inputs, **batch.targets}


def test_noise_follows_from_seed_epoch_and_sample() -> None:
    task, view = task_of(label_dropout=0.5), EpochView(3, 1)
    whole = tensors(task.collate(rows_of(8, view)))
    parts = [tensors(task.collate(rows_of(8, view)[i : i + 1])) for i in range(8)]
    assert whole.keys() == {"pixel_values", "timesteps", "class_labels", "noise"}
    for name, tensor in whole.items():
        assert torch.equal(tensor, torch.cat([part[name] for part in parts])), name
    for other in (EpochView(4, 1), EpochView(3, 2), None):
        found = tensors(task.collate(rows_of(8, other)))
        assert not any(torch.equal(found[name], tensor) for name, tensor in whole.items())


def test_an_image_has_the_noise_of_its_timestep() -> None:
    task = task_of()
    batch = task.collate(rows_of(4))
    clean = torch.stack([torch.from_numpy(row["image"]) for row in rows_of(4)]).permute(0, 3, 1, 2)
    shares = torch.from_numpy(noise_schedule.image_shares("cosine"))[batch.inputs["timesteps"]]
    wanted = noise_schedule.noised(clean / 127.5 - 1, batch.targets["noise"], shares)
    torch.testing.assert_close(batch.inputs["pixel_values"], wanted.float())


def test_labels_are_left_out_in_training_alone() -> None:
    task = task_of(label_dropout=0.5)
    labels = [i % 3 for i in range(300)]
    assert task.collate(rows_of(300)).inputs["class_labels"].tolist() == labels
    found = task.collate(rows_of(300, EpochView(0, 0))).inputs["class_labels"].tolist()
    out = [i for i in range(300) if found[i] == len(LABELS)]
    assert 100 < len(out) < 200
    assert all(found[i] == labels[i] for i in range(300) if i not in out)
    batch = task_of(label_dropout=0.0).collate(rows_of(300, EpochView(0, 0)))
    assert batch.inputs["class_labels"].tolist() == labels
    assert "class_labels" not in task_of(()).collate(rows_of(2)).inputs


def test_the_loss_is_a_sum_over_images() -> None:
    task = task_of()
    batch = task.collate(rows_of(3))
    outputs = {"logits": torch.zeros(3, 1, SIZE, SIZE)}
    loss, wanted = task.loss(outputs, batch), batch.targets["noise"].square().mean((1, 2, 3))
    torch.testing.assert_close(loss.terms, wanted)
    assert float(loss.count) == 3 and float(loss.sum) == pytest.approx(float(wanted.sum()))
    accumulator = task.accumulator()
    task.update(accumulator, evaluated(task, batch, outputs))
    (measured,) = accumulator.compute()
    assert measured.name == "denoising_loss" and measured.n == 3
    assert measured.value == pytest.approx(float(wanted.mean()), rel=1e-6)
    made = task.predict(torch.nn.Identity(), batch, {"logits": batch.targets["noise"]})
    for row, found in zip(rows_of(3), made, strict=True):
        assert task.to_json(found) == {"denoising_loss": 0}
        noisy, clean = task.pictures(found)
        assert np.abs(clean.astype(int) - row["image"]).max() <= 1 and (noisy != clean).any()


def test_what_is_predicted_does_not_depend_on_its_place() -> None:
    task, images = task_of(), [row["image"] for row in rows_of(3)]
    together = tensors(task.collate(task.inputs(images)))
    alone = tensors(task.collate(task.inputs(images[2:])))
    assert all(torch.equal(together[name][2:], alone[name]) for name in together)


def test_a_task_comes_back_from_its_record() -> None:
    task = task_of(betas="linear")
    asked = image_diffusion.for_prediction(task, Inputs(samples=1, steps=7, grid=GRID))
    for each in (task, asked):
        assert image_diffusion.from_config(json.loads(json.dumps(each.config()))) == task


def read(task: ImageDiffusion, **asked: Any) -> list[Any]:
    with ExitStack() as stack:
        return list(image_diffusion.read_inputs(Inputs(**asked), task, stack))


def test_new_pictures_follow_from_the_seed() -> None:
    few, many = (read(task_of(), samples=n, seed=1) for n in (2, 5))
    assert [item["label"] for item in many] == [0, 1, 2, 0, 1]
    for mine, theirs in zip(few, many, strict=False):
        assert (mine["start"] == theirs["start"]).all()
    assert (many[0]["start"] != many[3]["start"]).any()
    assert (read(task_of(), samples=1, seed=2)[0]["start"] != few[0]["start"]).all()
    assert [item["label"] for item in read(task_of(), samples=2, label="狗")] == [1, 1]
    assert "label" not in read(task_of(()), samples=1)[0]


class Labels(torch.nn.Module):
    """Says that the noise is the number of the label everywhere; counts its calls."""

    calls = 0

    def forward(self, pixel_values: torch.Tensor, timesteps: Any, class_labels: Any) -> Any:
        self.calls += 1
        self.logits = class_labels.view(-1, 1, 1, 1).expand(pixel_values.shape).float()
        return self


@pytest.mark.parametrize(("scale", "noise", "calls"), [(1.0, 1, 2), (0.0, 3, 4), (3.0, -3, 4)])
def test_guidance_goes_from_no_label_past_the_label(scale: float, noise: int, calls: int) -> None:
    asked = Inputs(samples=1, steps=2, label="狗", guidance_scale=scale, grid=GRID)
    task = image_diffusion.for_prediction(task_of(), asked)
    with ExitStack() as stack:
        items = list(image_diffusion.read_inputs(asked, task, stack))
    model = Labels()
    (found,) = task.predict(model, task.collate(task.inputs(items)))
    assert model.calls == calls and task.to_json(found) == {}
    start = torch.from_numpy(items[0]["start"])[None]

    def predict_noise(x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, noise)

    wanted = noise_schedule.sample(start, predict_noise, "cosine", 2)
    (picture,) = task.pictures(found)
    assert (picture[:, :, 0] == ((wanted[0, 0] + 1) * 127.5).round().numpy()).all()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "how many pictures"),
        ({"samples": 2}, "`samples` is for pictures: name a file for them with `grid`"),
        ({"samples": 2, "label": "dog", "grid": GRID}, "`label` dog: this model learned cat, 狗"),
    ],
)
def test_what_contradicts_itself_is_named(asked: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        image_diffusion.for_prediction(task_of(), Inputs(**asked))


@pytest.mark.parametrize("asked", [{"label": "cat"}, {"guidance_scale": 2.0}])
def test_a_model_without_labels_is_asked_for_none(asked: dict) -> None:
    with pytest.raises(UserError, match="learned images without labels"):
        image_diffusion.for_prediction(task_of(()), Inputs(samples=1, grid=GRID, **asked))
