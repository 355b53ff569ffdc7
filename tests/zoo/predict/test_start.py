"""What a deployed checkpoint imports to answer: its runtime, and what reads its input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import ROOT, run_cli, run_program
from tests.tiny_models import checkpoint

FIXTURES = ROOT / "tests" / "fixtures" / "b7db848"
NEEDLESS = {
    *(
        "torch",
        "transformers",
        "datasets",
        "accelerate",
        "peft",
        "timm",
        "torchvision",
        "torchaudio",
    ),
    *("onnx", "ml_dtypes", "pandas", "pyarrow", "scipy", "sympy", "jinja2"),
}


RUN = """
import runpy
try:
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def answer(*words: object, program: str = RUN) -> str:
    """What `python -m WORDS` prints, or another program with these words; fails where it imports
    what it need not, or asks whether torch is there."""
    program = f"""
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {{name!r}}")


sys.meta_path.insert(0, Absent())
sys.argv = {list(map(str, words))!r}
{program}
print(sorted({NEEDLESS!r} & set(sys.modules)), file=sys.stderr)
"""
    done = run_program(program)
    assert done.err.splitlines()[-1] == "[]", "imported for nothing"
    return done.out


def test_an_image(images: Path) -> None:
    pytest.importorskip("onnxruntime")
    expected = json.loads((FIXTURES / "vision.jsonl").read_text().splitlines()[0])
    image = images / Path(expected["image"]).relative_to("data/images")
    words = ("predict", FIXTURES / "vision", "--image", image, "--top_k", 3)
    found = json.loads(answer("zoo.vision.cnn_cls", *words, "--deployment", "onnx"))
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-5)


def test_a_photo_of_another_size(tmp_path: Path) -> None:
    """Resized in numpy, where torch would resize it beside a network."""
    pytest.importorskip("onnxruntime")
    pixels = np.random.default_rng(0).integers(0, 256, (41, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "图.png")
    words = ("predict", FIXTURES / "vision", "--image", tmp_path, "--top_k", 3)
    found = json.loads(answer("zoo.vision.cnn_cls", *words, "--deployment", "onnx"))
    expected = json.loads(run_cli("zoo.vision.cnn_cls", *words).out)
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    assert found["label"] == expected["label"] and found["image"].endswith("图.png")


AROUND = """
from pathlib import Path
import numpy as np
from tasks.nlp.token_classification import Args, TokenClassification
from zoo.model.modality import modality_of
from zoo.runtimes.array_model import Outputs
from zoo.store.checkpoint import open_checkpoint

folder, sound, image = map(Path, sys.argv)
for name, given in ("text", ["fine", "a film"]), ("sound", [sound]), ("vision", [image]):
    checkpoint = open_checkpoint(folder / name)
    reader = modality_of(checkpoint.entry).load_reader(folder / name)
    tasks = [checkpoint.bind(reader).task]
    if name == "text":
        args = Args(max_length=64, window_overlap=8)
        tasks.append(TokenClassification(args, ("O", "B-X")).bind(reader))
    for task in tasks:
        def model(**inputs):
            shape = next(iter(inputs.values())).shape
            tokens = shape if task.name == "token-classification" else shape[:1]
            return Outputs(logits=np.zeros((*tokens, len(task.labels)), np.float32))
        for prediction in task.predict(model, task.collate_arrays(task.inputs(given))):
            print(task.to_json(prediction))
"""


def test_what_goes_on_around_the_program(images: Path, sounds: Path) -> None:
    """Reading, collation and predictions of every kind of classifier."""
    files = (next(folder.rglob("test/*/*")) for folder in (sounds, images))
    found = answer(FIXTURES, *files, program=AROUND).splitlines()
    assert found[0] == found[1] == "{'label': 'negative', 'score': 0.5}"
    assert found[2:4] == ["{'spans': []}"] * 2
    assert [line.split()[1] for line in found[4:]] == ["'falling',", "'bar',"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text", "sound"])
def test_a_text_and_a_sound(name: str, tmp_path: Path, sounds: Path, reviews: Path) -> None:
    """Exported here: their old checkpoints have no artifact."""
    pytest.importorskip("onnxruntime")
    module = {"text": "zoo.nlp.bert_cls", "sound": "zoo.speech.kws_cls"}[name]
    data = {"text": reviews, "sound": sounds}[name]
    folder = tmp_path / "checkpoint"
    shutil.copytree(FIXTURES / name, folder)
    done = run_cli(module, "export", folder, "--runtime", "onnx", "--data", data)
    assert done.code == 0, done.err
    sound = sorted((sounds / "test").rglob("*.wav"))[0]
    given = {"text": ("--text", "the film was fine"), "sound": ("--audio", sound)}[name]
    words = ("predict", folder, *given, "--top_k", 3)
    found = json.loads(answer(module, *words, "--deployment", "onnx"))
    expected = json.loads(run_cli(module, *words).out)
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)


@pytest.mark.slow
def test_a_photo_by_a_resnet(tmp_path: Path, images: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("onnxruntime")
    folder = checkpoint("resnet_cls", request.getfixturevalue, tmp_path)
    done = run_cli("zoo.vision.resnet_cls", "export", folder, "--runtime", "onnx", "--data", images)
    assert done.code == 0, done.err
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    words = ("predict", folder, "--image", tmp_path / "photo.jpg", "--top_k", 3)
    found = json.loads(answer("zoo.vision.resnet_cls", *words, "--deployment", "onnx"))
    expected = json.loads(run_cli("zoo.vision.resnet_cls", *words).out)
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)


@pytest.mark.slow
def test_tags(tmp_path: Path, tagged: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("onnxruntime")
    folder = checkpoint("bert_tok", request.getfixturevalue, tmp_path)
    done = run_cli("zoo.nlp.bert_tok", "export", folder, "--runtime", "onnx", "--data", tagged)
    assert done.code == 0, done.err
    words = ("predict", folder, "--text", "The truly wonderful film, and the quite clever plot")
    found = json.loads(answer("zoo.nlp.bert_tok", *words, "--deployment", "onnx"))["spans"]
    expected = json.loads(run_cli("zoo.nlp.bert_tok", *words).out)["spans"]
    assert found and len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.pop("score") == pytest.approx(theirs.pop("score"), abs=1e-4)
        assert ours == theirs
