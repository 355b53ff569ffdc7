"""Steps as programs of their own, and how they end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import environment
from zoo.ship import programs
from zoo.ship.programs import Running, Step, run

PROGRAM = "tests.zoo.ship.program"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LOOK_S", 0.05)


def test_what_is_printed_is_kept(tmp_path: Path) -> None:
    printed = tmp_path / "logs" / "a step.txt"
    for _ in range(2):
        ended = run(Step(PROGRAM, ("greet",)), printed)
        assert ended.code == 0 and ended.printed == f"greet in {Path.cwd()}\n"
    assert printed.read_text() == 2 * ended.printed


def test_a_failure_says_why(tmp_path: Path) -> None:
    ended = run(Step(PROGRAM, ("fail",)), tmp_path / "out.txt")
    assert ended.code == 2 and ended.last == "the data is wrong"


@pytest.mark.parametrize(
    ("way", "name"), [(Running.stop, "SIGTERM"), (Running.interrupt, "SIGINT")]
)
def test_it_is_stopped_from_a_look(way: object, name: str, tmp_path: Path) -> None:
    def look(running: Running) -> None:
        if "process" in (tmp_path / "out.txt").read_text():
            way(running)  # type: ignore[operator]

    ended = run(Step(PROGRAM, ("wait",)), tmp_path / "out.txt", look)
    assert ended.code == 128 + signal.Signals[name] and ended.last == f"stopped by {name}"


def test_ctrl_c_stops_it_first(tmp_path: Path) -> None:
    def look(running: Running) -> None:
        if "process" in (tmp_path / "out.txt").read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Step(PROGRAM, ("wait",)), tmp_path / "out.txt", look)
    assert "stopped by SIGTERM" in (tmp_path / "out.txt").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_who_started_it(signum: int, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    lines = (
        "from pathlib import Path\nfrom zoo.ship.programs import Step, run\n"
        f"run(Step({PROGRAM!r}, ('wait',)), Path({str(out)!r}))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", lines], env=environment())
    _until(lambda: out.is_file() and "process" in out.read_text())
    parent.send_signal(signum)
    assert parent.wait(30) == (-signum if signum == signal.SIGKILL else 128 + signum)
    _until(lambda: "stopped by SIGTERM" in out.read_text())


def _until(holds: object, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_step_is_typed_as_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step("zoo", ("finetune", "rnn_cls", "--data", "my reviews.csv"))
    assert str(step) == "python -m zoo finetune rnn_cls --data 'my reviews.csv'"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/zoo"])
    assert str(step) == "zoo finetune rnn_cls --data 'my reviews.csv'"
    assert str(Step("bench", ("decide", "runs/x"))) == "python -m bench decide runs/x"
