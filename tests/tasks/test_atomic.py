"""Files that appear whole or not at all; temporary folders, gone with their process or the next."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import atomic
from tasks.atomic import staged, sweep
from tests.cli import environment

PROGRAM = """
import sys, time
from pathlib import Path
from tasks.atomic import staged
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


def test_a_file_is_replaced_whole_and_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ("n" * 255)
    path.write_text("old")
    flushed: list[tuple[int, str]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append((os.fstat(descriptor).st_ino, path.read_text()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    atomic.write_json(path, {"a": 1})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    # the file while the old one stands there, the folder once the new one does
    assert flushed == [
        (path.stat().st_ino, "old"),
        (tmp_path.stat().st_ino, path.read_text()),
    ]


def test_a_file_stays_where_writing_fails(tmp_path: Path) -> None:
    path, absent = tmp_path / "a.json", tmp_path / "b.json"
    path.write_text("old")
    for each in (path, absent):
        with pytest.raises(KeyError), atomic.replacing(each) as file:
            file.write(b"half")
            raise KeyError
    with pytest.raises(TypeError):
        atomic.write_json(path, object())
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "old"


def test_a_new_file_has_the_permissions_of_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "usual", "a")
        with atomic.replacing(tmp_path / "private", 0o600) as file:
            file.write(b"a")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"usual": 0o640, "private": 0o600}


def test_a_folder_replaces_one_and_a_killed_process_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace = tmp_path / "made", Path.replace

    def put(text: str) -> None:
        with staged(tmp_path) as folder:
            (folder / "new" / "deep").mkdir(parents=True)
            (folder / "new" / "deep" / "x").write_text(text)
            atomic.put_in_place(folder / "new", target)

    def dies(self: Path, other: Path) -> Path:
        if other == target:
            raise KeyboardInterrupt
        return replace(self, other)

    put("first")
    put("second")
    assert list(tmp_path.iterdir()) == [target]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", dies)
        put("third")
    assert not target.exists()
    atomic.put_back(tmp_path)
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "deep" / "x").read_text() == "second"


def test_who_has_a_folder_locked_is_waited_for_or_not(tmp_path: Path) -> None:
    first = atomic.lock_folder(tmp_path, wait=False)
    assert first is not None
    with pytest.raises(BlockingIOError):
        atomic.lock_folder(tmp_path, wait=False)
    os.close(first)
    second = atomic.lock_folder(tmp_path, wait=True)
    assert second is not None
    os.close(second)
    (tmp_path / "file").touch()
    assert atomic.lock_folder(tmp_path / "file", wait=False) is None
