"""A new version takes over without a lost request, or does not, and the old one serves on."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import requests

from tasks.data.fingerprint import sha256
from tests.serving import Served, serving
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

pytestmark = pytest.mark.slow

KEY = "an-admins-key-that-is-long"
ADMIN = {"authorization": f"Bearer {KEY}"}


ONNX = Deployment("onnx")


def changed(source: Path, target: Path, change: Callable[[onnx.ModelProto], None]) -> str:
    """Copies a checkpoint with another program; returns its digest."""
    shutil.copytree(source, target)
    folder = artifacts.folder_of(target, ONNX)
    record = json.loads((folder / artifacts.MANIFEST).read_text())
    [file] = [folder / name for name in record["zoo"]["files"] if name.endswith(".onnx")]
    program = onnx.load(file)
    change(program)
    onnx.save(program, file)
    record["zoo"]["files"][file.name] = sha256(file)
    (folder / artifacts.MANIFEST).write_text(json.dumps(record))
    return digest(target)


def digest(folder: Path) -> str:
    """The digest of what a folder's program is."""
    return artifacts.read_manifest(artifacts.folder_of(folder, ONNX)).digest


def renamed(program: onnx.ModelProto) -> None:
    """Another program that computes the same."""
    program.doc_string = "the next version"


def turned(program: onnx.ModelProto) -> None:
    """A program that gives another label to everything."""
    for node in program.graph.node:
        for place, name in enumerate(node.output):
            if name == "logits":
                node.output[place] = "turned"
    program.graph.node.append(onnx.helper.make_node("Neg", ["turned"], ["logits"]))


@pytest.fixture(scope="module")
def root(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions: one, two (the same answers), turned (others), broken."""
    folder = tmp_path_factory.mktemp("models")
    source = checkpoints["bert_cls"]
    shutil.copytree(source, folder / "one")
    changed(source, folder / "two", renamed)
    changed(source, folder / "turned", turned)
    changed(source, folder / "broken", renamed)
    [program] = artifacts.folder_of(folder / "broken", ONNX).glob("*.onnx")
    with program.open("r+b") as file:
        file.write(b"\xff" * 8)
    shutil.copytree(checkpoints["cnn_cls"], folder / "images")
    return folder


@pytest.fixture(scope="module")
def updating(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of `one` as "texts", whose versions may be changed."""
    file = tmp_path_factory.mktemp("keys") / "admin"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    words = (
        "--deployment",
        "onnx",
        "--admin_keys",
        file,
        "--model_root",
        root,
        "--shadow_share",
        1,
    )
    more = ("--shadow_requests", 12, "--shadow_s", 120)
    with serving(f"{root / 'one'}=texts", *words, *more, timeout=300) as served:
        yield served


def _post(service: Served, path: str, body: Any = None, **more: Any) -> requests.Response:
    return requests.post(f"{service.url}{path}", json=body, timeout=500, **more)


def _load(service: Served, folder: str | None, **more: Any) -> requests.Response:
    asked = {"wait": True, **({"folder": folder} if folder else {}), **more}
    path = "/v2/repository/models/texts/load"
    return _post(service, path, {"parameters": asked}, headers=ADMIN)


def _active(service: Served, name: str = "texts") -> str:
    done = _post(service, "/predict", {"text": "which one", "model": name})
    assert done.status_code == 200, done.text
    return done.headers["x-model-sha256"]


class Traffic:
    """Requests one after another, until it is left."""

    def __init__(self, service: Served) -> None:
        self.service, self.seen = service, list[tuple[int, str]]()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._end.is_set():
            done = _post(self.service, "/predict", {"text": f"number {len(self.seen)}"})
            self.seen.append((done.status_code, done.headers.get("x-model-sha256", "")))

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)


def _steps(folder: Path) -> list[evidence.Fact]:
    return [fact for fact in evidence.read(folder) if fact.kind == "update"]


def test_a_new_version_takes_over_and_the_old_one_comes_back(updating: Served, root: Path) -> None:
    one, two = (digest(root / name) for name in ("one", "two"))
    assert _active(updating) == one
    with Traffic(updating) as traffic:
        loaded = _load(updating, "two")
        assert loaded.status_code == 200 and loaded.json()["state"] == "ready", loaded.text
        assert _active(updating) == two
    assert {status for status, _ in traffic.seen} == {200}
    assert {digest for _, digest in traffic.seen} >= {one}
    roles = {x["role"]: x for x in requests.get(f"{updating.url}/v2/repository/index").json()}
    assert (roles["active"]["sha256"], roles["standby"]["sha256"]) == (two, one)
    assert roles["active"]["state"] == roles["standby"]["state"] == "READY"

    began = time.monotonic()
    back = _post(updating, "/v2/repository/models/texts/rollback", headers=ADMIN)
    assert back.json()["sha256"] == one and time.monotonic() - began < 10
    assert _active(updating) == one
    steps = {fact.name: fact for fact in _steps(root / "two")}
    assert {"loaded", "disagreement", "took_over"} <= steps.keys()
    assert steps["disagreement"].value == 0 and (steps["disagreement"].n or 0) >= 1
    assert steps["took_over"].workload == {"from": one}
    assert '"step": "took_over"' in updating.log


