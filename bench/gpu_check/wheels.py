"""Wheels from a folder, used without being installed: by this process and all that it starts."""

import argparse
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import UserError
from zoo.machine.environment import ROOT

DATA = re.compile(r"[^/]+\.data/(?P<kind>[^/]+)/(?P<path>.+)")
"""What a wheel has for other places than the root (binary distribution format, PyPA)."""
LIBRARIES = ("purelib", "platlib")


NEEDED = ("tyro", "torch", "transformers", "datasets", "evaluate", "accelerate", "psutil", "pytest")
"""What no part does without."""
IMPORTED = ("tyro", "datasets", "evaluate")
"""What comes as wheels on such machines, and imports others that must come, too."""


@contextlib.contextmanager
def used(words: Sequence[str]) -> Iterator[None]:
    """Use the wheels that a command names by --wheels, unpacked into a temporary folder.

    Raises `UserError` as `use` does, and if a needed package is neither installed nor among
    them.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--wheels", type=Path)
    asked = parser.parse_known_args(words)[0].wheels if "--help" not in words else None
    before, inherited = list(sys.path), os.environ.get("PYTHONPATH")
    with contextlib.ExitStack() as stack:
        if asked is not None:
            unpacked = tempfile.TemporaryDirectory(prefix="zoo-wheels-", ignore_cleanup_errors=True)
            stack.callback(_restore, before, inherited)
            use(asked, Path(stack.enter_context(unpacked)))
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(
                f"{', '.join(missing)}: not installed; pip install -e '.[dev]', or, without a "
                "network, --wheels FOLDER with their wheels"
            )
        if asked is not None:
            _must_import(IMPORTED)
        yield


def _must_import(names: Sequence[str]) -> None:
    """Import packages in a new process. Raises `UserError` if one of their imports is missing."""
    program = f"import tasks, {', '.join(names)}"  # ours first: see tasks.torch_extensions
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"--wheels: {' and '.join(names)} can't be imported: {last}")


def _restore(path: list[str], inherited: str | None) -> None:
    sys.path[:] = path
    if inherited is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = inherited


def use(wheels: Path, unpacked: Path) -> None:
    """Unpack a folder of wheels into `unpacked`, and put that first on the import path of this
    process and of its children. A folder without wheels is taken as the packages themselves.

    Raises `UserError` if `wheels` is not such a folder, or a wheel is invalid or for another
    Python.
    """
    if not wheels.is_dir():
        raise UserError(f"--wheels {wheels}: there is no such folder")
    found = sorted(wheels.glob("*.whl"))
    if not found and not any(wheels.glob("*/__init__.py")):
        raise UserError(f"--wheels {wheels} holds neither .whl files nor packages")
    for wheel in found:
        _must_fit(wheel)
        unpack(wheel, unpacked)
    folder = str((unpacked if found else wheels).resolve())
    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))


def unpack(wheel: Path, folder: Path) -> None:
    """Write the packages of a wheel into a folder. Its scripts and headers are left out.

    Raises `UserError` if the file is damaged or not a wheel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if elsewhere := DATA.fullmatch(member.filename):
                    if elsewhere["kind"] not in LIBRARIES:
                        continue
                    member.filename = elsewhere["path"]
                archive.extract(member, folder)  # which drops "..", "/" and drives from names
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise UserError(f"--wheels: {wheel} is damaged: {error}") from None


def _must_fit(wheel: Path) -> None:
    """Raise `UserError` if the name of a wheel says that it is for another Python."""
    parts = wheel.stem.split("-")
    if len(parts) < 5:
        raise UserError(f"--wheels: {wheel.name} is not named as a wheel is")
    python, abi = parts[-3].split("."), parts[-2].split(".")
    major, minor = sys.version_info[:2]
    fitting = {f"py{major}", f"py{major}{minor}", f"cp{major}{minor}"}
    if "abi3" in abi:  # built for an older one, and good for all since
        fitting |= {f"cp{major}{older}" for older in range(2, minor)}
    if not fitting & set(python):
        raise UserError(f"--wheels: {wheel.name} is for another Python than {major}.{minor}")
