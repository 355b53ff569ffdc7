"""What `decide` leaves for `serve`, and when it is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import UserError
from tests.cli import run_cli
from zoo.deploy import winner
from zoo.deploy.winner import Winner
from zoo.runtimes import artifacts
from zoo.store import evidence


@pytest.fixture(scope="module")
def exported(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint with an ONNX program, which was chosen."""
    folder = tmp_path_factory.mktemp("cnn") / "run"
    shutil.copytree(exported_model("cnn_cls"), folder)
    source = evidence.subject_digest(folder)
    digest = artifacts.read_manifest(folder / "artifacts" / "onnx").digest
    winner.record(folder, Winner("onnx", digest, source, "cpu", 2, {"batch": 1}, 0.003, lost=0.0))
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "a copy"))


def test_it_is_read_as_it_was_left(folder: Path) -> None:
    found = winner.read(folder)
    assert found is not None and (found.deployment, found.threads) == ("onnx", 2)
    assert found.machine and found.time and found.seconds == 0.003
    done = run_cli("zoo", "verify", folder)
    assert done.code == 0 and "onnx is what is served by default" in done.out


def test_none_was_left(folder: Path) -> None:
    winner.forget(folder)
    winner.forget(folder)
    assert winner.read(folder) is None


def test_other_weights(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"other weights than lie there now.*decide"):
        winner.read(folder)


def test_another_program(folder: Path) -> None:
    path = folder / "artifacts" / "onnx" / artifacts.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["zoo"]["files"] = dict.fromkeys(manifest["zoo"]["files"], "0" * 64)
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="another program of onnx"):
        winner.read(folder)


def test_a_program_that_is_gone(folder: Path) -> None:
    shutil.rmtree(folder / "artifacts")
    with pytest.raises(UserError, match=r"onnx, which is not exported: .*--runtime onnx"):
        winner.read(folder)
    done = run_cli("zoo", "verify", folder)
    assert done.code == 1 and "not exported" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threads": "two"}, "threads is 'two'"),
        ({"schema": 99}, "of schema 99"),
        ({"deployment": "onxn"}, "did you mean onnx"),
        ({"new": 1}, None),  # of a later version
    ],
)
def test_what_it_says(folder: Path, change: dict[str, object], said: str | None) -> None:
    path = folder / winner.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if said is None:
        assert winner.read(folder) is not None
        return
    with pytest.raises(UserError, match=r"serving\.json is damaged") as caught:
        winner.read(folder)
    assert said in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"deployment": "onnx"}', b"\xff"])
def test_damage(folder: Path, content: bytes) -> None:
    (folder / winner.FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"serving\.json is damaged"):
        winner.read(folder)
