"""A disk that fills up during a save: the last good state stays, and the run can go on."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune
from zoo.train.resume import state as states

SIZE = 4 << 20
FLAGS = (*EXACT, "--save_steps", 1, "--learning_rate", 1e-3)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that has room enough."""
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("whole") / "run", *FLAGS)


def _one_line(err: str, *parts: str) -> None:
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("bert_cls: ") and all(part in last for part in parts), last


def test_states_fill_the_disk(small_disk: Path, whole: Run, tiny_bert: Path, reviews: Path) -> None:
    folder = small_disk / "run"
    filler = small_disk / "filler"
    filler.write_bytes(bytes(SIZE - (1200 << 10)))
    argv = arguments(tiny_bert, reviews, folder, *FLAGS)
    done = run_cli(MODEL, *argv, "--save_total_limit", 99)
    assert done.code == 2
    _one_line(done.err, str(folder), "No space left", "--resume")
    found, complaints = states.newest(folder / "state")
    assert found is not None and not complaints and 0 < found.progress["step"] < 8
    assert not list(folder.rglob(".incoming-*"))
    filler.unlink()
    again = run_cli(MODEL, *argv, "--resume")
    assert again.code == 0, again.err
    assert f"going on at step {found.progress['step']}" in again.err
    assert Run(folder).steps == whole.steps and Run(folder).losses == whole.losses
    assert (folder / "model.safetensors").read_bytes() == (
        whole.folder / "model.safetensors"
    ).read_bytes()


def test_the_checkpoint_at_the_root_stays(
    small_disk: Path, whole: Run, tiny_bert: Path, reviews: Path
) -> None:
    """A better model that does not fit must not harm the one that stands there."""
    folder = small_disk / "run"
    shutil.copytree(whole.folder, folder)
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(max(0, free - (64 << 10))))
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    argv = arguments(tiny_bert, reviews, folder, *FLAGS, "--num_train_epochs", 3, "--resume")
    done = run_cli(MODEL, *argv)
    assert done.code == 2
    _one_line(done.err, "No space left", "--resume")
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert after == before
    assert run_cli(MODEL, "predict", folder, "--text", "a wonderful film").code == 0


def test_not_even_a_log_line_fits(small_disk: Path, tiny_bert: Path, reviews: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(SIZE - 4096))
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, small_disk / "run", *FLAGS))
    assert done.code == 2
    _one_line(done.err, "No space left")


@pytest.mark.parametrize("share", [0, 0.2, 0.4, 0.6, 0.75])
def test_a_better_checkpoint_does_not_fit(
    small_disk: Path, whole: Run, tiny_bert: Path, reviews: Path, share: float
) -> None:
    """Neither its first file, nor its last: weights, tokenizer, and zoo.json have writers of their
    own, and only the first says ENOSPC as Python does."""
    folder = small_disk / "run"
    shutil.copytree(whole.folder, folder, ignore=shutil.ignore_patterns("step-00000007"))
    flags = (*EXACT, "--learning_rate", 1e-3, "--save_minutes", 99, "--max_steps", 12)
    flags += ("--eval_strategy", "steps", "--eval_steps", 1, "--logging_steps", 99)
    (small_disk / "logs").write_bytes(bytes(24 << 10))  # room for the log of this run, when gone
    free = shutil.disk_usage(small_disk).free
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    written = (content for name, content in before.items() if name != "evidence.jsonl")
    room = int(share * sum(map(len, written)))
    (small_disk / "filler").write_bytes(bytes(max(0, free - room)))
    (small_disk / "logs").unlink()
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *flags), "--resume")
    assert done.code == 2
    _one_line(done.err, "No space left", "--resume")
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert after == before and not list(folder.rglob(".incoming-*"))
