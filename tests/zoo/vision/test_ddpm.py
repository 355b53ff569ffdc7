"""ddpm from the command line: what it learns and makes, and what diffusers loads of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.cli import Done, run_cli
from tests.finetuning import Run
from zoo.vision.ddpm import ENTRY
from zoo.vision.modeling_ddpm import DdpmForPreTraining

SMALL = ("--widths", 8, 16, "--max_train_samples", 128, "--max_eval_samples", 32)
SHORT = ("--per_device_train_batch_size", 32, "--logging_steps", 1, "--report_to", "none")
SHORT += ("--max_steps", 24, "--save_steps", 12, "--save_total_limit", 9, "--learning_rate", 0.01)
SHORT += ("--eval_strategy", "no")
GAP, SIDE = 2, 56  # of a grid: digits of 8 x 8, seven times as large


def pretrain(folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, "pretrain", "--output_dir", folder, *SMALL, *SHORT, *flags)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of the embedded digits, with their labels."""
    return pretrain(tmp_path_factory.mktemp("ddpm") / "run")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of the embedded digits, without labels."""
    folder = tmp_path_factory.mktemp("ddpm") / "plain"
    return pretrain(folder, "--conditional", "off", "--max_steps", 2, "--betas", "linear")


def sampled(run: Run, grid: Path, *flags: object) -> list[np.ndarray]:
    """The pictures of a grid of one row, 8 x 8 again."""
    words = ("--columns", 99, "--steps", 4, "--device", "cpu", "--grid", grid)
    done: Done = run_cli(ENTRY, "predict", run.folder, *words, *flags)
    assert done.code == 0 and done.out == "", done.err
    whole = np.asarray(Image.open(grid)).astype(int)
    lefts = range(GAP, whole.shape[1], SIDE + GAP)
    return [whole[GAP : GAP + SIDE : 7, left : left + SIDE : 7] for left in lefts]


def test_it_learns(pretrained: Run) -> None:
    assert sum(pretrained.losses[-5:]) < 0.7 * sum(pretrained.losses[:5])
    assert "denoising_loss" in pretrained.done.out and "'no noise'" in pretrained.done.out
    follows = f"python -m zoo.vision.ddpm predict {pretrained.folder} --samples 16 --grid new.png"
    assert follows in pretrained.done.out
    config = json.loads((pretrained.folder / "config.json").read_text())
    assert (config["num_channels"], config["image_size"]) == (1, 8), "digits are grey"
    assert config["num_class_embeds"] == 11 and config["id2label"]["3"] == "3"
    done = run_cli(ENTRY, "evaluate", pretrained.folder)
    assert done.code == 0 and "denoising_loss" in done.out and "student-t" in done.out


def test_resume_gives_the_same_bits(pretrained: Run, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(pretrained.folder, again)
    shutil.rmtree(again / "state" / "step-00000024")
    run = pretrain(again, "--resume")
    assert "going on at step 12" in run.done.err
    assert run.losses == pretrained.losses
    first, second = pretrained.weights(), run.weights()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_new_pictures_are_those_of_seed_and_label(pretrained: Run, tmp_path: Path) -> None:
    grid = tmp_path / "a grid.png"
    twelve = sampled(pretrained, grid, "--samples", 12, "--seed", 1)
    assert len(twelve) == 12 and np.abs(twelve[0] - twelve[1]).mean() > 5
    two = sampled(pretrained, grid, "--samples", 2, "--seed", 1, "--batch_size", 1)
    for mine, theirs in zip(two, twelve, strict=False):
        # a convolution of one row may differ in a last bit from one of twelve
        assert np.abs(mine - theirs).max() <= 1
    threes = sampled(pretrained, grid, "--samples", 4, "--seed", 1, "--label", 3)
    assert np.abs(threes[3] - twelve[3]).max() <= 1, "labels come in turn"
    assert np.abs(threes[0] - twelve[0]).max() > 1, "a label is looked at"
    other = sampled(pretrained, grid, "--samples", 1, "--seed", 2)
    assert np.abs(other[0] - twelve[0]).max() > 5
    guided = sampled(pretrained, grid, "--samples", 1, "--seed", 1, "--guidance_scale", 3)
    assert np.abs(guided[0] - twelve[0]).max() > 1


def test_without_labels(plain: Run, tmp_path: Path) -> None:
    assert len(sampled(plain, tmp_path / "grid.png", "--samples", 3)) == 3
    config = json.loads((plain.folder / "unet" / "config.json").read_text())
    assert config["num_class_embeds"] is None
    done = run_cli(ENTRY, "predict", plain.folder, "--samples", 1, "--label", 3, "--grid", "x.png")
    assert done.code == 2 and "--label: this model learned images without labels" in done.err


def test_images_without_labels_are_learned_and_labels_not_missed_silently(
    pretrained: Run, tmp_path: Path
) -> None:
    rng, photos = np.random.default_rng(0), tmp_path / "写 photos"
    photos.mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).save(photos / f"{i}.png")
    data = ("--data", photos)
    words = ("pretrain", "--output_dir", tmp_path / "x", *SMALL, *SHORT, *data)
    done = run_cli(ENTRY, *words, "--conditional", "on")
    assert done.code == 2 and "have not one label each" in done.err
    run = pretrain(tmp_path / "run", *data, "--max_steps", 1)
    found = json.loads((run.folder / "config.json").read_text())
    assert (found["num_channels"], found["image_size"], found["num_class_embeds"]) == (3, 10, None)
    done = run_cli(ENTRY, "evaluate", pretrained.folder, *data)
    assert done.code == 2 and "this model learned 10" in done.err


def test_what_makes_no_network_is_named(pretrained: Run, plain: Run, tmp_path: Path) -> None:
    words = ("pretrain", "--output_dir", tmp_path / "x", *SMALL, *SHORT)
    theirs = ("--model", pretrained.folder)
    for flags, said in {
        ("--widths", 12): "--widths 12: one or more multiples of 8",
        ("--image_size", 9): "--image_size 9: a multiple of 2",
        (*theirs, "--color", "rgb"): "--color rgb: ",
        (*theirs, "--image_size", 16): "was trained at 8",
        (*theirs, "--betas", "linear"): "--betas linear: ",
        (*theirs, "--conditional", "off"): "was trained with the labels 0, 1, 2",
        ("--model", plain.folder, "--betas", "linear"): "give --conditional off",
        ("--mixup", 0.2): "blend labels",
        ("--rotation", 20): "which is the default here: give --augment default, too",
    }.items():
        done = run_cli(ENTRY, *words, *flags)
        assert done.code == 2 and said in done.err, done.err


def test_the_auto_classes_load_it(pretrained: Run) -> None:
    from transformers import AutoModelForPreTraining

    import zoo.auto  # noqa: F401

    model = AutoModelForPreTraining.from_pretrained(pretrained.folder)
    assert isinstance(model, DdpmForPreTraining)
    weights = load_file(pretrained.folder / "model.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    unet = load_file(pretrained.folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert {f"unet.{name}" for name in unet} == set(weights)
    assert all(torch.equal(tensor, weights[f"unet.{name}"]) for name, tensor in unet.items())


@pytest.mark.parametrize("name", ["pretrained", "plain"])
def test_diffusers_loads_it_and_makes_the_same(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is no dependency")
    from tasks.randomness import EpochView, normal_rows

    run: Run = request.getfixturevalue(name)
    unet, report = diffusers.UNet2DModel.from_pretrained(
        run.folder / "unet", output_loading_info=True
    )
    assert not any(report.values()), report
    scheduler = diffusers.DDIMScheduler.from_pretrained(run.folder / "scheduler")
    scheduler.set_timesteps(4)
    x = torch.from_numpy(normal_rows(EpochView(1, 0), range(2), 64, "start")).view(2, 1, 8, 8)
    labels = torch.tensor([0, 1]) if name == "pretrained" else None
    ours = DdpmForPreTraining.from_pretrained(run.folder).eval()
    with torch.no_grad():
        for time in scheduler.timesteps:
            noise = unet(x, time, class_labels=labels).sample
            mine = ours(x, time.expand(2), labels).logits
            torch.testing.assert_close(mine, noise, rtol=1e-4, atol=1e-5)
            x = scheduler.step(noise, time, x).prev_sample
    made = ((x[:, 0].clamp(-1, 1) + 1) * 127.5).round().numpy()
    found = sampled(run, tmp_path / "grid.png", "--samples", 2, "--seed", 1)
    assert all(np.abs(one - other).max() <= 1 for one, other in zip(found, made, strict=True))


def test_it_is_not_served_and_says_what_to_do_instead(pretrained: Run) -> None:
    done = run_cli("zoo", "serve", pretrained.folder, "--port", 0)
    assert done.code == 2 and "no route of a service makes images" in done.err
    assert f"zoo.vision.ddpm predict {pretrained.folder} --samples 16 --grid new.png" in done.err
