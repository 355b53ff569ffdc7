"""What answers in the Hub's place: bounded in bytes and time, one sentence, nothing kept."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session

from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import Fault, TinyHub
from tools.hub import bounds, connection

REPO = "user/reviews"
ALWAYS = 1000
JSON = {"Content-Type": "application/json"}
DEEP = b"[" * 100_000 + b"]" * 100_000
SHA = "a" * 40
ENDLESS = ("turns", "drips", "silent", "endless")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody waits long here."""
    from huggingface_hub import constants

    monkeypatch.setattr(connection, "TIMEOUTS_S", (5.0, 0.3, 5.0, 5.0))
    monkeypatch.setattr(bounds, "PATIENCE_S", 0.2)
    monkeypatch.setattr(bounds, "READ_S", 0.3)
    monkeypatch.setattr(bounds, "SILENCE_S", 0.8)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
    close_session()
    yield
    close_session()


def _is_refused(tmp_path: Path, *said: str) -> None:
    """A pull ends with one sentence and leaves nothing."""
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "runs" / "pulled")
    assert done.code == 2, done.out + done.err
    *notices, sentence = done.err.splitlines()
    assert sentence.startswith("hub: ") and any(one in sentence for one in said), sentence
    assert all("trying again" in one for one in notices if not one.startswith("Error while"))
    assert list(tmp_path.glob("runs/*")) == list(tmp_path.glob("runs/.*")) == []


@pytest.mark.parametrize(
    "body",
    [
        Fault.body, b"", b"{", b"null", b"[]", b"3", b'"text"', b"[[1]]", DEEP, b"\xff\xfe",
        b"{}", b'{"sha": null, "id": 3}', b'{"id": "a/b", "sha": "../../x"}',
        json.dumps({"id": "a/b", "sha": SHA, "siblings": 3}).encode(),
        json.dumps({"id": "a/b", "sha": SHA, "siblings": [3]}).encode(),
        json.dumps({"id": "a/b", "sha": SHA, "siblings": [{"rfilename": 3}]}).encode(),
        json.dumps({"id": "a/b", "sha": SHA, "siblings": [{"rfilename": "x", "size": "y"}]}).encode(),  # noqa: E501
        json.dumps({"id": "a/b", "sha": SHA, "siblings": [{"rfilename": "x", "lfs": 3}]}).encode(),
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)  # fmt: skip
def test_a_listing_that_is_none(hub: TinyHub, tmp_path: Path, body: bytes) -> None:
    hub.fault(Fault("info", "says", ALWAYS, JSON, body))
    _is_refused(tmp_path, "what answers in the Hub's place is none")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        *((call, kind) for call in ("info", "content") for kind in ENDLESS),
        *(("header", kind) for kind in ("turns", "silent")),  # it has no body
    ],
)
def test_answers_without_an_end(
    hub: TinyHub,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    kind: str,
) -> None:
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 500_000)
    push(trained, REPO)
    hub.fault(Fault(call, kind, ALWAYS, body=b"x" * 1000))
    said = {
        "turns": ("what answers in the Hub's place is none",),
        "endless": ("has more than the",),
    }
    _is_refused(tmp_path, *said.get(kind, ("did not answer in time",)))


