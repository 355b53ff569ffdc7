"""How files are read goes with a checkpoint: training, evaluate, predict, ONNX see the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.cli import Done, run_cli
from tests.finetuning import Run

MODEL = "zoo.vision.cnn_cls"
SHORT = ("--report_to", "none", "--dtype", "fp32", "--widths", 8, 16, "--image_size", 16)
SHORT += ("--max_steps", 30, "--learning_rate", 1e-2, "--augment", "none", "--logging_steps", 1)
SHORT += ("--per_device_train_batch_size", 16, "--norm", "group", "--eval_strategy", "no")
BEHIND = (0, 128, 255)
FLAGS = ("--background", "#0080ff", "--resize", "pad")


def drawing(i: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    """A bar (0) or a ring (1), 12 x 16: grey uint8, and how opaque."""
    y, x = np.mgrid[:12, :16] - np.array([5.5 + i % 3, 7.5 - i % 4])[:, None, None]
    shape = abs(x) < 3 if label == 0 else abs(np.hypot(x, y) - 4) < 1.5
    return np.full((12, 16), 10 * (i % 5), np.uint8), np.where(shape, 250, 40 * (i % 2))


def transparent(i: int, label: int) -> Image.Image:
    grey, alpha = drawing(i, label)
    bands = [Image.fromarray(band.astype(np.uint8)) for band in (grey, alpha)]
    image = Image.merge("LA", bands)
    return image if i % 2 else image.convert("RGBA")


def deep(i: int, label: int) -> Image.Image:
    _, alpha = drawing(i, label)
    return Image.fromarray((alpha.astype(np.uint16) * 16).clip(0, 4000))


MAKERS = {"transparent": transparent, "deep": deep}


def written(folder: Path, kind: str) -> Path:
    for split, count in (("train", 24), ("validation", 8), ("test", 8)):
        for i in range(count):
            for label, name in enumerate(("bar", "ring")):
                file = folder / split / name / f"{i:02}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                MAKERS[kind](i + count, label).save(file)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: written(tmp_path_factory.mktemp(kind), kind) for kind in MAKERS}


@pytest.fixture(scope="module")
def runs(data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    found = {}
    for kind, flags in (("transparent", FLAGS), ("deep", ())):
        folder = tmp_path_factory.mktemp(f"{kind}-run") / "run"
        words = ("--data", data[kind], "--output_dir", folder, *SHORT, *flags)
        done = run_cli(MODEL, "finetune", *words)
        assert done.code == 0, done.err
        found[kind] = Run(folder, done)
    return found


def as_seen(kind: str, file: Path) -> Image.Image:
    """The same image of 8 bits and opaque, made by hand: a square of 16 in `BEHIND`."""
    image = Image.open(file)
    if kind == "deep":
        return Image.fromarray(np.rint(np.asarray(image) * (255 / 4095)).astype(np.uint8))
    square = Image.new("RGB", (16, 16), BEHIND)
    square.paste(image.convert("RGB"), (0, 2), image.getchannel("A"))
    return square


def scores(done: Done) -> list[list[float]]:
    assert done.code == 0, done.err
    return [by_label(json.loads(line)) for line in done.lines]


def by_label(reading: dict) -> list[float]:
    return [reading["scores"][name] for name in ("bar", "ring")]


def predicted(run: Run, files: list[Path], *flags: object) -> list[list[float]]:
    return scores(run_cli(MODEL, "predict", run.folder, "--image", *files, "--top_k", 2, *flags))


def some(data: Path) -> list[Path]:
    return sorted((data / "test").rglob("*.png"))[::3]


def test_training_says_what_it_did_and_keeps_it(runs: dict[str, Run]) -> None:
    clear, twelve = runs["transparent"], runs["deep"]
    for split, count in (("train", 48), ("validation", 16), ("test", 16)):
        said = f"warning: {split}: {count} images of {count} with transparency, laid on #0080ff\n"
        assert said in clear.done.err
    assert (
        "warning: train: 48 images of more than 8 bits, with values from 0 to 4,000; 0 to 4,095 is "
        "taken for black to white (--value_range)\n"
    ) in twelve.done.err
    args = clear.manifest["config"]["task"]["args"]
    assert (args["background"], args["resize"], args["value_range"]) == ("#0080ff", "pad", None)
    args = twelve.manifest["config"]["task"]["args"]
    assert (args["background"], args["resize"], args["value_range"]) == (
        "white", "stretch", [0, 4095],
    )  # fmt: skip
    kept = json.loads((clear.folder / "preprocessor_config.json").read_text())
    assert (kept["background"], kept["resize_mode"]) == ("#0080ff", "pad")
    kept = json.loads((twelve.folder / "preprocessor_config.json").read_text())
    assert kept["value_range"] == [0, 4095]


@pytest.mark.parametrize("kind", MAKERS)
def test_predict_sees_what_training_saw(
    kind: str, runs: dict[str, Run], data: dict[str, Path], tmp_path: Path
) -> None:
    files = some(data[kind])
    plain = [tmp_path / f"{i}.png" for i, _ in enumerate(files)]
    for file, path in zip(files, plain, strict=True):
        as_seen(kind, file).save(path)
    found = np.array(predicted(runs[kind], files))
    np.testing.assert_allclose(found, predicted(runs[kind], plain), atol=0.004)
    assert np.ptp(found, 0).max() > 0.1, "all images look alike: nothing was compared"
    model = zoo.load(str(runs[kind].folder))
    for given in (list(map(str, files)), [Image.open(file) for file in files]):
        readings = model.predict(given, top_k=2)
        mine = [by_label(reading) for reading in readings]
        np.testing.assert_allclose(mine, found, atol=1e-6)


@pytest.mark.parametrize("kind", MAKERS)
def test_evaluate_sees_what_training_saw(kind: str, runs: dict[str, Run]) -> None:
    run = runs[kind]
    done = run_cli(MODEL, "evaluate", run.folder)
    assert done.code == 0, done.err
    shown, trained = (
        next(line for line in text.splitlines() if line.startswith("accuracy")).split()[:5]
        for text in (done.out, run.done.out)
    )
    assert shown == trained


def test_an_artifact_sees_what_training_saw(runs: dict[str, Run], data: dict[str, Path]) -> None:
    run, files = runs["transparent"], some(data["transparent"])
    done = run_cli(MODEL, "export", run.folder, "--runtime", "onnx")
    assert done.code == 0, done.err
    found = predicted(run, files, "--deployment", "onnx")
    np.testing.assert_allclose(found, predicted(run, files), atol=1e-4)


def test_what_training_never_saw_is_refused_and_not_black(
    runs: dict[str, Run], data: dict[str, Path]
) -> None:
    file = some(data["deep"])[0]
    done = run_cli(MODEL, "predict", runs["transparent"].folder, "--image", file)
    assert done.code == 2 and done.out == ""
    (line,) = done.err.splitlines()
    assert f"{file}: its values are 0 to 4,000, where its type has 0 to 65,535" in line
    assert "--value_range" in line


def test_values_beyond_what_training_found_are_said_to_be_cut(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "test" / "bar"
    folder.mkdir(parents=True)
    values = np.full((12, 16), 4000, np.uint16)
    values[:3] = 60000
    Image.fromarray(values).save(folder / "bright.png")
    said = "25.0% of the values lie outside 0 to 4,095, and are cut"
    done = run_cli(MODEL, "predict", runs["deep"].folder, "--image", folder / "bright.png")
    assert done.code == 0 and done.err == f"{folder / 'bright.png'}: {said}\n"
    words = ("--data", tmp_path / "data", "--split", "test")
    done = run_cli(MODEL, "evaluate", runs["deep"].folder, *words)
    assert done.code == 0, done.err
    assert f"warning: in 1 of 1 images, such as {folder / 'bright.png'}: {said}\n" in done.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--background", "trnsparent"), "--background trnsparent is no colour: give a name such"),
        (("--background", "#12345678"), "--background #12345678 is no colour"),
        (("--value_range", 9, 9), "--value_range 9 9: the value that is black, then a larger one"),
        (("--value_range", 0, "nan"), "--value_range 0 nan: the value that is black"),
    ],
)
def test_flags_that_make_no_sense(flags: tuple, said: str, tmp_path: Path) -> None:
    words = ("--data", tmp_path / "no", "--output_dir", tmp_path / "run", *flags)
    for model, verb in ((MODEL, "finetune"), ("zoo.vision.mae", "pretrain")):
        done = run_cli(model, verb, *words)
        assert done.code == 2 and said in done.err and "Traceback" not in done.err


def test_a_second_run_with_another_background_reads_anew(
    data: dict[str, Path], runs: dict[str, Run], tmp_path: Path
) -> None:
    """Nothing that is kept from the first run may be taken for the second."""
    words = ("--data", data["transparent"], *SHORT, "--resize", "pad", "--background", "black")
    done = run_cli(MODEL, "finetune", "--output_dir", tmp_path / "run", *words)
    assert done.code == 0, done.err
    assert "laid on black, which leaves" in done.err
    assert Run(tmp_path / "run").losses != runs["transparent"].losses


def test_a_teacher_and_its_student_see_the_same(
    data: dict[str, Path], runs: dict[str, Run], tmp_path: Path
) -> None:
    words = ("--data", data["transparent"], "--teacher", runs["transparent"].folder, *SHORT)
    done = run_cli(MODEL, "finetune", "--output_dir", tmp_path / "a", *words, "--resize", "pad")
    assert done.code == 2
    assert 'reads its inputs in another way (background: "#0080ff" against "white")' in done.err
    done = run_cli(MODEL, "finetune", "--output_dir", tmp_path / "b", *words, *FLAGS)
    assert done.code == 0, done.err


def test_mae_reads_alike_and_hands_it_on(data: dict[str, Path], tmp_path: Path) -> None:
    small = ("--depth", 1, "--decoder_size", 24, "--decoder_depth", 1, "--decoder_heads", 2)
    short = ("--report_to", "none", "--max_steps", 2, "--per_device_train_batch_size", 8)
    words = (*small, *short, "--patch_size", 4, "--image_size", 16, "--data", data["transparent"])
    mae, vit = tmp_path / "mae", tmp_path / "vit"
    done = run_cli("zoo.vision.mae", "pretrain", "--output_dir", mae, *words, *FLAGS)
    assert done.code == 0, done.err
    assert "48 images of 48 with transparency, laid on #0080ff" in done.err
    assert Run(mae).manifest["config"]["task"]["args"]["resize"] == "pad"
    words = ("--model", mae, "--data", data["transparent"], *short)
    done = run_cli("zoo.vision.vit_cls", "finetune", "--output_dir", vit, *words)
    assert done.code == 0, done.err
    args = Run(vit).manifest["config"]["task"]["args"]
    assert (args["background"], args["resize"]) == ("#0080ff", "pad")
