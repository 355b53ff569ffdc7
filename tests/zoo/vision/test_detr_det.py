"""detr_det: detectors of transformers with small random weights, trained, read by plain
transformers, and gone on with."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import zoo
from tasks.vision import set_prediction
from tests import tiny_detectors
from tests.cli import run_cli
from tests.finetuning import Run
from zoo.model import own_weights
from zoo.model.loading import head_names
from zoo.vision.detr_det import ENTRY
from zoo.vision.pretrained_detector import KINDS, set_loss_of

SMALL = tiny_detectors.SHAPE
SHORT = ("--max_steps", 2, "--report_to", "none", "--max_train_samples", 16, "--dtype", "fp32")
SHORT += ("--per_device_train_batch_size", 8)


def finetune(folder: Path, *words: object) -> Any:
    done = run_cli(ENTRY, "finetune", "--output_dir", folder, *SHORT, *words)
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def trained(boxed_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new RT-DETR."""
    folder = tmp_path_factory.mktemp("detr") / "run"
    finetune(folder, "--data", boxed_images, *SMALL)
    return folder


def pipeline_and_ours(folder: Path, file: str) -> tuple[list[Any], dict[str, Any]]:
    """What transformers and the zoo find, the surest first."""
    from transformers import pipeline

    detect = pipeline("object-detection", str(folder), device="cpu")
    theirs = sorted(detect(file, threshold=0.0), key=lambda one: -one["score"])
    model = zoo.load(folder, device="cpu")
    model.task = replace(model.task, threshold=0.0)
    return theirs, model.predict(file)


def check_same(folder: Path, file: Path) -> None:
    """All that transformers finds in an image of 32 x 24 pixels is found; the scores of untrained
    queries are nearly equal, and so their order says nothing."""
    theirs, ours = pipeline_and_ours(folder, str(file))
    assert len(theirs) in (10, 20, 84) and len(ours["labels"]) >= len(theirs)
    corners = np.array([[*one["box"].values()] for one in theirs])
    # theirs are cut to whole pixels, and not at the sides of the image
    corners = np.clip(corners, 0, [32, 24, 32, 24])
    distance = np.abs(corners[:, None] - np.array(ours["boxes"])[None]).max(-1)
    scores = np.array([one["score"] for one in theirs])
    apart = np.abs(scores[:, None] - np.array(ours["scores"])[None])
    labels = np.array([one["label"] for one in theirs])
    same = labels[:, None] == np.array(ours["labels"])[None]
    assert (same & (apart < 1e-3) & (distance < 1.2)).any(1).all()
    assert scores == pytest.approx(ours["scores"][: len(theirs)], abs=1e-3)


def test_plain_transformers_finds_the_same(trained: Path, boxed_images: Path) -> None:
    check_same(trained, boxed_images / "test" / "001.png")


@pytest.mark.parametrize(
    "kind",
    [
        "yolos",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("detr", "conditional_detr", "deformable_detr", "rt_detr_v2")
        ),
    ],
)
def test_weights_are_gone_on_with(kind: str, boxed_images: Path, tmp_path: Path) -> None:
    weights = tiny_detectors.weights(kind, tmp_path / "weights")
    words = ("--model", weights, "--data", boxed_images, "--learning_rate", 0)
    done = finetune(tmp_path / "run", *words)
    assert "images have more things than" not in done.err
    assert "its head is drawn anew, for " in done.err
    assert "sees squares of 64 here (--image_size)" in done.err
    before, after = (
        load_file(folder / "model.safetensors") for folder in (weights, tmp_path / "run")
    )
    drawn = head_names(zoo.load(tmp_path / "run", device="cpu").model)
    same = {n for n in after if n not in drawn and "running" not in n and "num_batches" not in n}
    assert len(same) > 20 and drawn
    assert all(torch.equal(before[name], after[name]) for name in same)
    check_same(tmp_path / "run", boxed_images / "test" / "001.png")


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_transformers(kind: str) -> None:
    """Of as many boxes in each image: there transformers' mean over a batch is ours over images."""
    from transformers.loss.loss_utils import LOSS_MAPPING

    config = tiny_detectors.config(kind)
    config.auxiliary_loss, config.num_labels = False, 3
    how = set_loss_of(config)
    generator = torch.Generator().manual_seed(1)
    classes = 3 + (how.classes == "cross_entropy")
    logits = torch.randn(2, 6, classes, generator=generator)
    boxes = torch.rand(2, 6, 4, generator=generator) * 0.5 + 0.25
    labels = [
        {
            "class_labels": torch.randint(3, (2,), generator=generator),
            "boxes": torch.rand(2, 4, generator=generator) * 0.4 + 0.3,
        }
        for _ in range(2)
    ]
    loss = LOSS_MAPPING[tiny_detectors.loss_of(kind)]
    theirs, _, _ = loss(logits, labels, "cpu", boxes, config)
    size = torch.tensor([64.0, 64.0])
    corners = [set_prediction.corners(one["boxes"], size) for one in labels]
    crowd = [torch.zeros(2, dtype=torch.bool)] * 2
    targets = set_prediction.SetTargets.of(
        corners, [one["class_labels"] for one in labels], crowd, size
    )
    parts = set_prediction.losses({"logits": logits, "pred_boxes": boxes}, targets, how, size)
    ours = sum(part.sum() for part in parts) / targets.counts.sum()
    assert float(ours) == pytest.approx(float(theirs), rel=1e-4)


