"""fcos_det from the command line, its network, and what it starts from."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tasks.data.source import DataArgs
from tasks.vision import box_files, detection
from tasks.vision.class_table import palette
from tasks.vision.embedded import scenes
from tests.cli import run_cli
from tests.finetuning import Run
from zoo.vision.fcos_det import ENTRY
from zoo.vision.fcos_network import BODY
from zoo.vision.modeling_fcos import FcosConfig, FcosForObjectDetection, FcosModel

SMALL = ("--widths", 8, 8, 16, 16, "--hidden_size", 16, "--head_layers", 1, "--dtype", "fp32")
SHORT = ("--per_device_train_batch_size", 8, "--logging_steps", 1, "--report_to", "none")
STEPS = 24


@pytest.fixture(scope="module", autouse=True)
def few_scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The embedded scenes, cut to a few rows: a row does not depend on how many there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("zoo")))
        patch.setattr(scenes, "SIZES", {"train": 48, "validation": 8, "test": 16})
        yield


def finetune(folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, "finetune", "--output_dir", folder, *SHORT, *flags)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("fcos") / "run"
    flags = ("--max_steps", STEPS, "--save_steps", 12, "--save_total_limit", 9)
    return finetune(folder, *SMALL, *flags, "--learning_rate", 3e-3)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an image that is not square."""
    scene = scenes.draw("test", 0, scenes._digits())
    path = tmp_path_factory.mktemp("pictures") / "a scene.png"
    Image.fromarray(scene.image[:60]).save(path)
    return path


def test_the_loss_falls_and_the_metrics_are_cocos(trained: Run) -> None:
    assert len(trained.losses) == STEPS
    assert sum(trained.losses[-5:]) < 0.8 * sum(trained.losses[:5])
    first = trained.records("train")[0]
    parts = ("class_loss", "box_loss", "centerness_loss")
    assert sum(first[name] for name in parts) == pytest.approx(first["loss"], rel=1e-4)
    assert "map_50" in trained.done.out and "mar_100" in trained.done.out
    assert trained.manifest["config"]["options"]["widths"] == [8, 8, 16, 16]


