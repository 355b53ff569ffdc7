"""mlp_cls from the command line: pictures as vectors, in grey and in colour."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
import zoo.auto
from tests.cli import Done, run_cli

# isort: split
import transformers

from zoo.vision.mlp_cls import ENTRY
from zoo.vision.modeling_mlp import MlpConfig, MlpForImageClassification

SHORT = ("--report_to", "none", "--max_steps", 3, "--dtype", "fp32", "--hidden_sizes", 24, 16)
SHORT += ("--per_device_train_batch_size", 16)


def finetune(folder: Path, data: Path, *flags: object) -> Done:
    return run_cli(ENTRY, "finetune", "--data", data, "--output_dir", folder, *SHORT, *flags)


@pytest.fixture(scope="module")
def greys(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images in grey, as MNIST's are."""
    folder = shutil.copytree(images, tmp_path_factory.mktemp("greys") / "data")
    for file in folder.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    return folder


@pytest.fixture(scope="module")
def grey(greys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has seen grey images."""
    folder = tmp_path_factory.mktemp("mlp") / "run"
    done = finetune(folder, greys)
    assert done.code == 0, done.err
    return folder


def config(folder: Path) -> dict[str, object]:
    return json.loads((folder / "config.json").read_text())


def test_the_first_network_of_every_course() -> None:
    model = MlpForImageClassification(MlpConfig(num_channels=1, num_labels=10))
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes == [(128, 784), (128,), (10, 128), (10,)]


def test_of_grey_images_it_sees_one_channel(grey: Path, images: Path, tmp_path: Path) -> None:
    assert config(grey)["num_channels"] == 1
    assert (config(grey)["image_size"], config(grey)["hidden_sizes"]) == (12, [24, 16])
    mixed = tmp_path / "mixed"
    assert finetune(mixed, images).code == 0
    assert config(mixed)["num_channels"] == 3
    asked = tmp_path / "asked"
    assert finetune(asked, images, "--num_channels", 1).code == 0
    assert config(asked)["num_channels"] == 1


def test_colours_count_by_their_brightness_here_and_in_transformers(
    grey: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "图 1.png"
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file)
    done = run_cli(ENTRY, "predict", grey, "--image", file, "--top_k", 3)
    assert done.code == 0, done.err
    ours = json.loads(done.out)["scores"]
    theirs = transformers.pipeline("image-classification", model=str(grey), device="cpu")
    for one in theirs(Image.open(file)):
        assert ours[one["label"]] == pytest.approx(one["score"], abs=1e-5)
    assert len(ours) == 3


def test_an_export_has_one_channel_too(grey: Path, greys: Path) -> None:
    file = next((greys / "test").rglob("*.png"))
    before = run_cli(ENTRY, "predict", grey, "--image", file)
    done = run_cli(ENTRY, "export", grey, "--runtime", "onnx")
    assert done.code == 0, done.err
    after = run_cli(ENTRY, "predict", grey, "--image", file, "--deployment", "onnx")
    assert after.code == 0, after.err
    ours, theirs = json.loads(before.out), json.loads(after.out)
    assert ours["label"] == theirs["label"]
    assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)


def test_a_variation_without_effect_is_refused(tmp_path: Path) -> None:
    done = finetune(tmp_path / "run", tmp_path, "--augment", "none", "--noise", 0.1)
    (line,) = done.err.splitlines()
    assert done.code == 2 and "--noise 0.1 has no effect with --augment none" in line


def test_without_a_hidden_layer_it_is_linear(greys: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--data", greys, "--output_dir", run, *SHORT[:6])
    done = run_cli(ENTRY, "finetune", *words, "--hidden_sizes")
    assert done.code == 0, done.err
    names = set(zoo.load(str(run), device="cpu").model.state_dict())
    assert names == {"classifier.weight", "classifier.bias"}


def test_large_images_become_small_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in range(24):
        file = tmp_path / "data" / "ab"[place % 2] / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (90, 90), dtype=np.uint8)).save(file)
    run = tmp_path / "run"
    done = finetune(run, tmp_path / "data")
    assert done.code == 0, done.err
    assert config(run)["image_size"] == 64


def test_brightness_is_a_function_of_each_pixel() -> None:
    torch.manual_seed(0)
    model = MlpForImageClassification(MlpConfig(num_channels=1, image_size=8)).eval()
    grey = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        same = model(grey.expand(-1, 3, -1, -1)).logits
        torch.testing.assert_close(same, model(grey).logits)
        bluer = model(torch.cat([grey, grey, grey + 1], 1)).logits
    assert not torch.allclose(bluer, same)
