"""The record survives crashes, tampering and newer versions of itself."""

import dataclasses
import json
import logging
import os
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import UserError
from zoo.store import evidence
from zoo.store.evidence import Fact

INTERVAL = {"low": 0.8, "high": 0.9, "level": 0.95, "method": "wilson"}
ACCURACY = Fact("metric", "accuracy", 0.85, "1", subject="abc", run="r1", n=1500, interval=INTERVAL)

texts = st.text(min_size=1)
numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
facts = st.builds(
    Fact,
    kind=st.sampled_from(sorted(evidence.KINDS)),
    name=texts,
    value=numbers,
    unit=texts,
    subject=texts,
    run=texts,
    n=st.none() | st.integers(1, 10**9),
    workload=st.none() | st.dictionaries(st.text(string.ascii_letters), numbers | texts),
    split=st.none() | st.text(),
    dirty=st.none() | st.booleans(),
)
some = st.lists(facts, min_size=1, max_size=3)


@settings(max_examples=30)
@given(
    before=st.lists(facts, min_size=1, max_size=3), after=st.lists(facts, min_size=1, max_size=3)
)
def test_what_is_appended_is_read(before: list[Fact], after: list[Fact]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "run"
        ids = evidence.append(folder, before) + evidence.append(folder, after)
        assert evidence.read(folder) == before + after
        assert [fact.id for fact in evidence.read(folder)] == ids


@settings(max_examples=60)
@given(
    before=some,
    after=some,
    data=st.data(),
)
def test_a_crash_costs_no_more_than_the_lines_it_cut(
    before: list[Fact], after: list[Fact], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        evidence.append(folder, before)
        path = folder / evidence.FILE
        whole = path.read_bytes()
        kept = whole[: data.draw(st.integers(0, len(whole)))]
        path.write_bytes(kept)
        # A line that lacks nothing but its end says all it said.
        survivors = sum(kept.startswith(whole[: i - 1]) for i in _ends(whole))
        evidence.append(folder, after)
        assert evidence.read(folder) == before[:survivors] + after


def _ends(lines: bytes) -> list[int]:
    return [i + 1 for i, byte in enumerate(lines) if byte == ord("\n")]


def test_a_torn_line_is_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evidence.append(tmp_path, [ACCURACY])
    path = tmp_path / evidence.FILE
    path.write_bytes(path.read_bytes() + b'{"kind":"met')
    with caplog.at_level(logging.WARNING):
        assert evidence.read(tmp_path) == [ACCURACY]
    assert "line 2 is skipped" in caplog.text


def test_an_altered_line_is_no_evidence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evidence.append(tmp_path, [ACCURACY])
    path = tmp_path / evidence.FILE
    path.write_text(path.read_text().replace("0.85", "0.95"))
    assert evidence.read(tmp_path) == []
    assert "changed after it was written" in caplog.text


def test_a_newer_schema_is_kept(tmp_path: Path) -> None:
    content = {"schema": 7, "kind": "carbon", "grams": 3, "name": "footprint"}
    line = json.dumps(content | {"id": evidence._identify(content)})
    (tmp_path / evidence.FILE).write_text(line + "\n")
    evidence.append(tmp_path, [ACCURACY])
    newer, ours = evidence.read(tmp_path)
    assert (newer.schema, newer.kind, newer.other) == (7, "carbon", {"grams": 3})
    assert ours == ACCURACY
    assert (tmp_path / evidence.FILE).read_text().startswith(line)


def test_nothing_is_read_where_nothing_was_written(tmp_path: Path) -> None:
    assert evidence.read(tmp_path / "nowhere") == []
    assert evidence.append(tmp_path / "nowhere", []) == []
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"value": float("nan")},
        {"value": float("inf"), "status": "wrong"},
        {"value": None},
        {"value": "0.8"},
        {"value": True},
        {"kind": "opinion"},
        {"status": "fine"},
        {"run": ""},
        {"n": 0},
        {"n": 1.5},
        {"interval": {"low": 0.8, "high": 0.9}},
        {"interval": INTERVAL | {"low": 0.95}},
        {"interval": INTERVAL | {"level": 95}},
        {"interval": INTERVAL | {"high": float("nan")}},
        {"dataset": {"name": "reviews"}},
        {"workload": {"batch": object()}},
        {"workload": {"batch": float("nan")}},
        {"schema": 2},
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        evidence.append(tmp_path, [ACCURACY, dataclasses.replace(ACCURACY, **change)])
    assert not (tmp_path / evidence.FILE).exists()


def test_no_number_needs_a_reason(tmp_path: Path) -> None:
    evidence.append(tmp_path, [dataclasses.replace(ACCURACY, value=None, status="oom")])
    assert evidence.read(tmp_path)[0].value is None


def test_fact_fills_in_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    made = evidence.fact("metric", "f1", 0.5, "1", n=2, subject="abc", run="r1", split="test")
    assert made.machine is not None and made.machine["cores"] > 0
    assert made.versions is not None and "python" in made.versions
    assert made.time is not None and made.time.endswith("+00:00")
    assert made.id == dataclasses.replace(made).id != dataclasses.replace(made, value=0.6).id


def test_a_command_has_no_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [
        "/usr/lib/x/train.py",
        f"--data={tmp_path}/in/train.csv",
        "--output_dir",
        str(tmp_path / "runs" / "my run"),
        "/home/jane/models/minilm",
        "--files=[/a/b.csv,/c/d.csv]",
        "file:///home/jane/x.csv",
        "https://host/path",
        "and/or",
    ]
    said = evidence.command(argv)
    assert said == (
        "python train.py --data=in/train.csv --output_dir 'runs/my run' minilm "
        "'--files=[b.csv,d.csv]' x.csv path and/or"
    )


def test_the_subject_is_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).write_text(name)
    digest = evidence.subject_digest(one)
    (two / "README.md").write_text("a card changes nothing")
    assert evidence.subject_digest(two) == digest
    (two / "tokenizer.json").write_text("another")
    assert evidence.subject_digest(two) != digest
    (two / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"is no checkpoint"):
        evidence.subject_digest(two)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence.append(tmp_path, [ACCURACY])
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as full, pytest.raises(OSError):
        full.setattr(os, "write", half)
        evidence.append(tmp_path, [ACCURACY])
    evidence.append(tmp_path, [ACCURACY])
    assert evidence.read(tmp_path) == [ACCURACY, ACCURACY]