@pytest.mark.slow  # in CI the cases of tests/faults do so
def test_resume_gives_the_same_bits(trained: Run, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(trained.folder, again)
    shutil.rmtree(again / "state" / f"step-{STEPS:08}")
    flags = ("--max_steps", STEPS, "--save_steps", 12, "--save_total_limit", 9, "--resume")
    run = finetune(again, *SMALL, *flags, "--learning_rate", 3e-3)
    assert "going on at step 12" in run.done.err and run.losses == trained.losses
    states = [
        load_file(f / f"state/step-{STEPS:08}/weights.safetensors") for f in (trained.folder, again)
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_evaluate_is_what_training_said(trained: Run) -> None:
    done = run_cli(ENTRY, "evaluate", trained.folder)
    assert done.code == 0, done.err
    said, again = (
        [row[:2] if row[2] == "-" else row[:5] for row in map(str.split, lines) if is_metric(row)]
        for lines in (trained.done.lines, done.lines)
    )
    assert len(said) == 9 and again == said  # value, low to high where there is an interval


def is_metric(row: list[str]) -> bool:
    """Whether it begins with the name of one."""
    return row[0].startswith(("map", "mar")) if row else False


def test_predict_gives_boxes_in_pixels_of_the_file(
    trained: Run, picture: Path, tmp_path: Path
) -> None:
    done = run_cli(
        ENTRY, "predict", trained.folder, "--image", picture, "--top_k", 3, "--threshold", 0
    )
    assert done.code == 0, done.err
    (line,) = map(json.loads, done.lines)
    assert line["image"] == str(picture) and 0 < len(line["boxes"]) <= 3
    scores = line["scores"]
    assert scores == sorted(scores, reverse=True) and set(line["labels"]) <= {*scenes.CLASSES}
    for x0, y0, x1, y1 in line["boxes"]:
        assert 0 <= x0 <= x1 <= 96 and 0 <= y0 <= y1 <= 60
    least = (scores[0] + scores[1]) / 2
    words = ("--image", picture, "--threshold", least, "--output", tmp_path / "boxes.csv")
    assert run_cli(ENTRY, "predict", trained.folder, *words).code == 0
    header, row = (tmp_path / "boxes.csv").read_text().splitlines()
    assert header == "image,labels,scores,boxes" and row.count("[[") == 1 and "], [" not in row
    done = run_cli(ENTRY, "predict", trained.folder, "--image", picture, "--threshold", 2)
    assert done.code == 2 and "--threshold 2.0 is outside its range, from 0 to 1" in done.err


def test_boxes_are_drawn_and_kept_as_coco_has_them(
    trained: Run, picture: Path, tmp_path: Path
) -> None:
    kept = picture.parent / "found.json"
    words = ("--image", picture, "--top_k", 2, "--threshold", 0, "--coco", kept)
    done = run_cli(ENTRY, "predict", trained.folder, *words, "--draw", tmp_path / "畫")
    assert done.code == 0, done.err
    (line,) = map(json.loads, done.lines)
    drawn = Image.open(line["draw"])
    assert drawn.size == (5 * 96, 5 * 60) and drawn.mode == "RGB"
    colour = palette(len(scenes.CLASSES) + 1)[1 + scenes.CLASSES.index(line["labels"][0])]
    x, y = (round(5 * at) for at in line["boxes"][0][2:])
    assert drawn.getpixel((x - 1, y - 1)) == colour  # its last corner
    (split,) = box_files.load(DataArgs(data=str(kept))).splits.values()
    (row,) = split["objects"]
    names = split.features["objects"]["category"].feature.names
    assert sorted(names) == sorted(scenes.CLASSES)
    assert [names[label] for label in row["category"]] == line["labels"]
    assert np.allclose(row["bbox"], line["boxes"], atol=0.11)
    scores = [one["score"] for one in json.loads(kept.read_text())["annotations"]]
    assert scores == line["scores"]
    done = run_cli(ENTRY, "predict", trained.folder, *words, "--coco", tmp_path / "a.csv")
    assert done.code == 2 and "a.csv: a name that ends in .json" in done.err


def test_the_pipeline_of_transformers_finds_the_same(trained: Run, picture: Path) -> None:
    from transformers import AutoModel, pipeline

    import zoo
    import zoo.auto

    assert isinstance(AutoModel.from_pretrained(trained.folder), FcosModel)
    detect = pipeline("object-detection", model=str(trained.folder), device="cpu")
    theirs = detect(str(picture), threshold=0.0)
    model = zoo.load(trained.folder, device="cpu")
    model.task = replace(model.task, threshold=0.0)
    ours = model.predict(str(picture))
    assert [one["label"] for one in theirs] == ours["labels"] != []
    assert [one["score"] for one in theirs] == pytest.approx(ours["scores"], abs=1e-4)
    for box, other in zip(ours["boxes"], theirs, strict=True):  # theirs are cut to whole pixels
        assert [*other["box"].values()] == pytest.approx(box, abs=1.1)


def test_other_classes_have_a_new_head_and_the_same_body(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "CLASSES", ("a", "b", "c", "d", "e", "f"))
    monkeypatch.setattr(
        scenes, "_SHAPES", dict(zip("abcdef", scenes._SHAPES.values(), strict=True))
    )
    monkeypatch.setattr(scenes, "RECIPE", "letters")
    run = finetune(
        tmp_path / "run", "--model", trained.folder, "--max_steps", 1, "--learning_rate", 0
    )
    assert "its head is drawn anew, for a, b, c, d, e and 1 more" in run.done.err
    before, after = trained.weights(), load_file(tmp_path / "run" / "model.safetensors")
    body = {name for name in before if name.startswith("fcos.") and "running" not in name}
    body = {name for name in body if "num_batches" not in name}
    assert body and all(torch.equal(before[name], after[name]) for name in body)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


@pytest.mark.slow  # trains two models
def test_a_backbone_may_be_a_classifier_of_the_zoo(tmp_path: Path, images: Path) -> None:
    words = ("--architecture", "test_resnet", "--data", images, "--max_steps", 1)
    done = run_cli(
        "zoo.vision.resnet_cls", "finetune", *words, *SHORT, "--output_dir", tmp_path / "resnet"
    )
    assert done.code == 0, done.err
    run = finetune(
        tmp_path / "run",
        "--model",
        tmp_path / "resnet",
        "--max_steps",
        1,
        "--learning_rate",
        0,
        "--hidden_size",
        16,
    )
    assert "its backbone is kept" in run.done.err
    assert run.manifest["config"]["options"]["architecture"] == "test_resnet"
    theirs = load_file(tmp_path / "resnet" / "model.safetensors")
    ours = run.weights()
    shared = [name for name in theirs if name.replace("timm_model.", BODY) in ours]
    assert len(shared) > 20
    for name in shared:
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(theirs[name], ours[name.replace("timm_model.", BODY)]), name


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--widths", 8, 16), "--widths 8 16: four multiples of 8"),
        (("--widths", 8, 8, 12, 16), "four multiples of 8"),
        (("--hidden_size", 20), "--hidden_size 20: a multiple of 8"),
        (("--image_size", 100), "--image_size 100: a multiple of 32"),
        (("--resize", "crop"), "--resize crop cuts things off that are to be found"),
        (("--architecture", "vit_tiny_patch16_224"), "has no feature maps of strides 8, 16 and 32"),
        (("--architecture", "resnet81"), "timm has no architecture 'resnet81'"),
        (("--label_smoothing_factor", 0.1), "--label_smoothing_factor: the classes of boxes"),
    ],
)
def test_what_makes_no_detector_is_one_line(
    flags: tuple[object, ...], said: str, tmp_path: Path
) -> None:
    words = ("--output_dir", tmp_path / "run", *SHORT, "--max_steps", 1, *flags)
    done = run_cli(ENTRY, "finetune", *words)
    assert done.code == 2 and said in done.err.splitlines()[-1], done.err


