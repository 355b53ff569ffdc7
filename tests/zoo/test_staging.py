"""What a killed process leaves goes with the next use of the folder, and no more than that."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli import environment
from zoo.staging import staged, sweep

HOLDS = """
import sys, time
from pathlib import Path
from zoo.staging import staged
with staged(Path(sys.argv[1])) as folder:
    (folder / "weights").write_text("half")
    print(folder.name, flush=True)
    time.sleep(60)
"""


def test_a_killed_process_and_a_living_one(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout
    theirs = tmp_path / process.stdout.readline().strip()
    with staged(tmp_path) as ours:
        assert (theirs / "weights").read_text() == "half"
        sweep(tmp_path)
        assert ours.is_dir() and theirs.is_dir()
    assert not ours.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (theirs / "weights").exists()
    with staged(tmp_path) as ours:
        assert list(tmp_path.iterdir()) == [ours]
    assert list(tmp_path.iterdir()) == []


def test_links_and_files_of_that_name_are_left(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")
    (tmp_path / ".incoming-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".incoming-file").write_text("a file")
    with staged(tmp_path):
        assert (tmp_path / "elsewhere" / "mine").read_text() == "mine"
    assert (tmp_path / ".incoming-file").exists() and (tmp_path / ".incoming-link").is_symlink()


def test_a_folder_that_was_moved_into_place_stays(tmp_path: Path) -> None:
    with staged(tmp_path) as folder:
        (folder / "x").write_text("y")
        folder.replace(tmp_path / "made")
    assert (tmp_path / "made" / "x").read_text() == "y"
