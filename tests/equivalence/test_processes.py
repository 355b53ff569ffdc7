"""One process and two gloo processes train alike, and a run may change from one to the other."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cases import Case
from tests.cli import environment, run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune
from tests.processes import run_ranks

FLAGS = (*EXACT, "--num_train_epochs", 2, "--learning_rate", 1e-3)


@pytest.fixture(scope="module")
def alone(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs on one process."""
    return case.finetune(tmp_path_factory.mktemp("alone") / "run", *FLAGS)


def _same(run: Run, alone: Run) -> None:
    assert run.steps == alone.steps
    np.testing.assert_allclose(run.losses, alone.losses, atol=1e-5, rtol=0)
    for mine, theirs in zip(run.records("validation"), alone.records("validation"), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


def _two(case: Case, tmp_path: Path, *more: object) -> Run:
    argv = case.arguments(tmp_path / "two", *FLAGS, "--per_device_train_batch_size", 16, *more)
    run_ranks(argv, tmp_path / "logs", module=case.module)
    return Run(tmp_path / "two")


def test_two_processes(alone: Run, case: Case, tmp_path: Path) -> None:
    _same(_two(case, tmp_path), alone)


@pytest.mark.parametrize("case", ["text", "speech"], indirect=True)
def test_two_processes_with_uneven_passes(alone: Run, case: Case, tmp_path: Path) -> None:
    _same(_two(case, tmp_path, "--token_budget", case.small_budget), alone)


CLIPPED = ("--max_grad_value", 0.003, "--max_grad_norm", 0.01, "--optim", "sgd", "--nesterov")
CLIPPED += ("--lr_scheduler_type", "plateau", "--lr_plateau_patience", 0, "--learning_rate", 0.1)


@pytest.mark.parametrize("case", ["text"], indirect=True)
@pytest.mark.parametrize(
    "more",
    [pytest.param((), id="ddp"), pytest.param(("--fsdp",), id="fsdp", marks=pytest.mark.slow)],
)
def test_two_processes_clip_values_alike(
    case: Case, tmp_path: Path, more: tuple[object, ...]
) -> None:
    """Of the gradients of the whole step, however they are spread over ranks."""
    usual = case.finetune(tmp_path / "one", *FLAGS, *CLIPPED)
    free = case.finetune(tmp_path / "free", *FLAGS, *CLIPPED, "--max_grad_value", 0)
    assert free.losses != usual.losses, "it clips"
    run = _two(case, tmp_path, *CLIPPED, *more)
    assert [one["learning_rate"] for one in run.records("train")] == [
        one["learning_rate"] for one in usual.records("train")
    ]
    _same(run, usual)


@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_two_processes_find_the_same_mistakes(alone: Run, case: Case, tmp_path: Path) -> None:
    words = ["evaluate", str(alone.folder), "--max_eval_samples", "21", "--mistakes", "3"]
    words += ["--per_device_eval_batch_size", "4"]  # ranks have 11 and 10: one repeats a sample
    run_ranks(words, tmp_path, module=case.module)
    others = [_mistakes((tmp_path / f"rank{rank}.log").read_text()) for rank in range(2)]
    mine = _mistakes(run_cli(case.module, *words).out)
    assert len(mine) == 4 and others == [mine, []], "a header and three rows, from one rank"


def _mistakes(out: str) -> list[str]:
    """The lines of the table of mistakes."""
    below = out.partition("worst mistakes\n")[2].splitlines()
    return [line for line in below if line.startswith("loss ") or line[:1].isdigit()]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_two_processes_through_torchrun(alone: Run, case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    flags = (*FLAGS, "--per_device_train_batch_size", 16)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    done = subprocess.run(
        [sys.executable, *launcher, MODEL, *case.arguments(folder, *flags)],
        env=environment({"OMP_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _same(Run(folder), alone)


def test_an_epoch_whose_last_step_is_smaller_than_the_ranks(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """Nobody waits for a rank that has nothing to do, and no sample is counted twice."""
    small = (*FLAGS, "--max_train_samples", 33, "--max_eval_samples", 21)
    one = finetune(tiny_bert, reviews, tmp_path / "one", *small)
    assert [len(ids) for ids in one.steps] == [32, 1, 32, 1]
    flags = (*small, "--per_device_train_batch_size", 16, "--per_device_eval_batch_size", 4)
    run_ranks(arguments(tiny_bert, reviews, tmp_path / "two", *flags), tmp_path / "logs")
    _same(Run(tmp_path / "two"), one)


@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_begun_on_one_and_finished_on_two(alone: Run, case: Case, tmp_path: Path) -> None:
    """Batch 32 on one process, then batch 16 on two and 8 on two: every sample once, in order."""
    folder = tmp_path / "run"
    begun = case.finetune(folder, *FLAGS, "--save_steps", 3, "--save_total_limit", 9)
    assert begun.steps == alone.steps
    for path in (folder / "state").glob("step-*"):
        if path.name > "step-00000003":  # as if it had been killed after the third step
            shutil.rmtree(path)
    flags = (*FLAGS, "--save_total_limit", 9, "--resume", "--per_device_train_batch_size", 16)
    run_ranks(case.arguments(folder, *flags), tmp_path / "logs")
    _same(Run(folder), alone)
    for path in (folder / "state").glob("step-*"):
        if path.name > "step-00000003":
            shutil.rmtree(path)
    run_ranks(case.arguments(folder, *flags[:-1], 8), tmp_path / "again")
    sizes = [len(ids) for ids in Run(folder).steps]
    assert sizes[:3] == [32, 32, 32] and set(sizes[3:]) == {16}
    assert [i for ids in Run(folder).steps for i in ids] == [i for ids in alone.steps for i in ids]