@pytest.mark.parametrize("call", ["info", "content"])
def test_a_small_answer_that_becomes_large(
    hub: TinyHub,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 1_000_000)
    push(trained, REPO)
    bomb = gzip.compress(bytes(100_000_000), 9)
    headers = JSON | {"Content-Encoding": "gzip"}
    hub.fault(Fault(call, "says", ALWAYS, headers, bomb))
    tracemalloc.start()
    _is_refused(tmp_path, "has more than the")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_packed_answers_are_read(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    push(trained, REPO)
    commit = hub.repos[REPO].branches["main"]
    files = hub.repos[REPO].files()
    siblings = [
        {"rfilename": path, "size": len(file.content), "blobId": file.oid}
        | ({"lfs": file.described()["lfs"]} if file.is_large else {})
        for path, file in files.items()
    ]
    said = json.dumps({"id": REPO, "sha": commit, "siblings": siblings}).encode()
    headers = JSON | {"Content-Encoding": "gzip"}
    hub.fault(Fault("info", "says", ALWAYS, headers, gzip.compress(said)))
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err


@pytest.mark.parametrize("packing", ["br", "zstd", "x"])
def test_packings_that_nobody_asked_for(hub: TinyHub, tmp_path: Path, packing: str) -> None:
    hub.fault(Fault("info", "says", ALWAYS, JSON | {"Content-Encoding": packing}))
    _is_refused(tmp_path, f"answers in {packing}")


@pytest.mark.parametrize(("length", "said"), [(10, "is none"), (5000, "connection to the Hub")])
def test_a_wrong_length(hub: TinyHub, tmp_path: Path, length: int, said: str) -> None:
    headers = JSON | {"Content-Length": str(length)}
    hub.fault(Fault("info", "says", ALWAYS, headers, b'{"id": "user/reviews", "sha": "x"}'))
    _is_refused(tmp_path, said)


@pytest.mark.parametrize("body", [Fault.body, b"null", b"[]", DEEP, b"{}"])
@pytest.mark.parametrize("call", ["create", "preupload", "batch", "commit"])
def test_a_push_to_a_stranger(hub: TinyHub, trained: Path, call: str, body: bytes) -> None:
    hub.fault(Fault(call, "says", ALWAYS, JSON, body))
    done = hub_cli("push", trained, REPO)
    if (call, done.code) == ("create", 0):  # it answers as if there were a repo, and there is one
        return
    assert done.code == 2 and "Traceback" not in done.err, done.err
    assert done.err.splitlines()[-1].startswith("hub: ")
    assert all(set(repo.files()) == {".gitattributes"} for repo in hub.repos.values())


@pytest.mark.parametrize(
    "said",
    [
        b"null", b"[]", b"3", DEEP, b"{}", b'{"files": {}}', b'{"files": [], "model": 3}',
        b'{"files": {"config.json": 3}, "model": [], "config": null, "published": {}}',
        b'{"files": {"../x": "0"}, "model": "bert_cls", "config": {}, "published": []}',
    ],
    ids=lambda said: said[:24].decode(),
)  # fmt: skip
def test_a_record_that_is_none(hub: TinyHub, trained: Path, tmp_path: Path, said: bytes) -> None:
    push(trained, REPO)
    hub.repos[REPO].put("zoo.json", said)
    _is_refused(tmp_path, "zoo.json of user/reviews is damaged")


@pytest.mark.parametrize("said", [b"[]", b"{}", b"3", b"null", b'{"README.md": 3}', b'{"x": "y"}'])
def test_sums_that_are_none(hub: TinyHub, trained: Path, tmp_path: Path, said: bytes) -> None:
    """Without them nobody could say that every sum is as it was pushed."""
    push(trained, REPO)
    record = json.loads(hub.repos[REPO].files()["zoo.json"].content)
    record["published"] = json.loads(said)
    hub.repos[REPO].put("zoo.json", json.dumps(record).encode())
    _is_refused(tmp_path, "zoo.json of user/reviews is damaged", "lacks x")


@pytest.mark.parametrize(
    ("place", "odd"),
    [
        (("data", "fingerprint"), []),
        (("data", "rows"), {"test": [[1]]}),
        (("data", "rows"), 3),
        (("data", "source_rows"), {"test": "/etc/passwd"}),
        (("data", "name"), None),
        (("source",), {"repo": 3}),
        (("teacher",), {"model": []}),
        (("config", "options"), []),
        (("pipeline",), {}),
    ],
)
def test_odd_records_are_one_sentence(
    hub: TinyHub, trained: Path, place: tuple[str, ...], odd: object
) -> None:
    push(trained, REPO)
    good = hub.repos[REPO].branches["main"]
    record = json.loads(hub.repos[REPO].files()["zoo.json"].content)
    at = record
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = odd
    hub.repos[REPO].put("zoo.json", json.dumps(record).encode())
    for words in (("verify", REPO), ("diff", REPO, good, "main")):
        done = hub_cli(*words)
        assert done.code in (1, 2) and len(done.err.splitlines()) <= 1, done.err
        assert "damaged" in done.err + done.out


def test_a_record_of_a_task_that_cannot_be_read_is_not_put_in_place(
    hub: TinyHub, trained: Path, tmp_path: Path
) -> None:
    push(trained, REPO)
    record = json.loads(hub.repos[REPO].files()["zoo.json"].content)
    record["config"]["task"]["args"]["of another version"] = 1
    hub.repos[REPO].put("zoo.json", json.dumps(record).encode())
    _is_refused(tmp_path, "zoo.json is damaged", "config.task is not that of")


def test_a_bomb_where_an_upload_is_confirmed(
    hub: TinyHub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """huggingface_hub wraps whatever goes wrong in an upload."""
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 1_000_000)
    headers = JSON | {"Content-Encoding": "gzip"}
    hub.fault(Fault("upload", "says", ALWAYS, headers, gzip.compress(bytes(9_000_000))))
    done = hub_cli("push", trained, REPO)
    assert done.code == 2 and "Traceback" not in done.err, done.err
    assert "has more than the 1,000,000 bytes" in done.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["config.json", "zoo.json"])
def test_deep_files_are_one_sentence(hub: TinyHub, trained: Path, name: str) -> None:
    push(trained, REPO)
    good = hub.repos[REPO].branches["main"]
    hub.repos[REPO].put(name, DEEP)
    for words in (("verify", REPO), ("diff", REPO, good, "main")):
        done = hub_cli(*words)
        assert done.code in (1, 2) and len(done.err.splitlines()) <= 1, done.err
