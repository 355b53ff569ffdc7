"""resnet_cls and vit_cls from a checkpoint of their own, and from what plain transformers saved."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from tasks.vision.image_args import ImageArgs, side_of
from tests.cli import Done, run_cli
from tests.finetuning import Run
from zoo.vision.image_processor import processor_of_weights, reading_of

SHORT = ("--report_to", "none", "--dtype", "fp32", "--max_steps", 1, "--augment", "none")
SHORT += ("--max_train_samples", 24, "--max_eval_samples", 8, "--per_device_train_batch_size", 8)
NETWORKS = {
    "resnet_cls": ("--architecture", "test_resnet"),
    "vit_cls": ("--architecture", "vit_tiny_patch16_224", "--depth", 2, "--image_size", 16),
}
HEADS = {"resnet_cls": "timm_model.fc.", "vit_cls": "timm_model.head."}


def finetune(name: str, folder: Path, *flags: object) -> Done:
    return run_cli(f"zoo.vision.{name}", "finetune", "--output_dir", folder, *SHORT, *flags)


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, flags in NETWORKS.items():
        folders[name] = tmp_path_factory.mktemp(name) / "run"
        done = finetune(name, folders[name], "--data", images, *flags)
        assert done.code == 0, done.err
    return folders


@pytest.fixture(scope="module")
def renamed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images under as many other labels."""
    folder = tmp_path_factory.mktemp("renamed")
    for split in ("train", "validation", "test"):
        for label in (images / split).iterdir():
            shutil.copytree(label, folder / split / f"a {label.name}")
    return folder


