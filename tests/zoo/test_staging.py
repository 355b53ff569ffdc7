"""Temporary folders: gone with their process, whatever ends it, or with the next one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import environment
from zoo.staging import staged, sweep

PROGRAM = """
import sys, time
from pathlib import Path
from zoo.staging import staged
with staged(Path(sys.argv[1])) as outer, staged(outer) as inner:
    (inner / "half").write_text("of a file")
    print(outer.name, flush=True)
    time.sleep(60)
"""


def _at_work(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that has a temporary folder there."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    return process, folder / process.stdout.readline().strip()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    process, staging = _at_work(tmp_path)
    assert staging.is_dir()
    process.send_signal(signum)
    assert process.wait(30) == (128 + signum if signum == signal.SIGTERM else -signum)
    assert not list(tmp_path.iterdir())


def test_the_next_one_removes_what_a_killed_one_left_and_no_other(tmp_path: Path) -> None:
    living, theirs = _at_work(tmp_path)
    killed, left = _at_work(tmp_path)
    killed.kill()
    killed.wait(30)
    (tmp_path / ".incoming-old").mkdir()
    assert left.is_dir()
    with staged(tmp_path) as staging:
        assert sorted(tmp_path.iterdir()) == sorted([staging, theirs])
        sweep(tmp_path)
        assert staging.is_dir() and (theirs / next(theirs.iterdir()).name / "half").exists()
    living.terminate()
    assert living.wait(30) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_a_link_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("precious")
    (tmp_path / ".incoming-link").symlink_to("precious")
    (tmp_path / ".incoming-file").write_text("no folder")
    with staged(tmp_path):
        pass
    assert (tmp_path / "precious" / "file").exists() and (tmp_path / ".incoming-file").exists()
    assert (tmp_path / ".incoming-link").readlink() == Path("precious")


def test_a_folder_that_was_moved_into_place_stays(tmp_path: Path) -> None:
    with staged(tmp_path) as folder:
        (folder / "x").write_text("y")
        folder.replace(tmp_path / "made")
    assert (tmp_path / "made" / "x").read_text() == "y"


def test_folders_that_were_made_for_nothing_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), staged(tmp_path / "a" / "b"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    with staged(tmp_path / "a" / "b") as folder:
        folder.replace(tmp_path / "a" / "b" / "made")
    assert (tmp_path / "a" / "b" / "made").is_dir()
    (tmp_path / "empty").mkdir()
    with staged(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()
