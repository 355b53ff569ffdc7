"""`zoo serve ... --write_config KIND FOLDER`, as a user types it."""

import stat
from pathlib import Path

import pytest
import yaml

from tests import tiny_models
from tests.cli import Done, run_cli
from zoo.serve.operations import write

FILES = {
    "docker": {"Dockerfile", "Dockerfile.cuda"},
    "compose": {
        "Dockerfile",
        "compose.yaml",
        "prometheus/rules.yml",
        "grafana/dashboards/zoo.json",
    },
    "kubernetes": {"Dockerfile", "Dockerfile.model", "kubernetes.yaml", "monitoring.yaml"},
    "kuberay": {"Dockerfile.ray", "Dockerfile.model", "rayservice.yaml"},
    "haproxy": {"haproxy.cfg"},
    "nginx": {"nginx.conf"},
}


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that is read, not written."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


def asked(checkpoint: object, kind: str, folder: Path, *flags: object) -> Done:
    """Runs the command."""
    return run_cli("zoo", "serve", checkpoint, "--write_config", kind, folder, *flags)


def refused(done: Done, *words: str) -> None:
    """Fails unless it left with one sentence that has these words."""
    assert done.code == 2 and len(done.err.splitlines()) == 1, done.err
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize("kind", write.KINDS)
def test_it_writes_says_what_and_ends(kind: str, checkpoint: Path, tmp_path: Path) -> None:
    if kind == "kuberay":
        pytest.importorskip("ray")
    folder = tmp_path / "my 服务"
    done = asked(checkpoint, kind, folder)
    assert done.code == 0, done.err
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found >= FILES[kind]
    assert {str(folder / name) for name in found} == set(done.lines)
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert asked(checkpoint, kind, folder).lines == done.lines
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == again


def test_what_stands_there_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    """It may have been changed by hand; and no other file is written then."""
    assert asked(checkpoint, "haproxy", tmp_path).code == 0
    path = tmp_path / "haproxy.cfg"
    before = path.read_text()
    refused(asked(checkpoint, "haproxy", tmp_path, "--port", 9000), "haproxy.cfg", "another folder")
    assert path.read_text() == before
    path.unlink()
    assert asked(checkpoint, "haproxy", tmp_path, "--port", 9000).code == 0
    assert "127.0.0.1:9001" in path.read_text()
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "monitoring.yaml").write_text("mine")
    refused(asked(checkpoint, "kubernetes", tmp_path / "k"), "monitoring.yaml")
    assert [path.name for path in (tmp_path / "k").iterdir()] == ["monitoring.yaml"]


def test_several_models_stand_in_one_service(checkpoint: Path, tmp_path: Path) -> None:
    words = [f"{checkpoint}={name}" for name in ("a.1", "B_2")]
    done = run_cli("zoo", "serve", *words, "--write_config", "compose", tmp_path)
    assert done.code == 0, done.err
    serve = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["serve"]
    assert [mount["target"] for mount in serve["volumes"]] == ["/models/a.1", "/models/B_2"]
    (command,) = [
        line for line in (tmp_path / "Dockerfile").read_text().splitlines() if line[:4] == "CMD "
    ]
    assert '"/models/a.1=a.1", "/models/B_2=B_2"' in command


def test_it_needs_no_key_and_holds_none(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a-secret-of-mine-0123456789"
    file = tmp_path / "keys.txt"
    file.write_text(secret)
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    monkeypatch.setenv("ZOO_SERVE_KEYS", secret)
    for kind in set(write.KINDS) - {"kuberay"}:
        done = asked(checkpoint, kind, tmp_path / kind, "--host", "0.0.0.0", "--keys", file)
        assert done.code == 0, done.err
        for path in (tmp_path / kind).rglob("*"):
            assert path.is_dir() or secret not in path.read_text()


def test_a_mistake_is_one_sentence(checkpoint: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    refused(asked(checkpoint, "Docker", new), "--write_config", "did you mean docker")
    refused(
        asked(checkpoint, "podman", new), "docker, compose, kubernetes, kuberay, haproxy, nginx"
    )
    refused(asked(checkpoint, "docker", new, "--instances", "a:1"), "--instances")
    refused(asked(checkpoint, "nginx", new, "--instances", "a:1", "a:1"), "a:1 twice")
    refused(asked(checkpoint, "docker", new, "--replicas", 2), "--replicas", "kuberay")
    refused(asked(checkpoint, "docker", new, "--port", 0), "--port 0")
    refused(asked(checkpoint, "nginx", new, "--ssl_keyfile", "k.pem"), "--ssl_keyfile", "TLS")
    refused(asked(checkpoint, "docker", new, "--admin_keys", "a.txt"), "--admin_keys", "container")
    refused(asked(tmp_path / "none", "docker", new), "none")
    refused(run_cli("zoo", "serve", checkpoint, "--instances", "a:1"), "--write_config")
    (tmp_path / "file").write_text("")
    refused(asked(checkpoint, "docker", tmp_path / "file"), "file")
    assert not new.exists()
    assert run_cli("zoo", "serve", checkpoint, "--write_config", "docker").code == 2
