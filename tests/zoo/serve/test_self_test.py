"""A machine that computes something else than was proven is not ready, and says why."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import zoo
from tasks.errors import UserError
from tests import tiny_models
from tests.cli import run_cli
from tests.serving import NOT_READY, serving
from tests.tiny_models import MODELS
from tools.hub import layout
from zoo.deploy import golden
from zoo.runtimes.artifacts import folder_of, read_manifest
from zoo.runtimes.deployment import Deployment
from zoo.serve import self_test
from zoo.store import evidence

EAGER, ONNX = Deployment("eager"), Deployment("onnx")


@pytest.fixture(scope="module")
def exported(checkpoints: dict[str, Path]) -> Path:
    """The checkpoint of images, exported to ONNX; read, not written."""
    return checkpoints["cnn_cls"]


@pytest.fixture
def mine(exported: Path, tmp_path: Path) -> Path:
    """The same to be written to."""
    return Path(shutil.copytree(exported, tmp_path / "mine"))


def _subject(folder: Path, deployment: Deployment) -> str:
    if deployment == EAGER:
        return evidence.subject_digest(folder)
    return read_manifest(folder_of(folder, deployment)).digest


def _skew(folder: Path, deployment: Deployment) -> None:
    """Has the golden outputs say what no machine computes."""
    subject = _subject(folder, deployment)
    inputs = golden.read(folder, deployment, subject)
    assert inputs
    wrong = [replace(x, reference={n: -a for n, a in x.reference.items()}) for x in inputs]
    golden.write(folder, deployment, subject, wrong)


@pytest.mark.parametrize("deployment", [EAGER, ONNX], ids=str)
def test_what_export_leaves_passes_here(exported: Path, deployment: Deployment) -> None:
    predictor = zoo.load(exported, deployment=str(deployment), device="cpu")
    count = self_test.run(predictor, exported, deployment, _subject(exported, deployment))
    assert count == golden.COUNT


@pytest.mark.parametrize("deployment", [EAGER, ONNX], ids=str)
def test_other_outputs_do_not_pass(mine: Path, deployment: Deployment) -> None:
    _skew(mine, deployment)
    predictor = zoo.load(mine, deployment=str(deployment), device="cpu")
    with pytest.raises(self_test.Unfit, match="golden inputs: logits has an SQNR"):
        self_test.run(predictor, mine, deployment, _subject(mine, deployment))


def test_an_input_is_as_the_split_has_it(exported: Path) -> None:
    inputs = golden.read(exported, ONNX, _subject(exported, ONNX))
    assert inputs and all(isinstance(one.raw, bytes) for one in inputs)
    [label] = {one["label"] for one in zoo.load(exported).predict([inputs[0].raw])}
    best = int(np.argmax(inputs[0].reference["logits"]))
    assert zoo.load(exported).labels[best] == label


def test_a_machine_that_is_off_stays_unready(mine: Path) -> None:
    _skew(mine, ONNX)
    with serving(f"{mine}=one", "--deployment", "onnx", until=NOT_READY) as service:
        ready = requests.get(f"{service.url}/v2/health/ready", timeout=9)
        assert ready.status_code == 503
        assert "SQNR" in ready.json()["unfit"]["one"]
        assert requests.get(f"{service.url}/v2/health/live", timeout=9).status_code == 200
        refused = requests.post(f"{service.url}/predict", data=b"x", timeout=9)
        assert refused.status_code == 503 and "not ready" in refused.json()["error"]
        service.end()
    assert sum("self-test" in line for line in service.lines if line.startswith("{")) == 1


def test_none_is_said_once(mine: Path, tmp_path: Path) -> None:
    shutil.rmtree(mine / golden.FOLDER)
    with serving(f"{mine}=one", "--deployment", "onnx", "--workers", 2) as service:
        assert service.end() == 0
    said = [line for line in service.lines if "no golden inputs" in line]
    assert len(said) == 1


def test_a_worker_serves_nothing_else_than_it_was_told(mine: Path) -> None:
    predictor = zoo.load(mine, device="cpu")
    self_test.must_be_the_same(predictor, mine, EAGER, _subject(mine, EAGER))
    with pytest.raises(UserError, match="another version by now"):
        self_test.must_be_the_same(predictor, mine, EAGER, "0" * 64)
    predictor = zoo.load(mine, device="cpu", deployment="onnx")
    self_test.must_be_the_same(predictor, mine, ONNX, _subject(mine, ONNX))
    with pytest.raises(UserError, match="another version by now"):
        self_test.must_be_the_same(predictor, mine, ONNX, _subject(mine, EAGER))


def test_those_of_other_weights_are_left_aside(mine: Path) -> None:
    assert golden.read(mine, EAGER, "0" * 64) is None


def test_a_damaged_file_is_named(mine: Path) -> None:
    path = golden.path_of(mine, EAGER)
    path.write_text(path.read_text().replace('"shape": [', '"shape": [ 1, ', 1))
    with pytest.raises(UserError, match="it was changed after"):
        golden.read(mine, EAGER, evidence.subject_digest(mine))


@pytest.mark.slow
def test_none_are_left_where_none_are_asked_for(mine: Path) -> None:
    words = ("export", mine, "--runtime", "onnx", "--golden_inputs", 0)
    done = run_cli(MODELS["cnn_cls"][0], *words)
    assert done.code == 0 and "none were asked for" in done.out
    assert not golden.path_of(mine, ONNX).exists()


def test_nobody_publishes_them() -> None:
    assert not layout.allowed("golden/onnx.json")


def test_texts_and_sounds_have_them_too(checkpoints: dict[str, Path]) -> None:
    for name, kind in (("bert_cls", str), ("kws_cls", bytes)):
        folder = checkpoints[name]
        inputs = golden.read(folder, EAGER, evidence.subject_digest(folder))
        assert inputs and all(isinstance(one.raw, kind) for one in inputs)


class Writer:
    """A predictor that writes what it is told to."""

    def __init__(self, *texts: str, device: str = "cpu") -> None:
        self.texts, self.device, self.task = texts, device, None

    def predict(self, inputs: list[bytes], batch_size: int) -> list[dict[str, str]]:
        assert inputs == [b"a", b"b"] and batch_size == 1
        return [{"text": text} for text in self.texts]


def test_a_model_that_writes_has_to_write_the_same(tmp_path: Path) -> None:
    written = [golden.GoldenInput(b"a", text="nine"), golden.GoldenInput(b"b", text="seven three")]
    int8 = Deployment("onnx", "int8-weight-only")
    for deployment in (ONNX, int8):
        golden.write(tmp_path, deployment, "0" * 64, written)

    def run(*texts: str, device: str = "cpu", deployment: Deployment = ONNX) -> int:
        predictor: Any = Writer(*texts, device=device)
        return self_test.run(predictor, tmp_path, deployment, "0" * 64)

    assert run("nine", "seven three") == 2
    with pytest.raises(
        self_test.Unfit, match="2 golden inputs: 1 of them gave another text"
    ) as caught:
        run("nine", "seven tree")
    assert "seven" not in str(caught.value), "whoever asks for the health has no right to the data"
    assert run("nine", "seven tree", device="cuda:0") == 2
    assert run("nine", "seven tree", deployment=int8) == 2, "another processor rounds otherwise"
    for where in ({"device": "cuda:0"}, {"deployment": int8}):
        with pytest.raises(self_test.Unfit, match="2 of them gave another"):
            run("five", "seven tree", **where)


class Texts:
    """The part of a task that a text needs; a model is a mapping of sounds to texts."""

    def inputs(self, raw: list[bytes]) -> list[bytes]:
        return raw

    collate = inputs

    def predict(self, model: dict[bytes, str], batch: list[bytes]) -> list[str]:
        if batch == [b"bad"]:
            raise UserError("no sound")
        return [model[one] for one in batch]

    def to_json(self, prediction: str) -> dict[str, str]:
        return {"text": prediction}


def test_texts_are_kept_on_which_both_agree() -> None:
    sounds = [b"bad", b"a", b"b", b"c", b"d", b"e"]
    source = {b"a": "one", b"b": "two", b"c": "", b"d": "four", b"e": "five"}
    task: Any = Texts()
    models = (source, source | {b"b": "too"})
    found = golden._written_alike(task, models, iter(sounds), 2)
    assert [(one.raw, one.text) for one in found] == [(b"a", "one"), (b"d", "four")]


@pytest.mark.slow
def test_an_export_of_a_writer_leaves_texts(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = tiny_models.checkpoint("whisper_asr", request.getfixturevalue, tmp_path)
    done = run_cli("zoo", "export", folder, "--runtime", "onnx")
    assert done.code == 0 and "golden inputs, for the self-test" in done.out, done.out
    for deployment in (EAGER, ONNX):
        predictor = zoo.load(folder, deployment=str(deployment), device="cpu")
        assert self_test.run(predictor, folder, deployment, _subject(folder, deployment)) > 0
