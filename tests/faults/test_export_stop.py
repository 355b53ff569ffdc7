"""Export stopped by Ctrl-C, SIGTERM or kill -9, and two at once: no half of an artifact is left."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli import run_cli
from tests.processes import start
from zoo.runtimes import artifacts, pt2

MODEL = "zoo.vision.cnn_cls"


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cnn_cls")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("artifacts", "state", "logs"))
    return folder


def _stop(run: Path, signum: signal.Signals, log: Path) -> int | None:
    """Exports in a process of its own, and sends it a signal once it is at work."""
    process = start(["export", str(run), "--runtime", "pt2"], log, module=MODEL)
    end = time.monotonic() + 120
    while not list(run.glob("artifacts/.incoming-*/*")):
        assert process.is_alive() and time.monotonic() < end, log.read_text()
        time.sleep(0.01)
    os.kill(process.pid, signum)
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left(run: Path, tmp_path: Path, signum: signal.Signals) -> None:
    before = sorted(run.rglob("*"))
    log = tmp_path / "log"
    assert _stop(run, signum, log) == 128 + signum, log.read_text()
    assert sorted(run.rglob("*")) == before
    assert "Traceback" not in log.read_text()


def test_what_kill_9_leaves_goes_with_the_next(run: Path, tmp_path: Path) -> None:
    assert _stop(run, signal.SIGKILL, tmp_path / "log") == -signal.SIGKILL
    (left,) = (run / "artifacts").iterdir()
    with artifacts.workshop(run) as shop:
        assert list((run / "artifacts").iterdir()) == [shop] != [left]
    assert not (run / "artifacts").exists()


def test_two_at_once(run: Path) -> None:
    with artifacts.workshop(run) as shop:
        done = run_cli(MODEL, "export", run, "--runtime", "pt2")
        assert done.code == 2 and "another export or quantize is at work" in done.err
        assert shop.is_dir()


def test_sigterm_is_as_before_after_the_work(run: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with artifacts.workshop(run):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_program_that_cannot_be_loaded_is_one_line(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise RuntimeError("Missing operator: aten::sort.values\nand more")

    monkeypatch.setattr(pt2, "load", missing)
    done = run_cli(MODEL, "export", run, "--runtime", "pt2")
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "can't be exported to pt2: RuntimeError: Missing operator: aten::sort" in done.err
    assert not (run / "artifacts").exists()
