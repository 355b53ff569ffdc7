"""Weights are found wherever they are, by content, and nothing else is taken for them."""

import hashlib
import http.server
import json
import os
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tasks.errors import UserError
from zoo.model.entry import Preset
from zoo.nlp.presets import PRESETS
from zoo.store import pretrained

CONFIG = b'{"model_type": "bert"}'
REPO = "owner/tiny"
REVISION = "0123456789012345678901234567890123456789"


def safetensors(value: float = 1.0) -> bytes:
    """The bytes of a file with one tensor."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<f", value)


SUM = hashlib.sha256(safetensors()).hexdigest()
TINY = Preset(REPO, "MIT", REVISION, SUM, "a-package", "a_package_of_weights/model")


def model_folder(folder: Path, content: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "model.safetensors").write_bytes(safetensors() if content is None else content)
    return folder


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo_cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "f")
    found = pretrained.find(str(folder), {"tiny": TINY})
    assert found == pretrained.LocalWeights(folder, "folder", "tiny", SUM, REPO, None, "MIT")
    model_folder(folder, safetensors(2.0))
    assert pretrained.find(str(folder), {"tiny": TINY}).preset is None


def test_a_folder_called_like_a_preset_is_meant_only_if_it_is_a_model(tmp_path: Path) -> None:
    Path("tiny").mkdir()
    model_folder(tmp_path / "site/a_package_of_weights/model")
    assert pretrained.find("tiny", {"tiny": TINY}).origin == "package a-package"
    model_folder(Path("tiny"))
    assert pretrained.find("tiny", {"tiny": TINY}).origin == "folder"


def test_a_package_is_found_without_running_it(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "site/a_package_of_weights/model")
    (folder.parent / "__init__.py").write_text("raise SystemExit('it was run')")
    found = pretrained.find("tiny", {"tiny": TINY})
    assert found.folder == folder and found.sha256 == SUM and found.revision is None
    assert pretrained.find(REPO, {"tiny": TINY}).preset == "tiny"
    assert pretrained.at_hand(TINY) == "package a-package"


def test_a_wrong_sum_is_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "site/a_package_of_weights/model", safetensors(3.0))
    other = hashlib.sha256(safetensors(3.0)).hexdigest()
    with pytest.raises(UserError) as error:
        pretrained.find("tiny", {"tiny": TINY})
    assert str(folder / "model.safetensors") in str(error.value)
    assert SUM in str(error.value) and other in str(error.value)


def test_the_cache_of_the_hub(tmp_path: Path) -> None:
    snapshots = tmp_path / "hub/models--owner--tiny/snapshots"
    assert pretrained.at_hand(TINY) is None
    model_folder(snapshots / REVISION)
    assert pretrained.at_hand(TINY) == "hub cache"
    found = pretrained.find("tiny", {"tiny": TINY})
    assert (found.origin, found.revision) == ("hub cache", REVISION)


def test_the_cache_holds_the_content_under_another_revision(tmp_path: Path) -> None:
    store = tmp_path / "hub/models--owner--tiny"
    for revision, content in (("aaa", safetensors(5.0)), ("bbb", safetensors())):
        folder = model_folder(store / "snapshots" / revision)
        blob = store / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(content)
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").symlink_to(blob)
    assert pretrained.find("tiny", {"tiny": TINY}).revision == "bbb"


def test_an_unpinned_id_takes_what_was_fetched_last(tmp_path: Path) -> None:
    store = tmp_path / "hub/models--owner--tiny"
    model_folder(store / "snapshots/aaa")
    with pytest.raises(UserError, match="not at hand"):
        pretrained.find(REPO, {})
    (store / "refs").mkdir()
    (store / "refs/main").write_text("aaa")
    found = pretrained.find(REPO, {})
    assert (found.revision, found.preset, found.license) == ("aaa", None, None)


def test_what_is_not_at_hand_tells_the_three_ways() -> None:
    with pytest.raises(UserError) as error:
        pretrained.find("tiny", {"tiny": TINY})
    said = str(error.value)
    assert 'pip install "zoo[offline]"' in said and "`model` FOLDER" in said
    assert f"hf download {REPO} --revision {REVISION}" in said and "HF_HUB_OFFLINE" in said
    with pytest.raises(UserError) as error:
        pretrained.find("bert-base-chinese", PRESETS)
    assert "zoo[offline]" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("tinny", "did you mean tiny"),
        ("./gone", "there is no folder ./gone"),
        ("a/b/c", "there is no folder a/b/c"),
        ("~/gone", "there is no folder"),
        ("", "is no preset"),
    ],
)
def test_a_name_of_nothing(model: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        pretrained.find(model, {"tiny": TINY})


def test_a_file_of_weights_is_to_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name such as runs/best.pth could be one of the Hub's, and is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my runs").mkdir()
    for name in ("best.pth", "my runs/best.pth"):
        Path(name).write_bytes(b"x")
        with pytest.raises(UserError, match="is a file: make a checkpoint of it") as error:
            pretrained.find(name, {"tiny": TINY})
        assert f"python -m zoo import {shlex.quote(name)} --as MODEL" in str(error.value)
    (tmp_path / "config.json").write_bytes(CONFIG)
    with pytest.raises(UserError, match=r"best\.pth is a file: give the folder it is in"):
        pretrained.find("best.pth", {"tiny": TINY})


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(CONFIG)
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        pretrained.find(str(tmp_path), {})
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=r"pytorch_model\.bin .* never loaded"):
        pretrained.find(str(tmp_path), {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        safetensors()[:-1],
        safetensors() + b"x",
        safetensors()[:20],
        bytes(8) + b"{",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 8) + b'{"a": 1}',
    ],
)
def test_damaged_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match="damaged"):
        pretrained.find(str(model_folder(tmp_path / "f", content)), {})


def test_shards(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "f")
    (folder / "model.safetensors").rename(folder / "model-1-of-1.safetensors")
    index = folder / pretrained.INDEX
    index.write_text(json.dumps({"weight_map": {"x": "model-1-of-1.safetensors"}}))
    assert pretrained.find(str(folder), {}).sha256 is None
    for broken in ("{", '{"weight_map": {"x": "../f/model-1-of-1.safetensors"}}'):
        index.write_text(broken)
        with pytest.raises(UserError):
            pretrained.find(str(folder), {})


def test_sums_are_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"one")
    first = pretrained.checked_sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr(pretrained, "sha256", lambda path: pytest.fail("hashed again"))
        assert pretrained.checked_sha256(path) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert pretrained.checked_sha256(path) == hashlib.sha256(b"two").hexdigest()
    (tmp_path / "zoo_cache" / pretrained.MEMO).write_text("{ damaged")
    assert pretrained.checked_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_copy_with_the_same_size_and_time_is_another_file(tmp_path: Path) -> None:
    """As `cp -p`, `tar` and packages leave them."""
    path, other = tmp_path / "big", tmp_path / "other"
    for file, content in ((path, b"one"), (other, b"two")):
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))
    assert pretrained.checked_sha256(path) == hashlib.sha256(b"one").hexdigest()
    other.replace(path)
    assert pretrained.checked_sha256(path) == hashlib.sha256(b"two").hexdigest()
    path.write_bytes(b"six")
    os.utime(path, ns=(1, 1))
    assert pretrained.checked_sha256(path) == hashlib.sha256(b"six").hexdigest()


def test_every_preset_names_its_weights_fully() -> None:
    for preset in PRESETS.values():
        assert preset.repo.count("/") == 1 and preset.license
        assert preset.revision is None or len(preset.revision) == 40
        assert preset.sha256 is None or len(preset.sha256) == 64
    assert PRESETS["minilm"].has_run


# --- a stand-in for the Hub: a real server, a real client in a process of its own

FILES = {
    "config.json": CONFIG,
    "model.safetensors": safetensors(),
    "vocab.txt": b"[PAD]\n",
    "pytorch_model.bin": b"pickled",
    "modeling.py": b"raise SystemExit('it was run')",
    "onnx/config.json": b"{}",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers what `snapshot_download` asks."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if f"/api/models/{REPO}/tree/{REVISION}" in self.path:
            self._say(json.dumps([self._entry(name) for name in FILES]).encode())
        elif f"/{REPO}/resolve/{REVISION}/" in self.path:
            self._say(FILES[self.path.partition(f"/{REVISION}/")[2]])
        elif "/api/models/" in self.path:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._say(b"welcome")

    do_HEAD = do_GET

    def _entry(self, name: str) -> dict[str, object]:
        oid = hashlib.sha1(FILES[name]).hexdigest()
        return {"type": "file", "path": name, "size": len(FILES[name]), "oid": oid}

    def _say(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SCRIPT = """