def task_of(size: int = 96) -> detection.Detection:
    class Processor:
        crop_size = {"height": size, "width": size}  # noqa: RUF012
        do_center_crop = True
        image_mean = image_std = (0.5, 0.5, 0.5)
        strides = (8, 16, 32)

    task, _ = detection.from_data(detection.Args(), DataArgs(max_eval_samples=4))
    return task.bind_for_training(Processor(), size**2)


def network() -> FcosForObjectDetection:
    torch.manual_seed(0)
    args = {"channels": (8, 8, 16, 16), "layers": (1, 1, 1, 1)}
    config = FcosConfig(backbone_args=args, hidden_size=16, head_layers=1, num_labels=6)
    return FcosForObjectDetection(config).eval()


def test_predictions_need_no_torch_and_are_the_same() -> None:
    task, model = task_of(), network()
    _, examples = detection.from_data(detection.Args(), DataArgs(max_eval_samples=4))
    rows = task.features(examples.splits["test"], "test").__getitems__(range(4))
    batch = task.collate(rows)
    with torch.no_grad():
        outputs = task.forward(model, batch)
    arrays = task.collate_arrays(rows)
    assert isinstance(arrays.targets["boxes"][0], np.ndarray)
    plain = task.predict(None, arrays, {name: t.numpy() for name, t in outputs.items()})
    for one, other in zip(plain, task.predict(model, batch, outputs), strict=True):
        assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.labels, other.labels)


def test_the_loss_of_the_model_is_the_mean_of_the_tasks() -> None:
    task, model = task_of(), network()
    _, examples = detection.from_data(detection.Args(), DataArgs(max_eval_samples=4))
    batch = task.collate(task.features(examples.splits["test"], "test").__getitems__(range(4)))
    loss = task.loss(task.forward(model, batch), batch)
    assert loss.terms.sum() == pytest.approx(float(loss.sum.detach()), rel=1e-5)
    labels = []
    for boxes, classes in zip(batch.targets["boxes"], batch.targets["labels"], strict=True):
        centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        labels.append({"boxes": torch.cat([centre, sides], 1) / 96, "class_labels": classes})
    with torch.no_grad():
        mean = model(**batch.inputs, labels=labels).loss
    assert float(mean) == pytest.approx(float(loss.sum.detach() / loss.count), rel=1e-4)


def test_an_image_of_any_size_has_its_points() -> None:
    model = network()
    with torch.no_grad():
        out = model(torch.zeros(2, 3, 40, 72))
    assert out.logits.shape == (2, 5 * 9 + 3 * 5 + 2 * 3, 6)
    assert out.boxes_xyxy.shape == (2, 66, 4) and out.centerness.shape == (2, 66, 1)
    assert (out.boxes_xyxy[..., 2:] > out.boxes_xyxy[..., :2]).all()


def test_evaluate_reads_boxes_as_it_is_told(trained: Run, tmp_path: Path) -> None:
    """Not as those of the training were written, which were masks."""
    said = []
    for how in ("xywh", "xyxy"):
        rows = []
        for i in range(3):
            scene = scenes.draw("test", i, scenes._digits())
            (tmp_path / how / "test").mkdir(parents=True, exist_ok=True)
            Image.fromarray(scene.image).save(tmp_path / how / "test" / f"{i}.png")
            box = [40, 40, 80, 70] if how == "xyxy" else [40, 40, 40, 30]
            things = {"bbox": [box], "category": [scenes.CLASSES[0]]}
            rows.append(json.dumps({"file_name": f"{i}.png", "things": things}))
        (tmp_path / how / "test" / "metadata.jsonl").write_text("\n".join(rows))
        words = ("--data", tmp_path / how, "--objects_column", "things", "--json")
        done = run_cli(ENTRY, "evaluate", trained.folder, *words, "--box_format", how)
        assert done.code == 0, done.err
        said.append({k: v for k, v in json.loads(done.out).items() if k != "data"})
    assert said[0] == said[1]
    done = run_cli(ENTRY, "evaluate", trained.folder, *words)
    assert done.code == 2 and "--box_format xywh: 3 of 3 boxes reach out" in done.err
