"""Wheels that are used without being installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.gpu_check import wheels
from tasks.errors import UserError

MINOR = sys.version_info.minor


@pytest.fixture(autouse=True)
def imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is light."""
    monkeypatch.setattr(wheels, "IMPORTED", ("tyro",))


def _wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return folder


def test_they_are_there_for_children_and_gone_afterwards(tmp_path: Path) -> None:
    files = {
        "carried_one/__init__.py": "VALUE = 7",
        "carried_one-1.dist-info/METADATA": "Name: carried-one\nVersion: 1",
        "carried_one-1.data/purelib/carried_two.py": "VALUE = 8",
        "carried_one-1.data/scripts/run": "not wanted",
    }
    folder = _wheel(tmp_path / "wheels", "carried_one-1-py3-none-any.whl", files)
    before, inherited = list(sys.path), os.environ.get("PYTHONPATH")
    with wheels.used(["--minutes", "8", "--wheels", str(folder)]):
        program = "import carried_one as a, carried_two as b; print(a.VALUE, b.VALUE)"
        said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert said.stdout == "7 8\n", said.stderr
        unpacked = Path(sys.path[0])
        assert unpacked.is_dir() and not list(unpacked.rglob("run"))
    assert (sys.path, os.environ.get("PYTHONPATH")) == (before, inherited)
    assert not unpacked.exists()


def test_a_folder_of_packages_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "carried").mkdir()
    (tmp_path / "carried" / "__init__.py").touch()
    with wheels.used([f"--wheels={tmp_path}"]):
        assert sys.path[0] == str(tmp_path.resolve())
        assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path.resolve())


def test_a_name_that_leads_out_stays_inside(tmp_path: Path) -> None:
    folder = _wheel(tmp_path / "wheels", "evil-1-py3-none-any.whl", {"../../evil.py": "1"})
    wheels.unpack(folder / "evil-1-py3-none-any.whl", tmp_path / "a" / "b")
    assert [path.parent for path in tmp_path.rglob("evil.py")] == [tmp_path / "a" / "b"]


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        (f"a-1-cp3{MINOR}-cp3{MINOR}-manylinux_2_17_x86_64.whl", True),
        ("a-1-cp38-abi3-manylinux_2_17_x86_64.whl", True),
        (f"a-1-cp3{MINOR - 1}-cp3{MINOR - 1}-manylinux_2_17_x86_64.whl", False),
        (f"a-1-cp3{MINOR + 1}-abi3-manylinux_2_17_x86_64.whl", False),
        ("a.whl", False),
    ],
)
def test_for_which_python(tmp_path: Path, name: str, fits: bool) -> None:
    folder = _wheel(tmp_path / "wheels", name, {"a.py": ""})
    if fits:
        with wheels.used(["--wheels", str(folder)]):
            assert (Path(sys.path[0]) / "a.py").is_file()
        return
    with pytest.raises(UserError, match=r"a.*\.whl is"), wheels.used(["--wheels", str(folder)]):
        pass


def test_what_is_no_folder_of_wheels(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "a-1-py3-none-any.whl").write_bytes(b"PK\x03\x04 cut short")
    for folder, said in (("none", "no such"), ("empty", "neither"), ("torn", "damaged")):
        with (
            pytest.raises(UserError, match=said),
            wheels.used(["--wheels", str(tmp_path / folder)]),
        ):
            pass


def test_what_is_neither_installed_nor_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "NEEDED", ("sys", "nobody_has_this"))
    said = r"nobody_has_this: not installed.*--wheels"
    with pytest.raises(UserError, match=said), wheels.used([]):
        pass


def test_a_wheel_that_lacks_what_it_imports(tmp_path: Path) -> None:
    folder = _wheel(tmp_path / "w", "tyro-9-py3-none-any.whl", {"tyro.py": "import not_carried"})
    said = r"--wheels: tyro.* can't be imported: .*No module named 'not_carried'"
    with pytest.raises(UserError, match=said), wheels.used(["--wheels", str(folder)]):
        pass