import sys
from tasks.errors import UserError
from zoo.store import pretrained
from zoo.model.entry import Preset
model, repo, revision, sha256 = sys.argv[1:]
try:
    print(pretrained.find(model, {"tiny": Preset(repo, "MIT", revision, sha256)}))
except UserError as error:
    print("UserError:", error)
assert "torch" not in sys.modules
"""


def ask(endpoint: str, home: Path, model: str, sha256: str = SUM) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environ |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", SCRIPT, model, REPO, REVISION, sha256]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=60, cwd=root, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_hub_delivers_what_is_allowed(hub: str, tmp_path: Path) -> None:
    said = ask(hub, tmp_path, "tiny")
    assert "origin='hub'" in said and SUM in said and REVISION in said
    snapshot = tmp_path / "hub/models--owner--tiny/snapshots" / REVISION
    names = {str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()}
    assert names == {"config.json", "model.safetensors", "vocab.txt"}
    Hub.asked.clear()
    assert "origin='hub cache'" in ask(hub, tmp_path, "tiny")
    assert not Hub.asked


def test_the_hub_delivers_something_else(hub: str, tmp_path: Path) -> None:
    assert "expected sha256 " + "0" * 64 in ask(hub, tmp_path, "tiny", "0" * 64)
    assert "there is no 'owner/none' on the Hub" in ask(hub, tmp_path, "owner/none")


def test_an_unreachable_hub_fails_fast(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes the connection, says nothing
        begin = time.monotonic()
        said = ask(f"http://127.0.0.1:{mute.getsockname()[1]}", tmp_path, "tiny")
    assert "not at hand" in said and "does not answer" in said
    assert time.monotonic() - begin < 10
