"""Results on disk: nothing is lost, and what a crash has left disturbs nobody."""

import copy
import dataclasses
import errno
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases.args import ReportArgs
from bench.cases.case import Case
from bench.record import compare_results, store
from bench.record.results import STATUSES, MeasureResult, Result, Value
from bench.report import write as report
from tasks.errors import UserError
from tests.bench.report import made
from tests.fake_nvml import FakeNvml, see_a_gpu
from zoo.machine import environment, nvml

INTERVAL = {"low": 0.9, "high": 1.1, "level": 0.99, "method": "t over 5 launches"}
NUMBERS = st.floats(-1e30, 1e30)
VALUES = st.builds(Value, NUMBERS, st.text(), st.integers(1), st.none() | st.just(INTERVAL))
RESULTS = st.builds(
    Result,
    st.text(),
    st.just(Case.of("minilm", "onnx", 16, 128)),
    st.text(),
    st.builds(
        MeasureResult,
        st.dictionaries(st.text(), VALUES, max_size=3),
        st.sampled_from(STATUSES),
        st.text(),
        st.lists(st.text(), max_size=2).map(tuple),
        st.just({"seconds": [0.1, 0.2]}),
    ),
    st.floats(0, 1e6),
    st.just({"samples": 16.0}),
    st.just({"commit": None, "time": "2026-11-22T00:00:00+00:00"}),
)


def result(measure: str = "latency", key: str = "k") -> Result:
    values = {"median": Value(1.0, "s", 30, INTERVAL)}
    return Result(
        key, Case("minilm"), measure, MeasureResult(values), 2.5, {"samples": 1}, {"commit": "c"}
    )


@given(RESULTS)
def test_round_trip(one: Result) -> None:
    assert Result.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_what_was_taken_on_a_gpu_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a GPU a machine has numbers too."""
    see_a_gpu(monkeypatch)
    opened = nvml.open_gpu("cuda", lambda name: FakeNvml())
    monkeypatch.setattr(nvml, "open_gpu", lambda: opened)
    machine = environment.machine(gpu=True)
    assert {"gpu_count", "gpu_power_limit_w"} <= machine.keys()
    one = dataclasses.replace(result(), origin={"machine": machine})
    store.append(tmp_path / "r.jsonl", one)
    assert store.read(tmp_path / "r.jsonl") == [one]


def test_no_file_has_no_results(tmp_path: Path) -> None:
    assert store.read(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_torn_line_stands_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    path = tmp_path / "deep" / "r.jsonl"
    store.append(path, result("latency"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    store.append(path, result("memory"))
    assert path.read_bytes().startswith(whole)  # what stood there is never changed
    assert [each.measure for each in store.read(path)] == [
        "latency",
        *(["latency"] if cut == -1 else []),  # only its end was missing: it is whole
        "memory",
    ]
    assert ("passed over" in caplog.text) == (cut != -1)


def test_a_newer_schema_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    store.append(path, result())
    content = json.loads(path.read_text()) | {"schema": store.SCHEMA + 1, "more": 1}
    path.write_text(path.read_text() + json.dumps(content) + "\n")
    with pytest.raises(UserError, match=r"r\.jsonl, line 2: results of schema 2.*up to 1"):
        store.read(path)


@pytest.mark.parametrize("line", ["3", "[]", "{}", '{"schema": 1}', '{"schema": 1, "status": 3}'])
def test_what_is_no_result_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(line + "\n")
    assert store.read(path) == []
    assert "line 1" in caplog.text


def test_what_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    store.append(path, result("latency"))
    before = path.read_bytes()
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        if len(content) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, bytes(content)[:-90])  # most of it fits

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as error:
        store.append(path, result("memory"))
    assert error.value.filename == str(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    store.append(path, result("memory"))
    assert [each.measure for each in store.read(path)] == ["latency", "memory"]


ODD = (None, True, -1, 10**400, float("nan"), float("inf"), "", "1", "\ud800", [], ["a"], {"a": 1})


def places(content: object, path: tuple = ()) -> list[tuple]:
    """The path of every value within JSON."""
    if isinstance(content, dict):
        inner = content.items()
    else:
        inner = enumerate(content) if isinstance(content, list) else ()
    return [path] * bool(path) + [p for key, each in inner for p in places(each, (*path, key))]


def test_a_field_of_another_type_costs_its_line_and_no_more(tmp_path: Path) -> None:
    """Whatever stands where: the line is passed over, or the report and `compare` can show it."""
    kept, damaged = tmp_path / "kept.jsonl", tmp_path / "damaged.jsonl"
    results = [
        result
        for name, seconds in (("eager", 0.01), ("onnx", 0.005))
        for batch in (1, 4)
        for result in made.measured(Case.of("minilm", name, batch, 128), seconds * batch, cold=3.0)
    ]
    for each in results:
        store.append(kept, each)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    rng = random.Random(0)
    passed_over = 0
    for _ in range(40):
        content = copy.deepcopy(lines)
        line = rng.choice(content)
        *above, last = rng.choice(places(line))
        inner = line
        for key in above:
            inner = inner[key]
        inner[last] = rng.choice(ODD)
        damaged.write_text("".join(json.dumps(each) + "\n" for each in content))
        try:
            found = store.read(damaged)
        except UserError as error:
            assert last == "schema", error
            continue
        assert len(found) >= len(results) - 1
        passed_over += len(results) - len(found)
        files = (damaged,)
        page, text = tmp_path / "page.html", tmp_path / "page.md"
        report.report(ReportArgs(files, out=page, markdown=text))
        compare_results.compare(kept, damaged, 0.03)
    assert 8 < passed_over < 40


def test_a_line_that_is_deep_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text("[" * 100_000 + "\n")
    store.append(file, result())
    assert store.read(file) == [result()]
