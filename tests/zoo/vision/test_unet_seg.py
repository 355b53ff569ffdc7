"""unet_seg from the command line: trained, evaluated, its masks written, and read by others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli import run_cli
from tests.finetuning import Run
from zoo.vision.unet_seg import ENTRY

SMALL = (
    "--widths",
    8,
    16,
    "--stem_stride",
    1,
    "--image_size",
    16,
    "--report_to",
    "none",
    "--logging_steps",
    1,
)


def finetune(folder: Path, data: Path, *flags: object) -> Run:
    words = ("finetune", "--data", data, "--output_dir", folder, *SMALL, *flags)
    done = run_cli(ENTRY, *words)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.fixture(scope="module")
def trained(masked_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("unet") / "run"
    return finetune(folder, masked_images, "--num_train_epochs", 5, "--learning_rate", 0.01)


def test_it_learns(trained: Run) -> None:
    losses = trained.losses
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    assert "mean_iou" in trained.done.out and "pixel_accuracy" in trained.done.out  # type: ignore[union-attr]


def test_evaluate_tells_each_class_and_what_one_answer_is_worth(trained: Run) -> None:
    done = run_cli(ENTRY, "evaluate", trained.folder, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert list(found["metrics"]) == ["mean_iou", "dice", "pixel_accuracy"]
    assert found["metrics"]["mean_iou"]["n"] == 16
    assert found["metrics"]["mean_iou"]["method"] == "bootstrap"
    assert [one["label"] for one in found["classes"]] == ["0", "1", "2"]
    assert 0.5 < found["classes"][0]["iou"]["value"] <= 1
    assert found["constant"]["answer"] == "0"
    shown = run_cli(ENTRY, "evaluate", trained.folder)
    assert "iou" in shown.out and "commonest confusions" in shown.out
    assert (trained.folder / "plots" / "confusion_matrix.png").is_file()


def test_predict_writes_masks_and_overlays(
    trained: Run, masked_images: Path, tmp_path: Path
) -> None:
    images = masked_images / "test" / "images"
    again = tmp_path / "其他 folder"
    again.mkdir()
    shutil.copy(images / "000.png", again / "000.png")
    words = ("--image", images, again, "--mask", tmp_path / "m", "--overlay", tmp_path / "o")
    done = run_cli(ENTRY, "predict", trained.folder, *words)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.lines]
    assert len(lines) == 17
    for line in lines:
        mask, image = Image.open(line["mask"]), Image.open(line["image"])
        assert mask.mode == "P" and mask.size == image.size
        assert Image.open(line["overlay"]).size == image.size
        values = np.bincount(np.asarray(mask).ravel(), minlength=3) / (mask.width * mask.height)
        shares = dict(zip(line["labels"], line["shares"], strict=True))
        assert [shares.get(str(i), 0) for i in range(3)] == pytest.approx(values.tolist())
    assert lines[-1]["mask"].endswith("000-2.png")  # nothing was written over
    assert mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # type: ignore[index]


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(
    trained: Run, masked_images: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    words = ("--image", masked_images / "test" / "images", "--mask", tmp_path / "file")
    done = run_cli(ENTRY, "predict", trained.folder, *words)
    assert done.code == 2 and done.out == ""
    assert len(done.err.splitlines()) == 1 and "--mask" in done.err


def test_plain_transformers_gives_the_same_masks(trained: Run, masked_images: Path) -> None:
    from transformers import pipeline

    import zoo.auto

    segment = pipeline("image-segmentation", str(trained.folder), device="cpu")
    model = zoo.load(trained.folder)
    files = sorted((masked_images / "test" / "images").iterdir())[1:4]
    for file, [ours] in zip(files, ([one] for one in model.typed(map(str, files))), strict=True):
        theirs = np.zeros_like(ours.classes)
        for each in segment(str(file)):
            theirs[np.asarray(each["mask"]) > 0] = int(each["label"])
        assert np.array_equal(ours.classes, theirs)


def test_windows_keep_the_size_of_images(masked_images: Path, tmp_path: Path) -> None:
    run = finetune(tmp_path / "run", masked_images, "--windows", "--max_steps", 2)
    done = run_cli(ENTRY, "evaluate", run.folder, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["mean_iou"]["n"] == 16


def test_it_goes_on_with_its_own_weights(trained: Run, masked_images: Path, tmp_path: Path) -> None:
    words = ("--model", trained.folder, "--max_steps", 1, "--learning_rate", 0)
    done = run_cli(
        ENTRY, "finetune", "--data", masked_images, "--output_dir", tmp_path / "run", *words,
        "--report_to", "none",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "all weights are kept" in done.err
    before, after = trained.weights(), Run(tmp_path / "run").weights()
    weights = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(before[name], after[name]) for name in weights)