@pytest.fixture(scope="module")
def two(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images without one label."""
    folder = tmp_path_factory.mktemp("two")
    for split in ("train", "validation", "test"):
        for label in ("bar", "ring"):
            shutil.copytree(images / split / label, folder / split / label)
    return folder


def learned(folder: Path) -> dict[str, torch.Tensor]:
    """The weights, without the statistics of batch norm, which a step without rate moves too."""
    found = load_file(folder / "model.safetensors")
    return {n: t for n, t in found.items() if "running_" not in n and "num_batches" not in n}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("resnet_cls", "images"),
        ("resnet_cls", "renamed"),
        ("resnet_cls", "two"),
        ("vit_cls", "images"),
        ("vit_cls", "two"),
    ],
)
def test_its_own_checkpoint_is_trained_on(
    name: str, data: str, trained: dict[str, Path], tmp_path: Path, request: Any
) -> None:
    folder = request.getfixturevalue(data)
    words = ("--model", trained[name], "--data", folder, "--learning_rate", 0)
    done = finetune(name, tmp_path / "run", *words)
    assert done.code == 0, done.err
    before, after = learned(trained[name]), learned(tmp_path / "run")
    assert before.keys() == after.keys()
    head = {key for key in before if key.startswith(HEADS[name])}
    assert len(head) == 2
    assert all(torch.equal(before[key], after[key]) for key in before.keys() - head)
    said = "its head is drawn anew, for "
    if data == "images":
        assert all(torch.equal(before[key], after[key]) for key in head)
        assert said not in done.err
    else:
        assert not any(
            before[key].shape == after[key].shape and torch.equal(before[key], after[key])
            for key in head
            if "weight" in key
        )
        names = "bar, ring" if data == "two" else "a bar, a dot, a ring"
        assert f"{said}{names} (it knew bar, dot, ring); all other weights are kept" in done.err
    sizes = [json.loads((f / "zoo.json").read_text())["config"]["task"] for f in (
        trained[name], tmp_path / "run")]  # fmt: skip
    assert [sizes[0][key] for key in ("size", "mean", "std")] == [
        sizes[1][key] for key in ("size", "mean", "std")
    ]


def test_from_classes_to_a_number_and_back(
    trained: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    table = tmp_path / "numbers.csv"
    files = sorted((images / "train" / "bar").iterdir())
    rows = "".join(f"{file},{i / 7:.3f}\n" for i, file in enumerate(files))
    table.write_text("image,label\n" + rows)
    words = ("--data", table, "--problem_type", "regression", "--learning_rate", 0)
    done = finetune("resnet_cls", tmp_path / "a", "--model", trained["resnet_cls"], *words)
    assert done.code == 0, done.err
    assert "drawn anew, for a number (it knew bar, dot, ring)" in done.err
    again = finetune("resnet_cls", tmp_path / "b", "--model", tmp_path / "a", *words)
    assert again.code == 0 and "drawn anew" not in again.err
    heads = [learned(tmp_path / name)["timm_model.fc.weight"] for name in "ab"]
    assert torch.equal(*heads)
    back = finetune("resnet_cls", tmp_path / "c", "--model", tmp_path / "a", "--data", images)
    assert back.code == 0 and "drawn anew, for bar, dot, ring (it knew a number)" in back.err


def changed(source: Path, folder: Path, **settings: Any) -> Path:
    """A copy of a checkpoint whose image processor says something else."""
    shutil.copytree(source, folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "size", "mean", "reading"),
    [
        ({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}, 32, [0.1, 0.2, 0.3], {}),
        ({"do_normalize": False}, 32, [0, 0, 0], {}),
        ({"size": {"shortest_edge": 40}, "do_center_crop": True, "resize_mode": None,
          "crop_size": {"height": 40, "width": 40}}, 40, [0.5] * 3, {"resize": "crop"}),
        ({"background": "#ff8000", "resize_mode": "pad", "value_range": [0, 4095]}, 32, [0.5] * 3,
         {"background": "#ff8000", "resize": "pad", "value_range": (0, 4095)}),
    ],
    ids=["normalised", "plain", "cropped", "as files are read"],
)  # fmt: skip
def test_size_and_reading_are_those_of_the_weights(
    settings: dict[str, Any], size: int, mean: list[float], reading: dict[str, Any],
    trained: dict[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    weights = changed(trained["resnet_cls"], tmp_path / "weights", **settings)
    found = processor_of_weights(weights, ImageArgs())
    assert (side_of(found), list(found.image_mean)) == (size, mean)
    expected = ImageArgs(**({"background": "white", "resize": "stretch"} | reading))
    assert reading_of(found) == expected


def test_flags_win_over_the_weights(trained: dict[str, Path], images: Path, tmp_path: Path) -> None:
    settings = {"background": "black", "resize_mode": "pad", "value_range": [0, 4095]}
    weights = changed(trained["resnet_cls"], tmp_path / "weights", **settings)
    flags = ("--background", "#123456", "--resize", "crop", "--image_size", 48)
    words = ("--model", weights, "--data", images, *flags)
    done = finetune("resnet_cls", tmp_path / "run", *words)
    assert done.code == 0, done.err
    task = json.loads((tmp_path / "run" / "zoo.json").read_text())["config"]["task"]
    args = task["args"]
    assert (task["size"], args["background"], args["resize"]) == (48, "#123456", "crop")
    assert args["value_range"] == [0, 4095]  # which nobody asked to be another
    kept = json.loads((tmp_path / "run" / "preprocessor_config.json").read_text())
    assert (kept["background"], kept["resize_mode"]) == ("#123456", "crop")
    assert kept["size"] == {"shortest_edge": 48} and kept["do_center_crop"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rescale_factor": 1.0}, "multiplies pixels by 1, and only 1/255 is known"),
        ({"size": {"height": 32, "width": 40}}, "only squares of one size are known"),
        ({"size": {"shortest_edge": 32}}, "only squares of one size are known"),
    ],
)
def test_a_processor_that_can_t_be_followed(
    settings: dict[str, Any], said: str, trained: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    weights = changed(trained["resnet_cls"], tmp_path / "weights", **settings)
    done = finetune("resnet_cls", tmp_path / "run", "--model", weights, "--data", images)
    assert done.code == 2 and said in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("resnet_cls", ("--tune", "head")),
        ("resnet_cls", ("--tune", "gradual")),
        ("vit_cls", ("--tune", "head")),
        ("vit_cls", ("--tune", "lora")),
    ],
)
def test_every_way_to_tune_it(
    name: str, flags: tuple[str, ...], trained: dict[str, Path], renamed: Path, tmp_path: Path
) -> None:
    words = ("--model", trained[name], "--data", renamed, "--learning_rate", 0.1, *flags)
    words += ("--warmup_steps", 0)
    done = finetune(name, tmp_path / "run", *words)
    assert done.code == 0, done.err
    before, after = learned(trained[name]), learned(tmp_path / "run")
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    head = {key for key in before if key.startswith(HEADS[name])}
    assert head <= moved
    if "head" in flags:  # statistics of batch norms stay too
        assert moved == head
        every = [load_file(f / "model.safetensors") for f in (trained[name], tmp_path / "run")]
        assert all(torch.equal(every[0][n], t) for n, t in every[1].items() if n not in head)
    (reading,) = zoo.load(str(tmp_path / "run")).predict(
        [str(next((renamed / "test" / "a dot").iterdir()))]
    )
    assert reading["label"] in ("a bar", "a dot", "a ring")
    lora = (tmp_path / "run" / "adapter" / "adapter_config.json").is_file()
    assert lora == ("lora" in flags)


def test_lora_wants_linear_layers(trained: dict[str, Path], images: Path, tmp_path: Path) -> None:
    words = ("--model", trained["resnet_cls"], "--data", images, "--tune", "lora")
    done = finetune("resnet_cls", tmp_path / "run", *words)
    assert done.code == 2 and "--tune lora adapts linear layers" in done.err


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What plain transformers saves of one of timm's networks: no image processor."""
    import tasks  # noqa: F401  (torchvision may need our guard)

    # isort: split
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    folder = tmp_path_factory.mktemp("plain")
    config = TimmWrapperConfig(architecture="test_resnet", num_labels=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        TimmWrapperForImageClassification(config).save_pretrained(folder)
    return folder


def test_a_plain_folder_of_transformers(plain: Path, images: Path, tmp_path: Path) -> None:
    words = ("--model", plain, "--data", images, "--learning_rate", 0)
    done = finetune("resnet_cls", tmp_path / "run", *words)
    assert done.code == 0, done.err
    assert "does not say how its images were read" in done.err
    assert "160 pixels and the normalisation that is usual for test_resnet are taken" in done.err
    assert "drawn anew, for bar, dot, ring (it knew LABEL_0, LABEL_1, LABEL_2" in done.err
    run = Run(tmp_path / "run")
    assert run.manifest["config"]["task"]["size"] == 160
    before, after = learned(plain), learned(run.folder)
    assert all(torch.equal(before[k], after[k]) for k in before if ".fc." not in k)


def test_what_timm_published_says_how_images_are_read(
    plain: Path, images: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    tensors = load_file(plain / "model.safetensors")
    theirs = {name.removeprefix("timm_model."): tensor for name, tensor in tensors.items()}
    save_file(theirs, weights / "model.safetensors", {"format": "pt"})
    cfg = {"input_size": [3, 64, 64], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    config = {"architecture": "test_resnet", "num_classes": 5, "pretrained_cfg": cfg}
    (weights / "config.json").write_text(json.dumps(config))
    words = ("--model", weights, "--data", images, "--learning_rate", 0)
    done = finetune("resnet_cls", tmp_path / "run", *words)
    assert done.code == 0, done.err
    assert "does not say" not in done.err
    assert "its head is drawn anew, for bar, dot, ring" in done.err
    after = learned(tmp_path / "run")  # under timm's names again
    assert all(torch.equal(theirs[name], after[name]) for name in after if "fc." not in name)
    task = Run(tmp_path / "run").manifest["config"]["task"]
    assert (task["size"], task["mean"], task["std"]) == (64, cfg["mean"], cfg["std"])


def test_positions_are_of_one_size(trained: dict[str, Path], images: Path, tmp_path: Path) -> None:
    words = ("--model", trained["vit_cls"], "--data", images, "--image_size", 32)
    done = finetune("vit_cls", tmp_path / "run", *words)
    assert done.code == 2
    assert "was pretrained at 16, and its positions are those of that size" in done.err


@pytest.mark.parametrize("damage", ["shape", "missing"])
def test_a_body_that_does_not_fit_is_never_drawn_anew(
    damage: str, trained: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    weights = shutil.copytree(trained["vit_cls"], tmp_path / "weights")
    tensors = load_file(weights / "model.safetensors")
    if damage == "shape":
        tensors["timm_model.pos_embed"] = torch.zeros(1, 9, 192)
    else:
        del tensors["timm_model.pos_embed"]
    save_file(tensors, weights / "model.safetensors", {"format": "pt"})
    words = ("--model", weights, "--data", images)
    done = finetune("vit_cls", tmp_path / "run", *words)
    assert done.code == 2, done.err
    said = done.err.splitlines()[-1]
    assert "has them in another shape: timm_model.pos_embed" in said, said


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "[" * 100_000])
def test_a_damaged_config(
    content: str, trained: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    weights = shutil.copytree(trained["resnet_cls"], tmp_path / "weights")
    (weights / "config.json").write_text(content)
    for name in NETWORKS:
        done = finetune(name, tmp_path / "run", "--model", weights, "--data", images)
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert all(part in line for part in (str(weights), "config.json", "is damaged"))


@pytest.mark.parametrize("verb_model", ["resnet_cls", "vit_cls"])
def test_weights_of_another_kind(
    verb_model: str, tiny_bert: Path, images: Path, tmp_path: Path
) -> None:
    done = finetune(verb_model, tmp_path / "run", "--model", tiny_bert, "--data", images)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "holds weights of bert, and this model takes networks of timm" in line


@pytest.mark.parametrize(("name", "other"), [("vit_cls", "resnet_cls"), ("resnet_cls", "vit_cls")])
def test_a_checkpoint_of_another_model(
    name: str, other: str, trained: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    done = finetune(name, tmp_path / "run", "--model", trained[other], "--data", images)
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    assert f"is a checkpoint of {other}, and not a checkpoint of {name}" in done.err
    assert f"finetune {other} goes on from it" in done.err
