"""Images and sounds from data to predictions, every way to train them, and plain transformers."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import zoo
from tests import cases
from tests.cases import Case
from tests.cli import run_cli, run_program

FAST = ("--learning_rate", 3e-3, "--max_steps", 8)
SMALL_TIMM = {  # networks that timm keeps for tests, and a small ViT
    "resnet_cls": ("--architecture", "test_resnet"),
    "vit_cls": ("--architecture", "vit_tiny_patch16_224", "--depth", 2, "--image_size", 16),
}
PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
from transformers import pipeline
known = {name for name in sys.modules if name.partition(".")[0] == "zoo"}
assert sys.argv[1] == "zoo.auto" or not known, known
said = []
for task, folder, files in json.load(sys.stdin):
    pipe = pipeline(task, model=folder, device="cpu")
    if task == "audio-classification":
        import soundfile
        heard = (soundfile.read(file, dtype="float32") for file in files)
        files = [{"raw": wave, "sampling_rate": rate} for wave, rate in heard]
    said.append([pipe(file, top_k=3) for file in files])
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Learned:
    """A checkpoint, and what went to standard output when it was made."""

    case: Case
    folder: Path
    told: str


def _case(request: pytest.FixtureRequest, model: str) -> Case:
    if model in SMALL_TIMM:
        found = cases.made(request, "vision")
        return dataclasses.replace(
            found, module=f"zoo.vision.{model}", flags=SMALL_TIMM[model], name=model
        )
    return cases.made(request, {"cnn_cls": "vision", "kws_cls": "sound"}[model])


@pytest.fixture(scope="module")
def learned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Learned]:
    """A fine-tune of each model that knows classes."""
    made = {}
    for model in ("cnn_cls", "kws_cls", *SMALL_TIMM):
        case = _case(request, model)
        folder = tmp_path_factory.mktemp(model) / "run"
        run = case.finetune(folder, *FAST, "--report_to", "tensorboard")
        made[model] = Learned(case, folder, run.done.out)
    return made


def _files(case: Case) -> list[Path]:
    return sorted(path for path in (case.data / "test").rglob("*.*"))[::5]


def _predicted(one: Learned) -> list[dict[str, object]]:
    files = _files(one.case)
    done = run_cli(
        one.case.module, "predict", one.folder, one.case.input_flag, *files, "--top_k", 3
    )
    assert done.code == 0 and done.err == "", done.err
    readings = [json.loads(line) for line in done.lines]
    key = one.case.input_flag.removeprefix("--")
    assert [reading[key] for reading in readings] == [str(file) for file in files]
    return readings


@pytest.mark.parametrize("model", ["cnn_cls", "kws_cls", "resnet_cls", "vit_cls"])
def test_evaluate_says_what_training_said(learned: dict[str, Learned], model: str) -> None:
    one = learned[model]
    done = run_cli(one.case.module, "evaluate", one.folder)
    assert done.code == 0, done.err
    shown, trained = (
        next(line for line in text.splitlines() if line.startswith("accuracy")).split()[:5]
        for text in (done.out, one.told)
    )
    assert shown == trained
    plots = {path.name for path in (one.folder / "plots").iterdir()}
    assert {"training.png", "confusion_matrix.png"} <= plots
    assert list((one.folder / "logs").rglob("events.out.tfevents.*"))
    facts = [json.loads(line) for line in (one.folder / "evidence.jsonl").open()]
    assert {"accuracy", "train_samples_per_second"} <= {fact["name"] for fact in facts}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "models"),
    [("zoo.auto", ("cnn_cls", "kws_cls")), ("tasks", ("resnet_cls", "vit_cls"))],
    ids=["own networks", "timm's, without zoo"],
)
def test_pipelines_say_the_same(
    learned: dict[str, Learned], first: str, models: tuple[str, ...], tmp_path: Path
) -> None:
    """transformers.pipeline in a process of its own; `tasks` is there for torchvision's guard."""
    asked = [
        (
            "audio-classification" if model == "kws_cls" else "image-classification",
            str(learned[model].folder),
            [str(file) for file in _files(learned[model].case)],
        )
        for model in models
    ]
    done = run_program(PROGRAM, first, stdin=json.dumps(asked), cwd=tmp_path)
    for model, plain in zip(models, json.loads(done.out.splitlines()[-1]), strict=True):
        for ours, theirs in zip(_predicted(learned[model]), plain, strict=True):
            assert ours["label"] == theirs[0]["label"]
            for entry in theirs:
                assert ours["scores"][entry["label"]] == pytest.approx(entry["score"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("vit_cls", ("--tune", "lora")),
        ("resnet_cls", ("--tune", "gradual")),
        ("kws_cls", ("--tune", "head", "--augment", "none", "--max_steps", 20)),
        ("kws_cls", ("--ema_decay", 0.8, "--label_smoothing_factor", 0.1)),
        ("kws_cls", ("--class_weights", "balanced", "--augment", "none")),
        ("cnn_cls", ("--ema_decay", 0.8, "--class_weights", "balanced", "--norm", "batch")),
        ("cnn_cls", ("--mixup", 0.2, "--cutmix", 1, "--label_smoothing_factor", 0.1)),
        ("cnn_cls", ("--augment", "randaugment", "--random_erasing", 0.5)),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)),
)
def test_every_way_to_train_runs_and_is_read_back(
    request: pytest.FixtureRequest, model: str, flags: tuple[object, ...], tmp_path: Path
) -> None:
    case = _case(request, model)
    run = case.finetune(tmp_path / "run", *FAST, *flags)
    assert sum(run.losses[-3:]) < sum(run.losses[:3])
    (reading,) = zoo.load(str(run.folder)).predict([str(_files(case)[0])])
    assert reading["label"] in {folder.name for folder in (case.data / "train").iterdir()}
    if "lora" in flags:
        assert (run.folder / "adapter" / "adapter_config.json").is_file()
