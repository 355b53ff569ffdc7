"""A wheel, installed into an environment of its own outside the checkout, does what the checkout
does: it holds every package and every file that the code reads."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import ROOT

PACKAGES = ("bench", "tasks", "tools", "zoo")
HELD = (*("tools/cards/hub_rules.json", "bench/report/style.css", "bench/report/script.js"),)
HELD += ("bench/suites/smoke.yaml", "tasks/metrics/modules/accuracy.py", "zoo/py.typed")
HELD += ("zoo/train/methods/args.py", "tasks/speech/decoding/ctc.py", "tasks/py.typed")
HELD += ("zoo/serve/page/index.html", "zoo/serve/page/page.js", "zoo/serve/page/examples/yes.wav")


def _run(*words: object, cwd: Path, **variables: str) -> str:
    """Runs a program that knows nothing of the checkout; fails where it does."""
    hidden = ("PYTHONPATH", "PYTHONHOME")
    env = {name: value for name, value in os.environ.items() if name not in hidden} | variables
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools writes into the folder it builds."""
    for name, least in (("pip", 22), ("setuptools", 77)):
        if _major(name) < least:
            pytest.skip(f"no {name} here, or one before {least}")
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.jsonl", "models")
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    flags = ("-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    _run(sys.executable, "-m", "pip", "wheel", *flags, folder / "source", cwd=folder)
    (built,) = folder.glob("zoo-*.whl")
    return built


def _major(package: str) -> int:
    try:
        return int(importlib.metadata.version(package).partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel, which borrows its libraries
    from this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    flags = ("-q", "--no-deps", "--no-index", wheel)
    pip = (sys.executable, "-m", "pip", "--python", python, "install", *flags)
    _run(*pip, cwd=folder.parent)
    (site,) = folder.glob("lib/python*/site-packages")
    # a path in a .pth file is searched, but its own .pth files (an editable install) are not read
    (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in _libraries()))
    return folder / "bin"


def _libraries() -> Iterator[Path]:
    for path in map(Path, sys.path):
        if path.name in ("site-packages", "dist-packages") and path.is_dir():
            yield path


def test_it_holds_all_packages_and_what_they_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*.py")
    }
    assert modules <= names and set(HELD) <= names
    ours = {name.partition("/")[0] for name in names}
    assert ours - set(PACKAGES) == {next(one for one in ours if one.endswith(".dist-info"))}


@pytest.mark.slow
def test_the_command_works_there(installed: Path, tmp_path: Path) -> None:
    where = "import zoo, tasks, bench, tools; print(zoo.__file__)"
    assert str(installed.parent) in _run(installed / "python", "-c", where, cwd=tmp_path)
    assert "cnn_cls" in _run(installed / "zoo", "list", cwd=tmp_path)
    assert _run(installed / "zoo", "--help", cwd=tmp_path).startswith("usage: zoo VERB")
    words = ("finetune", "cnn_cls", "--max_steps", 4, "--widths", 8, "--report_to", "none")
    out = _run(installed / "zoo", *words, cwd=tmp_path)
    assert "accuracy" in out and (tmp_path / "runs" / "cnn_cls" / "zoo.json").is_file()
    facts = (tmp_path / "runs" / "cnn_cls" / "evidence.jsonl").read_text().splitlines()
    first = json.loads(facts[0])
    assert first["command"].startswith("python -m zoo finetune cnn_cls --max_steps 4")
    assert "commit" not in first
    assert "cnn_cls" in _run(installed / "zoo", "runs", cwd=tmp_path)
    picture = "from PIL import Image; Image.new('L', (8, 8), 200).save('photo.png')"
    _run(installed / "python", "-c", picture, cwd=tmp_path)
    said = _run(installed / "zoo", "predict", "runs/cnn_cls", "photo.png", cwd=tmp_path)
    assert set(json.loads(said)) >= {"image", "label", "score"}
    assert "usage: python -m tools.cards" in _run(
        installed / "python", "-m", "tools.cards", "--help", cwd=tmp_path
    )
