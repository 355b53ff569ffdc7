"""The check itself, with parts that take no time: what fails is a result, the rest goes on."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.gpu_check import check, parts, summary
from bench.gpu_check.args import GpuCheckArgs
from bench.gpu_check.parts import PARTS, CheckConfig, Part, Words
from tasks.errors import UserError

SAYS = "import sys; print('first'); print(sys.argv[1:])"


def _part(name: str, program: str, *words: str, share_s: float = 1, **more: Any) -> Part:
    def commands(config: CheckConfig, seconds: float) -> list[Words]:
        return [[program, *words]]

    return Part(name, f"what {name} is", share_s, 0.1, commands, **more)


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are a program for `python -c` and its arguments."""
    monkeypatch.setattr(check, "python", lambda words: [sys.executable, "-c", *words])


GOOD = _part("good", SAYS, "a", "b")
BAD = _part("bad", "import sys; print('no luck'); sys.exit(5)")
SLOW = _part("slow", "import time; print('begun', flush=True); time.sleep(600)", share_s=0.01)


def _check(out: Path, *some: Part, minutes: float = 1.0, **more: Any) -> int:
    args = GpuCheckArgs(minutes=minutes, device="cpu", out=out, data="embedded", **more)
    return check.check(args, some)


def _record(out: Path) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, (out / check.RECORD).read_text().splitlines())
    return {row["part"]: row for row in rows}


def test_what_fails_is_a_result_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = _check(out, replace(SLOW, share_s=0.3), BAD, GOOD, minutes=0.5)
    record = _record(out)
    assert code == 1 and list(record) == ["slow", "bad", "good"]
    assert {name: each["status"] for name, each in record.items()} == {
        "slow": "timeout",
        "bad": "failed",
        "good": "ok",
    }
    assert "its last line: begun" in record["slow"]["said"]
    assert record["bad"]["said"] == "exit code 5: no luck"
    assert record["good"]["said"] == "['a', 'b']"
    log = (out / check.LOG).read_text()
    assert log.count("===") == 3 and "first" in log
    text = (out / check.SUMMARY).read_text()
    assert "| bad | what bad is | failed |" in text
    assert "Left for want of time: nothing." in text and "found kept: slow." in text
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("bad: failed") for line in said)
    assert len(list(out.iterdir())) <= 8


def test_what_is_left_is_named(tmp_path: Path) -> None:
    """A part that needs more than there is, is not begun, and the next one is."""
    long = replace(GOOD, name="long", least_s=1000)
    assert _check(tmp_path / "out", GOOD, long, replace(GOOD, name="last"), minutes=0.3) == 0
    record = _record(tmp_path / "out")
    assert (record["long"]["status"], record["last"]["status"]) == ("skipped", "ok")
    assert "it takes 1000 s at least" in record["long"]["said"]
    assert "Left for want of time: long." in (tmp_path / "out" / check.SUMMARY).read_text()


def test_resume_runs_what_is_not_done(tmp_path: Path) -> None:
    out, first = tmp_path / "out", _part("inputs", SAYS, each_time=True)
    assert _check(out, first, GOOD, BAD) == 1
    with pytest.raises(UserError, match=r"not empty.*--resume"):
        _check(out, first, GOOD)
    changed = replace(GOOD, commands=BAD.commands)
    assert _check(out, first, changed, replace(BAD, commands=GOOD.commands), resume=True) == 0
    rows = [json.loads(row)["part"] for row in (out / check.RECORD).read_text().splitlines()]
    assert rows == ["inputs", "good", "bad", "inputs", "bad"], "good was done, and inputs go away"
    assert _check(out, first, changed, resume=True) == 0
    assert len((out / check.RECORD).read_text().splitlines()) == 5, "nothing is left to do"
    assert "| good | what good is | ok |" in (out / check.SUMMARY).read_text()


def test_only_the_parts_asked_for_run(tmp_path: Path) -> None:
    out, first = tmp_path / "out", _part("inputs", SAYS, each_time=True)
    assert _check(out, first, GOOD, BAD, parts=("good",)) == 0
    assert list(_record(out)) == ["inputs", "good"]
    assert _check(out, first, GOOD, BAD, parts=("bad",), resume=True) == 1
    text = (out / check.SUMMARY).read_text()
    assert "| good | what good is | ok |" in text and "| bad | what bad is | failed |" in text
    with pytest.raises(UserError, match=r"--parts god: no such part; did you mean good\?"):
        _check(out, first, GOOD, BAD, parts=("god",), resume=True)


def test_of_another_commit_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    _check(out, GOOD)
    monkeypatch.setattr(check.environment, "commit", lambda: {"commit": "other", "dirty": False})
    _check(out, GOOD, resume=True)
    assert len((out / check.RECORD).read_text().splitlines()) == 2


def test_a_part_sees_no_network_and_no_gpu(tmp_path: Path) -> None:
    names = ("HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")
    program = f"import os; print([os.environ[name] for name in {names}])"
    _check(tmp_path / "out", _part("seen", program))
    said = _record(tmp_path / "out")["seen"]["said"]
    assert said.startswith("['1', '', ") and str(check.ROOT) in said


