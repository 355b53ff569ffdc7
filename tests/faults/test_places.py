"""Places that can't be read or written: one sentence and exit code 2, in every program.

Neither root nor anybody else can write there, so permissions have no part in it; it is told before
the work.
"""

import importlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli import Done, environment
from zoo.machine import places

MODEL = "zoo.vision.cnn_cls"
NAMES = {"zoo": "zoo", MODEL: "cnn_cls", "bench": "bench"}
NAMES |= {"tools.cards": "cards", "tools.hub": "hub"}


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder with paths that nothing can be written to, or read from."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "nowhere").symlink_to("/proc/none")
    return tmp_path


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cnn_cls")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


@pytest.fixture
def read_only(checkpoint: Path, tmp_path: Path) -> Iterator[Path]:
    """A checkpoint on a file system that is mounted to be read."""
    place = tmp_path / "mounted"
    place.mkdir()
    for words in (["--bind", str(checkpoint), str(place)], ["-o", "remount,bind,ro", str(place)]):
        try:
            subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"nothing can be mounted here: {getattr(error, 'stderr', error)}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _run(capsys: pytest.CaptureFixture[str], program: str, *argv: object) -> Done:
    words = [str(word) for word in argv]
    if program == MODEL:
        from zoo.cli import verbs

        code = verbs.main(importlib.import_module(program).ENTRY, words)
    elif program == "zoo":
        code = importlib.import_module("zoo.__main__").main(words)
    else:
        code = importlib.import_module(f"{program}.cli").main(words)
    return Done(code, *capsys.readouterr())


def _one_line(done: Done, name: str, *parts: str) -> None:
    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert line.startswith(f"{name}: ") and all(part in line for part in parts), line


WRITTEN = {
    "/proc/x": "No such file or directory",
    "loop": "Too many levels of symbolic links",
    "loop/x": "Too many levels of symbolic links",
    "file/x": "Not a directory",
    "n" * 300: "File name too long",
    "nowhere/x": "No such file or directory",
}


@pytest.mark.parametrize("name", WRITTEN, ids=lambda name: name[:20])
@pytest.mark.parametrize(
    ("program", "argv"),
    [
        (MODEL, ["finetune", "--output_dir"]),
        (MODEL, ["predict", "no checkpoint", "--image", "x", "--output"]),
        ("bench", ["run", "minilm", "--out"]),
        ("bench", ["compare", "minilm", "--out"]),
        ("bench", ["decide", "no checkpoint", "--picture"]),
        ("bench", ["peers", "no checkpoint", "--out"]),
        ("bench", ["replay", "minilm", "--traces"]),
        ("bench", ["trace", "minilm", "--out"]),
        ("bench", ["report", "no results", "--out"]),
        ("bench", ["report", "no results", "--markdown"]),
        ("bench", ["report", "no results", "--pictures"]),
        ("tools.hub", ["pull", "a/b", "--output_dir"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else value,
)
def test_where_nothing_can_be_written(
    bad: Path,
    capsys: pytest.CaptureFixture[str],
    program: str,
    argv: list[str],
    name: str,
) -> None:
    """Told before anything else is looked at."""
    before = sorted(bad.iterdir())
    done = _run(capsys, program, *argv, bad / name)
    _one_line(done, NAMES[program], argv[-1], name, WRITTEN[name])
    assert sorted(bad.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["loop", "n" * 300, "file/x", "/proc/self/mem"], ids=lambda n: n[:9]
)
@pytest.mark.parametrize(
    ("program", "argv"),
    [
        (MODEL, ["evaluate", "{}"]),
        (MODEL, ["predict", "{}", "--image", "x"]),
        (MODEL, ["export", "{}", "--runtime", "onnx"]),
        (MODEL, ["quantize", "{}"]),
        (MODEL, ["prune", "{}"]),
        (MODEL, ["finetune", "--config", "{}"]),
        (MODEL, ["finetune", "--data", "{}", "--output_dir", "run"]),
        (MODEL, ["finetune", "--qat", "{}"]),
        ("zoo", ["info", "{}"]),
        ("zoo", ["verify", "{}"]),
        ("bench", ["run", "{}", "--out", "o.jsonl"]),
        ("bench", ["compare", "--results", "{}", "{}"]),
        ("bench", ["decide", "{}"]),
        ("bench", ["report", "{}"]),
        ("bench", ["run", "--suite", "{}", "--out", "o.jsonl"]),
        ("tools.cards", ["{}"]),
        ("tools.hub", ["push", "{}", "a/b", "--dry_run"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else value,
)
def test_what_cannot_be_read(
    bad: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    argv: list[str],
    name: str,
) -> None:
    monkeypatch.chdir(bad)
    done = _run(capsys, program, *(word.format(bad / name) for word in argv))
    _one_line(done, NAMES[program])


def test_a_cache_that_cannot_be_written(
    bad: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(bad / "file" / "cache"))
    for argv in (["finetune"], ["evaluate", "x"], ["prune", "x"], ["quantize", "x"]):
        _one_line(_run(capsys, MODEL, *argv), "cnn_cls", "ZOO_CACHE", "Not a directory")
    assert not (bad / "runs").exists()


@pytest.mark.parametrize(
    ("program", "argv"),
    [
        (MODEL, ["export", "{}", "--runtime", "pt2"]),
        (MODEL, ["quantize", "{}"]),
        ("bench", ["decide", "{}"]),
        (MODEL, ["prune", "{}", "--output_dir", "{}/pruned"]),
        (MODEL, ["finetune", "--output_dir", "{}"]),
        ("tools.cards", ["{}"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_checkpoint_that_can_only_be_read(
    read_only: Path, capsys: pytest.CaptureFixture[str], program: str, argv: list[str]
) -> None:
    done = _run(capsys, program, *(word.format(read_only) for word in argv))
    _one_line(done, NAMES[program], str(read_only), "Read-only file system")


@pytest.mark.parametrize("program", ["zoo", MODEL, "bench", "tools.cards"])
def test_output_that_does_not_fit(program: str) -> None:
    """Standard output on a full disk."""
    if not Path("/dev/full").is_char_device():
        pytest.skip("this machine has no /dev/full")
    argv = ["list"] if program == "zoo" else []
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", program, *argv],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{NAMES[program]}: can't write: No space left on device")


def test_a_limit_on_the_size_of_files(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """EFBIG in the middle of training, from a writer of safetensors' own."""
    argv = ("finetune", "--data", images, "--output_dir", tmp_path / "run", "--max_steps", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        done = _run(capsys, MODEL, *argv, "--report_to", "none")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.code == 2
    last = done.err.splitlines()[-1]
    assert "can't save" in last and "File too large" in last
    assert not list(tmp_path.rglob(".incoming-*"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: OSError(5, os.strerror(5), "a"), "can't read or write a: Input/output error; the"),
        (lambda: OSError("no number"), "can't read or write: no number"),
        (lambda: OSError(28, os.strerror(28), "a", None, "b"), "can't write a -> b: No space"),
        (lambda: OSError(122, os.strerror(122)), "can't write: Disk quota exceeded"),
        (lambda: TimeoutError(), "can't read or write: TimeoutError"),
    ],
)
def test_words_for_what_cannot_be_made_here(make: Callable[[], OSError], said: str) -> None:
    assert places.explain(make(), "try again").startswith(said)


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    places.check_folder("--x", tmp_path / "a" / "b")
    places.check_file("--x", tmp_path / "a" / "b.csv")
    places.check_file("--x", Path("/dev/null"))
    assert not list(tmp_path.iterdir())