def test_inner_layers_learn_too(trained: Path) -> None:
    """Those of the decoder before the last, and the encoder's proposals."""
    model = zoo.load(trained, device="cpu").model
    assert set(model(torch.zeros(1, 3, 64, 64)).keys()) == {"logits", "pred_boxes"}
    found = model.train()(torch.zeros(2, 3, 64, 64))
    assert found.auxiliary_logits.shape == (2, 2, 84, 2)
    assert found.auxiliary_boxes.shape == (2, 2, 84, 4)
    found.auxiliary_logits.sum().backward()
    assert model.model.enc_score_head.weight.grad.abs().sum() > 0


def test_other_classes_begin_unlikely(trained: Path, boxed_images: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for split in ("train", "validation", "test"):
        (data / split).mkdir(parents=True)
        for file in (boxed_images / split).glob("*.png"):
            (data / split / file.name).symlink_to(file)
        text = (boxed_images / split / "metadata.jsonl").read_text()
        text = text.replace('"square"', '"方"').replace('"disc"', '"圆"')
        (data / split / "metadata.jsonl").write_text(text)
    words = ("--model", trained, "--data", data, "--learning_rate", 0)
    done = finetune(tmp_path / "run", *words)
    assert "its head is drawn anew, for " in done.err
    model = zoo.load(tmp_path / "run", device="cpu")
    assert set(model.labels) == {"方", "圆"}
    bias = model.model.model.decoder.class_embed[0].bias
    assert bias.tolist() == pytest.approx([-0.6931] * 2, abs=1e-3)  # a third, of two classes


@pytest.mark.parametrize("tune", ["head", "lora"])
@pytest.mark.slow
def test_part_of_it_is_trained(
    tune: str, trained: Path, boxed_images: Path, tmp_path: Path
) -> None:
    words = ("--model", trained, "--data", boxed_images, "--tune", tune)
    done = finetune(tmp_path / "run", *words, "--learning_rate", 1e-2)
    assert "all weights are kept, the head's too" in done.err
    before, after = (load_file(f / "model.safetensors") for f in (trained, tmp_path / "run"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("class_embed" in name for name in moved)
    moved = {name for name in moved if "running" not in name and "num_batches" not in name}
    assert not any(name.endswith("convolution.weight") for name in moved)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tune", "lora"), "--tune lora: layers of RTDetrV2ForObjectDetection share their"),
        (("--gradient_checkpointing",), "--gradient_checkpointing: RTDetrV2ForObjectDetection"),
        (("--image_size", 32, "--tune", "full"), "30 queries begin at the best points of an"),
    ],
)
def test_what_can_not_be_done_with_weights_is_one_line(
    flags: tuple[object, ...], said: str, boxed_images: Path, tmp_path: Path
) -> None:
    folder = tiny_detectors.weights("rt_detr_v2", tmp_path / "v2")
    config = json.loads((folder / "config.json").read_text()) | {"num_queries": 30}
    (folder / "config.json").write_text(json.dumps(config))
    words = ("--model", folder, "--data", boxed_images)
    done = run_cli(ENTRY, "finetune", *words, "--output_dir", tmp_path / "run", *SHORT, *flags)
    assert done.code == 2 and said in done.err.splitlines()[-1], done.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--widths", 8, 16), "--widths 8 16: the backbone has 4 stages"),
        (("--hidden_size", 20), "--hidden_size 20: a multiple of 8"),
        (("--image_size", 72), "--image_size 72: a multiple of 32"),
        (
            ("--image_size", 64),
            "100 queries begin at the best points of an image, and one of 64 x 64",
        ),
        (("--resize", "pad"), "--resize pad: detectors of transformers place their boxes"),
        (("--label_smoothing_factor", 0.1), "--label_smoothing_factor: the classes of boxes"),
    ],
)
def test_what_makes_no_detector_is_one_line(
    flags: tuple[object, ...], said: str, boxed_images: Path, tmp_path: Path
) -> None:
    words = ("--data", boxed_images, "--output_dir", tmp_path / "run", *SHORT, *flags)
    more = SMALL if "label" in str(flags[0]) else ()
    done = run_cli(ENTRY, "finetune", *words, *more)
    assert done.code == 2 and said in done.err.splitlines()[-1], done.err


