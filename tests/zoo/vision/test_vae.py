"""vae from the command line: what it learns, tells of images, paints and makes."""

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
from zoo.vision.modeling_vae import VaeForPreTraining
from zoo.vision.vae import ENTRY

SMALL = ("--widths", 16, "--latent_size", 8, "--max_train_samples", 256, "--max_eval_samples", 32)
SHORT = ("--per_device_train_batch_size", 32, "--logging_steps", 1, "--report_to", "none")
SHORT += ("--max_steps", 40, "--save_steps", 20, "--save_total_limit", 9, "--learning_rate", 0.01)
GAP, SIDE = 2, 56  # of a grid: digits of 8 x 8, seven times as large


def pretrain(folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, "pretrain", "--output_dir", folder, *SMALL, *SHORT, *flags)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of the embedded digits."""
    return pretrain(tmp_path_factory.mktemp("vae") / "run")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two digits, and noise."""
    from tasks.vision.embedded import digits

    folder = tmp_path_factory.mktemp("a folder")
    for row, one in enumerate(digits.load()["test"].select(range(2))):
        (folder / f"digit {row}.png").write_bytes(one["media"]["bytes"])
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return folder


def predict(run: Run, *flags: object) -> Done:
    done = run_cli(ENTRY, "predict", run.folder, "--device", "cpu", *flags)
    assert done.code == 0, done.err
    return done


def cell(grid: Path, row: int, column: int, deep: int = 1, place: int = 0) -> np.ndarray:
    """A picture in a grid, 8 x 8 again."""
    whole = np.asarray(Image.open(grid))
    top, left = GAP + row * (deep * SIDE + GAP) + place * SIDE, GAP + column * (SIDE + GAP)
    return whole[top : top + SIDE : 7, left : left + SIDE : 7]


def test_it_learns(pretrained: Run) -> None:
    assert sum(pretrained.losses[-5:]) < 0.9 * sum(pretrained.losses[:5])
    assert "bits_per_dim" in pretrained.done.out
    assert f"python -m zoo.vision.vae predict {pretrained.folder} --image" in pretrained.done.out
    config = json.loads((pretrained.folder / "config.json").read_text())
    assert (config["num_channels"], config["image_size"]) == (1, 8), "digits are grey"
    done = run_cli(ENTRY, "evaluate", pretrained.folder)
    assert done.code == 0 and "bits_per_dim" in done.out and "student-t" in done.out


