"""What a deployed checkpoint imports to answer: its runtime, and what reads its input."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli import ROOT, run_cli, run_program
from tests.tiny_models import checkpoint

FIXTURES = ROOT / "tests" / "fixtures" / "b7db848"
NEEDLESS = {
    *("transformers", "datasets", "accelerate", "peft", "timm", "torchvision", "torchaudio"),
    *("onnx", "ml_dtypes", "pandas", "pyarrow", "scipy", "sympy", "jinja2"),
}


def answer(*words: object) -> str:
    """What `python -m WORDS` prints; fails where it imported what it need not."""
    program = (
        "import runpy, sys\n"
        f"sys.argv = {list(map(str, words))!r}\n"
        "try:\n"
        "    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"print(sorted({NEEDLESS!r} & set(sys.modules)), file=sys.stderr)\n"
    )
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