def test_what_is_imported_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some images say that no process may write what it compiles: a start takes twice as long."""
    program = "import sys; print([sys.dont_write_bytecode, bool(sys.pycache_prefix)])"
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    _check(tmp_path / "out", _part("seen", program))
    assert _record(tmp_path / "out")["seen"]["said"] == "[False, True]"
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    _check(tmp_path / "other", _part("seen", program))
    assert _record(tmp_path / "other")["seen"]["said"] == "[False, False]"


def test_the_middle_of_a_long_log_is_left_out(tmp_path: Path) -> None:
    _check(tmp_path / "out", _part("chatty", "print('x' * 3_000_000); print('the end')"))
    log = (tmp_path / "out" / check.LOG).read_text()
    assert len(log) < 600_000 and "bytes are left out]" in log and "the end" in log


def test_results_that_are_too_large_lose_their_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"values": 1, "samples": [0] * 1000}) + "\n")
    check._shrink(path)
    assert json.loads(path.read_text())["samples"]
    monkeypatch.setattr(check, "LARGEST", 100)
    check._shrink(path)
    assert json.loads(path.read_text()) == {"values": 1, "samples": {}}


def test_what_a_part_made_is_kept(tmp_path: Path) -> None:
    def commands(config: CheckConfig, seconds: float) -> list[Words]:
        return [[f"open({str(config.work / 'made')!r}, 'w').write('card')"]]

    out = tmp_path / "out"
    _check(out, Part("maker", "", 1, 0.1, commands, {"made": "card.md", "not_made": "none.md"}))
    assert (out / "card.md").read_text() == "card" and not (out / "none.md").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cuda"], "--device cuda: "),
        (["--device", "cpu", "--minutes", "0.01"], "--minutes 0.01 is too short for one part"),
        (["--device", "cpu", "--minutes", "0"], "above 0"),
        (["--device", "cpu", "--data", "nowhere"], "--data nowhere: there is no such"),
        (["--device", "cpu", "--weights", "nowhere"], "there is no folder"),
        (["--device", "cpu", "--wheels", "nowhere"], "--wheels nowhere: there is no such folder"),
        (["--device", "cpu", "--out", "README.md"], "README.md"),
        (["--device", "cpu", "--out", "bench"], "not empty"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(check.ROOT)
    assert cli.main(["gpu_check", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("bench: ") and err.count("\n") == 1 and said in err, err


def test_two_at_once_in_one_folder(tmp_path: Path) -> None:
    with check._alone(tmp_path), pytest.raises(UserError, match="another gpu_check is at work"):
        _check(tmp_path, GOOD)


def test_a_record_that_is_none(tmp_path: Path) -> None:
    (tmp_path / check.RECORD).write_text('{"part": 1}\n{}\n')
    with pytest.raises(UserError, match=r"parts\.jsonl, line 1"):
        check.read(tmp_path / check.RECORD)
    (tmp_path / check.RECORD).write_text('{"part": "torn')
    assert check.read(tmp_path / check.RECORD) == {}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_every_part_is_a_command_that_is_there(device: str, tmp_path: Path) -> None:
    """Its flags are read by the programs themselves in `--device cpu`; here: names and time."""
    config = CheckConfig(device, tmp_path / "out", tmp_path, parts.RANDOM, "embedded")
    assert sum(part.share_s for part in PARTS) == pytest.approx(480)
    assert [part.name for part in PARTS if part.each_time] == ["inputs"]
    files = {check.RECORD, check.LOG, check.SUMMARY, parts.RESULTS, parts.TRAINING, parts.FRONT}
    assert len(files | {name for part in PARTS for name in part.keeps.values()}) <= 8
    for part in PARTS:
        commands = part.commands(config, 60.0)
        assert commands and all(isinstance(w, str) for words in commands for w in words)
        for module, *_ in commands:
            place = check.ROOT / module.replace(".", os.sep)
            assert module == "pytest" or place.is_dir() or place.with_suffix(".py").is_file()


def test_the_table_of_fine_tuning() -> None:
    about = {"commit": "c", "weights": parts.RANDOM}
    common = {"commit": "c", "epochs": 1.0, "batch": 32, "accuracy": 0.5, "wall_seconds": 9.0}
    results = [
        common | {"arm": "trainer", "samples_per_second": 100.0},
        common | {"arm": "zoo", "samples_per_second": 250.0},
        common | {"arm": "zoo", "samples_per_second": 1.0, "commit": "another"},
    ]
    text = "\n".join(summary._training(results, about))
    assert "| 1 | 32 | zoo | 250.0 | 1.00 | 0.5000 | 9.0 | c |" in text
    assert "| 1 | 32 | trainer | 100.0 | 2.50 |" in text, "beside the same commit's"
    assert "| 1 | 32 | zoo | 1.0 | 1.00 | 0.5000 | 9.0 | another |" in text
    assert "random weights says nothing" in text and summary._training([], about) == []