def test_options_that_contradict_the_weights(
    trained: Path, boxed_images: Path, tmp_path: Path
) -> None:
    words = ("--data", boxed_images, "--model", trained, "--output_dir", tmp_path / "run", *SHORT)
    for flags, said in ((("--num_queries", 9), "has 84"), (("--widths", 8, 8, 8, 16), "8 8 8 8")):
        done = run_cli(ENTRY, "finetune", *words, *flags)
        assert done.code == 2 and said in done.err.splitlines()[-1], done.err


@pytest.mark.slow  # trains five times
def test_cuts_and_resume_are_the_same_step(boxed_images: Path, tmp_path: Path) -> None:
    """Of a YOLOS, which has no batch norm."""
    weights = tiny_detectors.weights("yolos", tmp_path / "weights")
    words = ("--model", weights, "--data", boxed_images, "--max_steps", 4, "--logging_steps", 1)
    words += ("--save_steps", 2, "--save_total_limit", 9, "--learning_rate", 1e-3)
    whole = Run(tmp_path / "whole", finetune(tmp_path / "whole", *words))
    cut = finetune(tmp_path / "cut", *words, "--token_budget", 3 * 64**2)
    assert Run(tmp_path / "cut", cut).losses == pytest.approx(whole.losses, rel=1e-4)
    again = tmp_path / "again"
    shutil.copytree(whole.folder, again)
    shutil.rmtree(again / "state" / "step-00000004")
    done = finetune(again, *words, "--resume")
    assert "going on at step 2" in done.err
    assert Run(again, done).losses == whole.losses
    before, after = whole.weights(), Run(again).weights()
    assert all(torch.equal(x, after[name]) for name, x in before.items())


def test_more_things_than_queries_are_told(boxed_images: Path, tmp_path: Path) -> None:
    words = ("--data", boxed_images, *SMALL[:-4], "--num_queries", 1, "--image_size", 64)
    done = finetune(tmp_path / "run", *words)
    said = "of 16 images have more things than the model has queries, 1, and the rest of them"
    assert said in done.err


def test_weights_of_another_kind(boxed_images: Path, tmp_path: Path) -> None:
    folder = tiny_detectors.weights("yolos", tmp_path / "weights")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    words = ("--data", boxed_images, "--model", folder, "--output_dir", tmp_path / "run")
    done = run_cli(ENTRY, "finetune", *words, *SHORT)
    assert done.code == 2 and "holds weights of vit, and detr_det goes on with detr," in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_it_is_exported_with_proof(trained: Path, boxed_images: Path) -> None:
    done = run_cli(ENTRY, "export", trained, "--runtime", "onnx")
    assert done.code == 0, done.err
    manifest = json.loads((trained / "artifacts" / "onnx" / "export.json").read_text())
    kinds = {"logits": "logits", "pred_boxes": "boxes_cxcywh"}
    assert manifest["zoo"]["signature"]["kinds"] == kinds
    words = ("--deployment", "onnx", "--data", boxed_images, "--split", "test", "--json")
    done = run_cli(ENTRY, "evaluate", trained, *words)
    assert done.code == 0, done.err


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_classes_in_another_order_keep_their_layers(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForObjectDetection

    folder = tiny_detectors.weights(kind, tmp_path / kind)
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(images)
        assert own_weights.goes_on(model, list("abcd"), list("cadb"))
        after = model(images)
    order = [2, 0, 3, 1, *range(4, before.logits.shape[-1])]
    torch.testing.assert_close(after.logits, before.logits[..., order])
    torch.testing.assert_close(after.pred_boxes, before.pred_boxes)