def test_resume_gives_the_same_bits(pretrained: Run, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(pretrained.folder, again)
    shutil.rmtree(again / "state" / "step-00000040")
    run = pretrain(again, "--resume")
    assert "going on at step 20" in run.done.err
    assert run.losses == pretrained.losses
    first, second = pretrained.weights(), run.weights()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_an_odd_image_takes_more_bits(pretrained: Run, files: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    done = predict(pretrained, "--image", files, "--grid", grid)
    said = [json.loads(line) for line in done.lines]
    assert [Path(one["image"]).name for one in said] == ["digit 0.png", "digit 1.png", "noise.png"]
    bits = [one["bits_per_dim"] for one in said]
    assert bits[2] > max(bits[:2]) + 2
    alone = predict(pretrained, files / "digit 1.png")
    assert json.loads(alone.out)["bits_per_dim"] == pytest.approx(bits[1], abs=1e-5)
    for row, column, name in ((0, 0, "digit 0"), (0, 1, "digit 1"), (1, 0, "noise")):
        shown = cell(grid, row, column, deep=2)
        assert (shown == np.asarray(Image.open(files / f"{name}.png"))).all()
    assert f"{grid}: 3 pictures" in done.err


def test_new_pictures_are_those_of_the_seed(pretrained: Run, tmp_path: Path) -> None:
    grids = {}
    for name, flags in {
        "six": ("--samples", 6, "--columns", 3, "--seed", 1),
        "two": ("--samples", 2, "--seed", 1, "--batch_size", 1),
        "other": ("--samples", 2, "--seed", 2),
        "walk": ("--samples", 3, "--walk", 5, "--seed", 1),
    }.items():
        grids[name] = tmp_path / f"{name}.png"
        assert predict(pretrained, *flags, "--grid", grids[name]).out == ""
    assert Image.open(grids["six"]).size == (3 * (SIDE + GAP) + GAP, 2 * (SIDE + GAP) + GAP)
    six = [cell(grids["six"], i // 3, i % 3).astype(int) for i in range(6)]
    assert np.abs(six[0] - six[1]).mean() > 5, "they are different ones"
    for i in range(2):  # a convolution of one row may differ in a last bit from one of six
        assert np.abs(cell(grids["two"], 0, i).astype(int) - six[i]).max() <= 1
    assert np.abs(cell(grids["other"], 0, 0).astype(int) - six[0]).max() > 5
    for row, column, i in ((0, 0, 0), (0, 4, 1), (1, 0, 1), (1, 4, 2)):
        assert np.abs(cell(grids["walk"], row, column).astype(int) - six[i]).max() <= 1


def test_a_part_is_painted_and_the_rest_stays(pretrained: Run, files: Path, tmp_path: Path) -> None:
    grid, name = tmp_path / "grid.png", files / "digit 0.png"
    predict(pretrained, "--image", name, "--mask", "bottom", "--grid", grid)
    given, painted = (cell(grid, 0, 0, deep=2, place=place) for place in range(2))
    assert (given == np.asarray(Image.open(name))).all()
    assert (painted[:4] == given[:4]).all()
    # a digit's lower half is not the grey that it began with
    assert np.abs(painted[4:].astype(int) - 127).max() > 20


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "give --image with files, folders or globs, or --samples to make new pictures"),
        (("--samples", 4), "--samples is for pictures: name a file for them with --grid"),
        (("--samples", 4, "--grid", "x.jpg"), "--grid x.jpg: a name that ends in .png"),
        (("--samples", 0, "--grid", "x.png"), "--samples 0"),
    ],
)
def test_what_makes_no_sense_is_named(flags: tuple, said: str, pretrained: Run) -> None:
    done = run_cli(ENTRY, "predict", pretrained.folder, *flags)
    assert done.code == 2 and said in done.err, done.err
    assert len(done.err.splitlines()) == 1


def test_it_is_not_served_and_says_what_to_do_instead(pretrained: Run) -> None:
    done = run_cli("zoo", "serve", pretrained.folder, "--port", 0)
    assert done.code == 2 and "no route of a service says how likely an image is" in done.err
    assert f"python -m zoo.vision.vae predict {pretrained.folder} --image photo.jpg" in done.err


def test_what_makes_no_network_is_named(pretrained: Run, tmp_path: Path) -> None:
    words = ("pretrain", "--output_dir", tmp_path / "x", *SMALL, *SHORT)
    theirs = ("--model", pretrained.folder)
    for flags, said in {
        ("--widths", 12): "--widths 12: one or more multiples of 8",
        (*theirs, "--color", "rgb"): "--color rgb: ",
        (*theirs, "--image_size", 16): "was trained at 8",
        (*theirs, "--latent_size", 9): "--latent_size 9: ",
        ("--mixup", 0.2): "blend labels",
        ("--rotation", 20): "which is the default here: give --augment default, too",
    }.items():
        done = run_cli(ENTRY, *words, *flags)
        assert done.code == 2 and said in done.err, done.err


def test_the_auto_classes_load_it(pretrained: Run, files: Path) -> None:
    from transformers import AutoModelForPreTraining, pipeline

    import zoo.auto  # noqa: F401

    model = AutoModelForPreTraining.from_pretrained(pretrained.folder)
    assert isinstance(model, VaeForPreTraining)
    weights = load_file(pretrained.folder / "model.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    extract = pipeline("image-feature-extraction", model=str(pretrained.folder), device="cpu")
    features = torch.tensor(extract(str(files / "digit 0.png")))
    assert features.shape == (1, 1, 8)
