"""A case survives JSON, and its key stands for all that decides its numbers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases.case import Case, source_digest
from tasks.errors import UserError
from tests.cli import environment
from zoo.measure.workload import PHASES, Generate

HERE = {"machine": {"cpu": "a processor", "cores": 2}, "versions": {"torch": "2.13"}}

CASES = st.builds(
    Case.of,
    model=st.text(min_size=1),
    deployment=st.sampled_from(["eager", "compile+bf16:max-autotune", "onnx+int8-dynamic"]),
    batch_size=st.integers(1, 10**6),
    length=st.none() | st.integers(1, 10**6) | st.floats(1e-3, 1e6),
    device=st.sampled_from(["cpu", "cuda", "cuda:1"]),
    threads=st.integers(1, 512),
    phase=st.sampled_from(sorted(PHASES)),
)


@given(CASES)
def test_round_trip(case: Case) -> None:
    again = Case.from_json(json.loads(json.dumps(case.to_json())))
    assert again == case and again.key("s", HERE) == case.key("s", HERE)


def test_equal_cases_have_one_form() -> None:
    assert Case("m", "compile+bf16:max-autotune") == Case("m", "compile:max-autotune+bf16")
    assert json.dumps(Case.of("m", length=128.0).to_json()) == json.dumps(
        Case.of("m", length=128).to_json()
    )


@given(CASES, CASES)
def test_other_cases_have_other_keys(one: Case, other: Case) -> None:
    assert (one == other) == (one.key("s", HERE) == other.key("s", HERE))


def test_the_key_depends_on_weights_and_environment() -> None:
    case, newer = Case("m"), HERE | {"versions": {"torch": "2.14"}}
    assert len({case.key("s", HERE), case.key("t", HERE), case.key("s", newer)}) == 3


def test_the_key_depends_on_the_code(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    digests = []
    for content in ("x = 1\n", "x = 2\n"):
        (tmp_path / "zoo" / "a.py").write_text(content)
        source_digest.cache_clear()
        digests.append(source_digest(tmp_path))
    source_digest.cache_clear()
    assert digests[0] != digests[1]


def test_the_key_is_the_same_in_another_process() -> None:
    case = Case.of("minilm", "onnx", 16, 128)
    program = (
        "import json, sys\nfrom bench.cases.case import Case\n"
        "print(Case.from_json(json.loads(sys.argv[1])).key('s', json.loads(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, json.dumps(case.to_json()), json.dumps(HERE)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == case.key("s", HERE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": True},
        {"threads": 1.5},
        {"length": 0},
        {"length": float("nan")},
        {"length": "128"},
        {"phase": "sleep"},
        {"deployment": "onxx"},
    ],
    ids=str,
)
def test_what_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Case.of(**({"model": "m"} | wrong))
    with pytest.raises(UserError):
        Case.from_json(Case("m").to_json() | wrong)


def test_a_record_of_before_is_read_and_its_key_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As commit b7db848 wrote it."""
    before = {"model": "m", "deployment": "onnx", "batch_size": 16, "length": 128}
    before |= {"device": "cpu", "threads": 2, "phase": "generation"}
    case = Case.from_json(before)
    assert case.workload == Generate({"batch": 16, "length": 128}, new_tokens=32)
    assert list(case.to_json().items()) == list(before.items())
    monkeypatch.setattr("bench.cases.case.source_digest", lambda: "0123456789abcdef")
    assert case.key("subject", HERE) == "ec95ad8976df59e2"
    longer = Case("m", "onnx", Generate(case.workload.sizes, new_tokens=64), threads=2)
    assert Case.from_json(longer.to_json()) == longer != case