WRONG_TYPES = {
    "kind": 3,
    "name": ["accuracy"],
    "value": "0.85",
    "unit": 1,
    "subject": {"a": 1},
    "run": 7,
    "status": True,
    "n": 2.5,
    "interval": [0.8, 0.9],
    "baseline": 5,
    "deployment": ["onnx"],
    "device": 0,
    "threads": "2",
    "workload": 16,
    "dataset": "reviews",
    "split": 1,
    "seed": 0.5,
    "machine": "EPYC",
    "versions": ["torch"],
    "command": ["python"],
    "commit": 1234,
    "dirty": 1,
    "time": 1700000000,
}


@pytest.mark.parametrize("field", WRONG_TYPES)
def test_types_are_checked_on_writing_and_on_reading(
    tmp_path: Path, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also of a line whose id fits: others may write evidence too."""
    with pytest.raises(ValueError):
        evidence.append(tmp_path, [dataclasses.replace(ACCURACY, **{field: WRONG_TYPES[field]})])
    content = ACCURACY.content() | {field: WRONG_TYPES[field]}
    _write_line(tmp_path, content)
    assert evidence.read(tmp_path) == []
    assert "line 1 is skipped" in caplog.text


@pytest.mark.parametrize(
    "change",
    [{"kind": "opinion"}, {"status": "fine"}, {"n": 0}, {"threads": -1}, {"value": None},
     {"schema": 0}, {"grams": 3}, {"dataset": {"name": "x"}}, {"interval": {}}],
)  # fmt: skip
def test_what_cannot_be_is_not_read(tmp_path: Path, change: dict[str, object]) -> None:
    _write_line(tmp_path, {k: v for k, v in (ACCURACY.content() | change).items() if v is not None})
    ((number, found),) = evidence.scan(tmp_path)
    assert number == 1 and isinstance(found, ValueError) and str(found)


@settings(max_examples=60)
@given(
    schema=st.integers(2, 99),
    content=st.dictionaries(
        st.text(min_size=1).filter(lambda key: key not in ("schema", "id")),
        st.none() | st.booleans() | numbers | st.text() | st.lists(numbers),
    ),
    ours=facts,
)
def test_whatever_a_newer_schema_says_is_kept(
    schema: int, content: dict[str, object], ours: Fact
) -> None:
    """To the byte, wherever the record goes; what it says in fields of ours is not judged."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        line = _write_line(
            folder, {k: v for k, v in content.items() if v is not None} | {"schema": schema}
        )
        evidence.append(folder, [ours])
        newer, found = (fact for _, fact in evidence.scan(folder))
        assert isinstance(newer, Fact) and newer.schema == schema and found == ours
        assert (folder / evidence.FILE).read_text().split("\n")[0] == line


def _write_line(folder: Path, content: dict[str, object]) -> str:
    line = json.dumps(content | {"id": evidence._identify(content)})
    (folder / evidence.FILE).write_text(line + "\n")
    return line


def test_the_digest_of_sums_is_the_folders(tmp_path: Path) -> None:
    from tasks.data.fingerprint import sha256

    for name in ("config.json", "model.safetensors", "vocab.txt", "README.md"):
        (tmp_path / name).write_text(name)
    sums = {path.name: sha256(path) for path in tmp_path.iterdir()}
    assert evidence.digest_of(sums) == evidence.subject_digest(tmp_path)
    assert evidence.digest_of(sums | {"adapter/model.safetensors": "0" * 64}) == (
        evidence.subject_digest(tmp_path)
    )
