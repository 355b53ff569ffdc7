"""A folder has one writer: whoever comes second is told whose it is, and harms nothing."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli import environment, run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, lines
from tests.processes import run_ranks, start
from zoo.store.lock import NAME, locked


def _running(argv: list[str], folder: Path, log: Path) -> BaseProcess:
    """A fine-tune that has made its first steps."""
    process = start(argv, log)
    samples = folder / "logs" / "metrics.jsonl"
    end = time.monotonic() + 120
    while not (samples.exists() and samples.read_text().count("\n") > 2):
        assert process.is_alive() and time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    return process


def test_a_living_run_is_not_moved_and_a_dead_one_lets_go(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """With processes that prepare batches, which outlive a killed run by seconds."""
    folder = tmp_path / "run"
    flags = (*EXACT, "--max_steps", 100_000, "--save_steps", 2, "--dataloader_num_workers", 1)
    argv = arguments(tiny_bert, reviews, folder, *flags)
    process = _running(argv, folder, tmp_path / "log")
    try:
        for more in ((), ("--resume",)):
            done = run_cli(MODEL, *argv, *more)
            assert done.code == 2
            (said,) = done.err.splitlines()
            assert f"{folder} is being written by process {process.pid}" in said
        assert process.is_alive() and not folder.with_name("run.1").exists()
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.join(60)
    done = run_cli(MODEL, *argv[:-6], "--max_steps", 1, "--save_steps", 2)
    assert done.code == 0, done.err
    assert f"{folder} held another run: moved to {folder}.1" in done.err
    assert len(Run(folder).steps) == 1 and not (folder / NAME).exists()
    assert len(lines(folder.with_name("run.1") / "logs" / "samples.jsonl")) > 2


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cnn_cls")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


def test_prune_takes_the_same_lock(checkpoint: Path, tmp_path: Path) -> None:
    with locked(tmp_path):
        argv = ("prune", checkpoint, "--output_dir", tmp_path)
        done = run_cli("zoo.vision.cnn_cls", *argv)
    assert done.code == 2
    assert f"{tmp_path} is being written by process {os.getpid()}" in done.err


def test_the_first_rank_holds_it_and_all_end_where_it_cannot(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    argv = arguments(tiny_bert, reviews, folder, *EXACT, "--max_steps", 1)
    with locked(folder):
        said = run_ranks(argv, tmp_path / "logs", code=2)
    assert f"{folder} is being written by process {os.getpid()}" in said
    assert "Traceback" not in said


def test_two_come_at_once_and_one_gets_it(tmp_path: Path) -> None:
    """Four processes want one folder until each has had it 50 times: never two have it, and no file
    is left."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tasks.errors import UserError\n"
        "from zoo.store.lock import locked\n"
        "folder, own = Path(sys.argv[1]), Path(sys.argv[1]) / 'inside'\n"
        "had = 0\n"
        "while had < 50:\n"
        "    try:\n"
        "        with locked(folder):\n"
        "            own.touch(exist_ok=False)\n"
        "            own.unlink()\n"
        "            print('had', flush=True)\n"
        "            had += 1\n"
        "    except UserError as error:\n"
        "        assert 'is being written by' in str(error)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in ended] == [""] * 4
    assert sum(out.count("had") for out, _ in ended) == 200
    assert not list(tmp_path.iterdir())


def test_what_a_fork_copies_does_not_keep_the_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if child == 0:  # it lives until the pipe is closed
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    with locked(tmp_path):
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.close(writing)
    assert os.waitpid(child, 0) == (child, 0)


def test_a_folder_made_for_a_run_that_never_began_goes_away(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "deep" / "run"
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, "--label_column", "mood"))
    assert done.code == 2 and "mood" in done.err
    assert not list(tmp_path.iterdir())


def test_who_exports_there_is_named(checkpoint: Path) -> None:
    from zoo.runtimes import artifacts

    with artifacts.workshop(checkpoint):
        done = run_cli("zoo.vision.cnn_cls", "export", checkpoint, "--runtime", "pt2")
    assert done.code == 2 and f"(process {os.getpid()})" in done.err
