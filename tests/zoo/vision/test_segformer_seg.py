"""segformer_seg: small random weights, trained, read by plain transformers, and gone on with."""

from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.cli import run_cli
from zoo.vision.segformer_seg import ENTRY

SMALL = ("--widths", 8, 8, 10, 16, "--depth", 1, "--decoder_width", 16, "--image_size", 32)
SHORT = ("--max_steps", 2, "--report_to", "none", "--max_train_samples", 16)


@pytest.fixture(scope="module")
def trained(masked_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segformer") / "run"
    words = ("--model", "none", "--data", masked_images, "--output_dir", folder)
    done = run_cli(ENTRY, "finetune", *words, *SMALL, *SHORT)
    assert done.code == 0, done.err
    return folder


def test_plain_transformers_gives_the_same_masks(trained: Path, masked_images: Path) -> None:
    from transformers import pipeline

    segment = pipeline("image-segmentation", str(trained), device="cpu")
    # one in colour and not of the network's size
    file = str(masked_images / "test" / "images" / "001.png")
    [ours] = zoo.load(trained).typed([file])
    theirs = np.zeros_like(ours.classes)
    for each in segment(file):
        theirs[np.asarray(each["mask"]) > 0] = int(each["label"])
    assert np.array_equal(ours.classes, theirs)


def test_other_classes_get_a_new_head(trained: Path, masked_images: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("ground\nsquare\ndisc\nnothing\n")
    words = ("--model", trained, "--data", masked_images, "--output_dir", tmp_path / "run")
    done = run_cli(ENTRY, "finetune", *words, "--classes", names, *SHORT)
    assert done.code == 0, done.err
    assert "drawn anew" in done.err
    assert zoo.load(tmp_path / "run").labels == ("ground", "square", "disc", "nothing")


def test_widths_that_make_no_segformer(masked_images: Path, tmp_path: Path) -> None:
    words = ("--model", "none", "--data", masked_images, "--output_dir", tmp_path / "run")
    for widths, fault in (((8, 16), "4 stages"), ((8, 8, 8, 8), "no multiple of 5")):
        done = run_cli(ENTRY, "finetune", *words, "--widths", *widths)
        assert done.code == 2 and len(done.err.splitlines()) == 1
        assert fault in done.err


def test_options_that_contradict_the_weights(
    trained: Path, masked_images: Path, tmp_path: Path
) -> None:
    words = ("--model", trained, "--data", masked_images, "--output_dir", tmp_path / "run", *SHORT)
    for flags in (("--widths", 8, 8, 20, 16), ("--depth", 3), ("--decoder_width", 32)):
        done = run_cli(ENTRY, "finetune", *words, *flags)
        assert done.code == 2 and flags[0] in done.err.splitlines()[-1], done.err
