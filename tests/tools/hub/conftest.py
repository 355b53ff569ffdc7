"""A tiny Hub that this process takes for the Hub, and a checkpoint to push."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.atomic import write_json
from tests import tiny_models
from tests.sharing import shared
from tests.tools.hub.tiny_hub import TOKEN, TinyHub
from zoo.store.checkpoint import MANIFEST, read_manifest


@pytest.fixture(scope="session")
def server() -> Iterator[TinyHub]:
    """Started once; `hub` empties it."""
    with TinyHub() as hub:
        yield hub


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that were to be waited."""
    return []


@pytest.fixture
def hub(
    server: TinyHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pauses: list[float]
) -> Iterator[TinyHub]:
    """An empty Hub, which the client finds, with a token of its user; nobody waits."""
    point_to(server.endpoint, monkeypatch, tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("time.sleep", pauses.append)
    random.seed(0)  # of the pauses
    server.forget()
    yield server
    server.forget()


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Lets the client take an address for the Hub; it reads its variables only once."""
    from huggingface_hub import constants

    url = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture(scope="session")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny text classifier with evidence and a card. Copy it to change it."""
    from tools.cards.write import write

    def make(folder: Path) -> None:
        made = tiny_models.checkpoint("bert_cls", request.getfixturevalue, folder)
        manifest = read_manifest(made)
        known = {"repo": "tiny/bert", "license": "Apache-2.0"}  # as of a preset
        write_json(made / MANIFEST, {**manifest, "source": {**manifest["source"], **known}})
        write(made)

    return shared(tmp_path_factory, "hub-trained", make) / "run"


@pytest.fixture(scope="session")
def exported(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny image classifier with ONNX programs in fp32 and int8, proven, and a card."""
    from tools.cards.write import write

    def make(folder: Path) -> None:
        made = Path(shutil.copytree(exported_model("cnn_cls"), folder / "run"))
        _quantize(made)
        write(made)

    return shared(tmp_path_factory, "hub-exported", make) / "run"


def _quantize(checkpoint: Path) -> None:
    """Adds the int8 program, without the contract for speed that the verb wants."""
    from zoo.deploy import export
    from zoo.quantization import onnx_int8
    from zoo.runtimes import artifacts
    from zoo.runtimes.deployment import Deployment

    original = export.ExportSource.open(checkpoint)
    source = artifacts.open_artifact(checkpoint, Deployment("onnx"))
    deployment = Deployment("onnx", "int8-dynamic")
    with artifacts.staged(checkpoint, deployment) as staging:
        prepared = staging.with_name("prepared")
        prepared.mkdir()
        onnx_int8.prepare(source.folder, prepared)
        onnx_int8.dynamic(prepared, staging)
        made = artifacts.write_manifest(
            staging, deployment, source.signature, source.manifest["source"], {}
        )
        proof = original.proven(export.open_runner(made), [])
        assert proof.passed, proof.faults
        export.commit_artifact(made, proof, checkpoint, original.task.primary, [])


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy of the text classifier, of one's own."""
    return Path(shutil.copytree(trained, tmp_path / "checkpoint"))


@pytest.fixture
def with_onnx(exported: Path, tmp_path: Path) -> Path:
    """The same of the image classifier."""
    return Path(shutil.copytree(exported, tmp_path / "with_onnx"))
