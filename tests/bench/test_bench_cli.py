"""`python -m bench`: light, and a mistake is one line and exit code 2."""

import json
from pathlib import Path

import pytest

from bench import cli
from bench.record import store
from tests.bench.record.test_store import result
from tests.cli import run_program
from tests.test_architecture import HEAVY


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    try:
        code = cli.main([str(each) for each in arguments])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    return code, capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in cli.VERBS)], ids=str)
def test_help_is_light(words: list[str]) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['bench', *{words!r}]\n"
        "try:\n    runpy.run_module('bench', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop:\n    assert stop.code in (0, None), stop.code\n"
        f"heavy = {HEAVY!r} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    done = run_program(program)
    assert "usage" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "did you mean 'run'?"),
        (["run"], "what to measure?"),
        (["run", "minilmm"], "did you mean minilm?"),
        (["run", "minilm", "--deployments", "onxx"], "did you mean onnx?"),
        (["run", "minilm", "--deployments", "onnx+int9"], "int9"),
        (["run", "--suite", "smok"], "did you mean smoke?"),
        (["run", "--suite", "none.yaml"], "no such file"),
        (["run", "minilm", "--measures", "latnecy"], "did you mean latency?"),
        (["run", "minilm", "--device", "cudda"], "did you mean cuda?"),
        (["run", "minilm", "--batch_sizes", "0"], "at least 1"),
        (["run", "minilm", "--minutes", "0"], "--minutes 0.0: above 0"),
        (["run", "minilm", "--minutes", "nan"], "--minutes nan"),
        (["run", "minilm", "--minutes", "1e9"], "a week at most"),
        (["run", "minilm", "--lengths", "-3"], "above 0"),
        (["run", "minilm", "--threads", "0"], "at least 1"),
        (["run", "minilm", "--minutes_per_case", "0"], "above 0"),
        (["run", "minilm", "--launches", "0"], "at least 1"),
        (["run", "minilm", "--out", "."], "is a folder"),
        (["run", "tests"], "zoo.json"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, err = _run(capsys, *arguments)
    assert code == 2
    assert err.startswith("bench: ") and err.count("\n") == 1 and said in err, err


def test_a_field_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = _run(capsys, "run", "minilm", "--bach_sizes", 3)
    assert code == 2 and "--batch_sizes" in err


def test_results_of_a_newer_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.jsonl"
    store.append(path, result())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}) + "\n")
    code, err = _run(capsys, "run", "minilm", "--out", path)
    assert code == 2 and err.count("\n") == 1 and "schema 99" in err


def test_a_damaged_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "zoo.json").write_text("{")
    code, err = _run(capsys, "run", tmp_path, "--out", tmp_path / "r.jsonl")
    assert code == 2 and err.count("\n") == 1 and "damaged" in err