def test_one_that_answers_otherwise_is_refused(updating: Served, root: Path) -> None:
    before = _active(updating)
    with Traffic(updating) as traffic:
        refused = _load(updating, "turned")
    assert refused.status_code == 409 and "have another answer; 2.0% may" in refused.json()["error"]
    assert {status for status, _ in traffic.seen} == {200} and _active(updating) == before
    assert _steps(root / "turned")[-1].workload == {"from": before, "why": "disagreement"}
    index = _post(updating, "/v2/repository/index").json()
    assert [x["role"] for x in index if x["state"] == "UNAVAILABLE"] == ["refused"]
    assert len(updating.workers()) <= 2  # of the active version and of the one before it


@pytest.mark.parametrize(
    ("folder", "status", "said"),
    [
        ("broken", 422, "not the file that was exported"),
        ("images", 422, "answers text-classification"),
        ("nothing here", 422, "no such folder"),
        ("..", 422, "not below"),
        ("/", 422, "not below"),
        (None, 422, "serves already"),
    ],
)
def test_what_can_not_be_served_is_refused(
    updating: Served, folder: str | None, status: int, said: str
) -> None:
    before = _active(updating)
    refused = _load(updating, folder)
    assert refused.status_code == status and said in refused.json()["error"]
    assert _active(updating) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b'{"folder": "two"}', 422),
        (b'{"parameters": {"floder": "two"}}', 422),
        (b'{"parameters": {"folder": 2}}', 422),
        (b'{"parameters": {"wait": "yes"}}', 422),
    ],
)
def test_what_is_asked_wrongly_is_said(updating: Served, body: bytes, status: int) -> None:
    url = f"{updating.url}/v2/repository/models/texts/load"
    done = requests.post(url, data=body, headers=ADMIN, timeout=30)
    assert done.status_code == status and done.json()["error"]


def test_only_an_admin_may(updating: Served, service: Served) -> None:
    for verb in ("load", "rollback", "unload"):
        path = f"/v2/repository/models/texts/{verb}"
        assert _post(updating, path).status_code == 401
        wrong = {"authorization": "Bearer another key, as long"}
        assert _post(updating, path, headers=wrong).status_code == 401
        nobody = _post(service, path, headers=ADMIN)
        assert nobody.status_code == 403 and "admin_keys FILE" in nobody.json()["error"]


def test_the_last_model_stays(updating: Served) -> None:
    done = _post(updating, "/v2/repository/models/texts/unload", headers=ADMIN)
    assert done.status_code == 409 and "only model" in done.json()["error"]
    other = _post(updating, "/v2/repository/models/other/unload", headers=ADMIN)
    assert other.status_code == 404


@pytest.fixture
def own(root: Path, tmp_path: Path) -> Path:
    """A copy of the first version."""
    return Path(shutil.copytree(root / "one", tmp_path / "own"))


def test_what_is_new_in_the_folder_is_seen(own: Path, root: Path, tmp_path: Path) -> None:
    """The folder is written over, as a training does: with what is broken first."""
    file = tmp_path / "admin"
    file.write_text(KEY)
    file.chmod(0o600)
    words = ("--deployment", "onnx", "--watch", 0.2, "--shadow_s", 0.3, "--admin_keys", file)
    with serving(f"{own}=texts", root / "images", *words, timeout=300) as service:
        one = _active(service)
        mine, other = (artifacts.folder_of(each, ONNX) for each in (own, root / "two"))
        shutil.copy(other / artifacts.MANIFEST, mine)  # the program is on its way
        time.sleep(1)
        assert _active(service) == one
        assert sum('"step": "refused"' in line for line in service.lines) == 1
        for program in other.glob("*.onnx"):
            shutil.copy(program, mine)
        until = time.monotonic() + 200
        while _active(service) == one and time.monotonic() < until:
            time.sleep(0.1)
        assert _active(service) == digest(root / "two")

        gone = _post(service, "/v2/repository/models/images/unload", headers=ADMIN)
        assert gone.status_code == 200
        assert requests.get(f"{service.url}/v2/health/ready").json()["models"] == {"texts": True}
        last = _post(service, "/v2/repository/models/texts/unload", headers=ADMIN)
        assert last.status_code == 409
        assert service.end() == 0
        assert "Traceback" not in service.log
