"""Programs that are code run only where they were exported."""

import json
import shutil
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli import run_cli

MODEL = "zoo.vision.cnn_cls"


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.checkpoint(
        "cnn_cls", request.getfixturevalue, tmp_path_factory.mktemp("cnn")
    )


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As on another machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_pt2_and_torchscript(
    trained: Path, elsewhere: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--image", next(images.glob("test/*/*.png")))
    labels = set()
    for runtime in ("pt2", "torchscript"):
        done = run_cli(MODEL, "export", trained, "--runtime", runtime)
        assert done.code == 0, done.err
        done = run_cli(MODEL, "predict", trained, *words, "--deployment", runtime)
        assert done.code == 0, done.err
        labels.add(json.loads(done.lines[0])["label"])
    assert len(labels) == 1
    done = run_cli("zoo", "verify", trained)
    assert done.code == 0, done.out
    monkeypatch.setenv("XDG_STATE_HOME", str(elsewhere / "other"))
    for runtime in ("pt2", "torchscript"):
        done = run_cli(MODEL, "predict", trained, *words, "--deployment", runtime)
        assert done.code == 2 and "was not exported on this machine" in done.err
    done = run_cli("zoo", "verify", trained)
    assert done.code == 1 and done.out.count("unavailable") == 2

    # code under the name of what is none
    folder = trained / "artifacts" / "pt2"
    manifest = json.loads((folder / "export.json").read_text())
    manifest["zoo"]["deployment"] = "onnx"
    (folder / "export.json").write_text(json.dumps(manifest))
    done = run_cli(MODEL, "predict", trained, *words, "--deployment", "pt2")
    assert done.code == 2 and "says that it is onnx" in done.err
    shutil.rmtree(folder)


def test_other_weights_make_an_artifact_stale(trained: Path, elsewhere: Path, images: Path) -> None:
    folder = elsewhere / "run"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("state", "logs", "artifacts"))
    assert run_cli(MODEL, "export", folder, "--runtime", "torchscript").code == 0
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    done = run_cli(
        MODEL, "predict", folder, "--image", next(images.glob("test/*/*.png")),
        "--deployment", "torchscript",
    )  # fmt: skip
    assert done.code == 2 and "from other weights" in done.err
