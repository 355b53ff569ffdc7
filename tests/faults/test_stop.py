"""Ctrl-C and SIGTERM: the state is saved, the way on is said, and it leads to the same bits."""

import os
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.cases import Case
from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune, lines
from tests.processes import start
from zoo.train.reporting.progress_bar import RunLogger


@pytest.fixture(scope="module")
def whole(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nobody stops."""
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("whole") / "run", *EXACT)


def _signal_at(step: int, signum: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends this process a signal while it computes that step, once."""
    own = RunLogger.samples
    sent = []

    def samples(self, number, place, ids) -> None:
        own(self, number, place, ids)
        if number == step and not sent:
            sent.append(signum)
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(RunLogger, "samples", samples)


def _same(folder: Path, whole: Run) -> None:
    assert Run(folder).steps == whole.steps
    assert Run(folder).losses == whole.losses
    mine, theirs = (f / "model.safetensors" for f in (folder, whole.folder))
    assert mine.read_bytes() == theirs.read_bytes()


def test_ctrl_c_says_how_to_go_on(
    whole: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_at(4, signal.SIGINT, monkeypatch)
    folder = tmp_path / "run"
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *EXACT))
    assert done.code == 130
    assert [p.name for p in (folder / "state").iterdir()] == ["step-00000005"]
    said, command = done.err.splitlines()[-2:]
    assert said == "stopped; the state is saved. To go on:"
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", MODEL] and words[-1] == "--resume"
    again = run_cli(MODEL, *words[3:])
    assert again.code == 0, again.err
    assert "going on at step 5" in again.err
    _same(folder, whole)


def test_the_command_that_is_said_can_be_pasted(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a space in its name is quoted."""
    _signal_at(2, signal.SIGINT, monkeypatch)
    folder = tmp_path / "my run"
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *EXACT))
    assert done.code == 130
    words = shlex.split(done.err.splitlines()[-1])
    assert words[3:] == [*arguments(tiny_bert, reviews, folder, *EXACT), "--resume"]


def test_after_sigterm_the_same_command_goes_on(
    whole: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_at(5, signal.SIGTERM, monkeypatch)
    argv = arguments(tiny_bert, reviews, tmp_path / "run", *EXACT)
    assert run_cli(MODEL, *argv).code == 143
    again = run_cli(MODEL, *argv)
    assert again.code == 0, again.err
    assert "was stopped by SIGTERM: going on from there" in again.err
    _same(tmp_path / "run", whole)


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_after_sigterm_augmentation_goes_on_too(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--mixup", 0.4, "--num_train_epochs", 2)  # with dropout
    whole = case.finetune(tmp_path / "whole", *flags)
    _signal_at(6, signal.SIGTERM, monkeypatch)
    argv = case.arguments(tmp_path / "run", *flags)
    assert run_cli(case.module, *argv).code == 143
    assert run_cli(case.module, *argv).code == 0
    _same(tmp_path / "run", whole)


def test_after_ctrl_c_the_same_command_begins_anew(
    whole: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost: the stopped run is moved aside."""
    _signal_at(5, signal.SIGINT, monkeypatch)
    argv = arguments(tiny_bert, reviews, tmp_path / "run", *EXACT)
    assert run_cli(MODEL, *argv).code == 130
    again = run_cli(MODEL, *argv)
    assert again.code == 0, again.err
    assert "held another run: moved to" in again.err and "--resume" in again.err
    assert (tmp_path / "run.1" / "state" / "step-00000006").is_dir()
    _same(tmp_path / "run", whole)


def test_resume_without_a_state_begins_anew(
    whole: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    run = finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, "--resume")
    assert "beginning anew" in run.done.err
    _same(tmp_path / "run", whole)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_process_of_its_own(
    signum: signal.Signals, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    argv = arguments(tiny_bert, reviews, folder, *EXACT, "--max_steps", 100_000)
    process = start(argv, tmp_path / "log")
    metrics = folder / "logs" / "metrics.jsonl"
    end = time.monotonic() + 120
    try:
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
            assert process.is_alive() and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.02)
        os.kill(process.pid, signum)
        process.join(120)
        assert process.exitcode == 128 + signum, (tmp_path / "log").read_text()
    finally:
        process.kill()
    (saved,) = (folder / "state").glob("step-*")
    assert int(saved.name.removeprefix("step-")) == len(lines(folder / "logs" / "samples.jsonl"))
    assert "To go on:" in (tmp_path / "log").read_text()
