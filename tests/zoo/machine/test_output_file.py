"""Output that a user names: replaced as a whole, or written to where it is a device or a link."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tasks.errors import UserError
from zoo.machine import output_file, places
from zoo.store import append_only

UNLESS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def write(path: Path, text: str = "new\n") -> None:
    with output_file.replacing_text(path, "--output") as file:
        file.write(text)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        places.check_file("--output", path)
    with pytest.raises(UserError):
        write(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / ("n" * 250 + ".csv")
    write(path, "中文\r\n")
    assert path.read_bytes() == "中文\r\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_stays_as_it_was_where_anything_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail() -> None:
        with output_file.replacing_text(path, "--output") as file:
            file.write("new")
            assert path.read_text() == "old"
            raise UserError("broken")

    with pytest.raises(UserError, match="broken"):
        fail()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_permissions_are_kept_and_new_files_have_the_usual_ones(tmp_path: Path) -> None:
    private, new = tmp_path / "private", tmp_path / "new"
    private.write_text("old")
    private.chmod(0o600)
    write(private)
    write(new)
    (tmp_path / "usual").touch()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600 and private.read_text() == "new\n"
    assert new.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("there", [True, False], ids=["file", "dangling"])
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path, there: bool) -> None:
    target, second, link = tmp_path / "deep" / "real", tmp_path / "second", tmp_path / "link"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    second.symlink_to("deep/real")
    link.symlink_to(second)
    write(link)
    assert link.is_symlink() and second.is_symlink() and not target.is_symlink()
    assert target.read_text() == "new\n" == link.read_text()


def test_a_device_and_a_pipe_are_written_to(tmp_path: Path) -> None:
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write(pipe)
    reader.join(10)
    assert found == ["new\n"] and stat.S_ISFIFO(pipe.stat().st_mode)
    # a terminal of our own: a fault would turn /dev/null into a file for the whole machine
    ours, other = os.openpty()
    device, link = Path(os.ttyname(other)), tmp_path / "link"
    link.symlink_to(device)
    write(link)
    assert os.read(ours, 100) == b"new\r\n"
    assert stat.S_ISCHR(device.stat().st_mode) and link.is_symlink()
    assert output_file.is_stream(pipe, "--output") and output_file.is_stream(link, "--output")
    os.close(ours)
    os.close(other)


def test_an_open_file_is_gone_on_with(tmp_path: Path) -> None:
    """As `>> log` and `>(command)` have it: what stands there already stays."""
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("a") as file:
        name = Path(f"/dev/fd/{file.fileno()}")
        assert output_file.is_stream(name, "--output")
        write(name)
        os.fstat(file.fileno())  # it is still open
    assert log.read_text() == "before\nnew\n"


def test_what_can_not_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert "is a folder" in refusal(tmp_path)
    assert "file is a file, and no folder" in refusal(tmp_path / "file" / "deeper" / "a.csv")
    assert "a link that leads to no file" in refusal(tmp_path / "loop")
    assert "File name too long" in refusal(tmp_path / ("x" * 300))
    assert "no such file open" in refusal(Path("/dev/fd/9999"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


@UNLESS_ROOT
def test_what_is_read_only_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("precious")
    path.chmod(0o444)
    assert "may not be written to" in refusal(path)
    tmp_path.chmod(0o555)
    assert "nothing may be written to" in refusal(tmp_path / "b.csv")
    tmp_path.chmod(0o755)
    assert path.read_text() == "precious"


def test_lines_are_added_to_a_pipe_as_to_a_file() -> None:
    reading, writing = os.pipe()
    for number in range(2):
        append_only.append(Path(f"/dev/fd/{writing}"), f"{number}\n")
    os.close(writing)
    with os.fdopen(reading) as file:
        assert file.read() == "0\n1\n"
