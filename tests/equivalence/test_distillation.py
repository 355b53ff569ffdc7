"""Learning from a teacher through the command line: every modality, cut, killed and in ranks."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import cases
from tests.finetuning import Run
from tests.processes import run_ranks

LEARN = ("--distill_alpha", 0.7, "--distill_hidden", 0.3, "--max_steps", 6)
LOGGED = ("loss", "label_loss", "teacher_loss", "hidden_loss")


@pytest.fixture(scope="module")
def teacher(case: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the student's shape, trained a little."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    return case.finetune(folder, *case.exact, "--max_steps", 8, "--seed", 1).folder


def _same(run: Run, other: Run) -> None:
    assert run.steps == other.steps
    for mine, theirs in zip(run.records("train"), other.records("train"), strict=True):
        np.testing.assert_allclose(
            [mine[name] for name in LOGGED], [theirs[name] for name in LOGGED], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(
    "case", cases.params("segmentation", "detection", "density", "diffusion"), indirect=True
)
def test_cut_and_killed(case: cases.Case, teacher: Path, tmp_path: Path) -> None:
    """One pass of 32, four of 8, uneven ones, and a run that goes on after its third step, between
    two records of its log."""
    flags = (*case.exact, *LEARN, "--teacher", teacher, "--logging_steps", 2)
    whole = case.finetune(tmp_path / "whole", *flags, "--save_steps", 3)
    assert len(whole.losses) == 3
    cut = ("--per_device_train_batch_size", 8, "--gradient_accumulation_steps", 4)
    _same(case.finetune(tmp_path / "cut", *flags, *cut), whole)
    _same(case.finetune(tmp_path / "uneven", *flags, "--token_budget", case.small_budget), whole)

    records, weights = whole.records("train"), whole.weights()
    for path in (tmp_path / "whole" / "state").glob("step-*"):
        if path.name > "step-00000003":  # as if it had been killed after the third step
            shutil.rmtree(path)
    resumed = case.finetune(tmp_path / "whole", *flags, "--save_steps", 3, "--resume")
    for name in (*LOGGED, "grad_norm"):
        assert [r[name] for r in resumed.records("train")] == [r[name] for r in records]
    assert all(np.array_equal(resumed.weights()[name], w) for name, w in weights.items())


@pytest.mark.parametrize("case", ["speech"], indirect=True)
def test_two_processes(case: cases.Case, teacher: Path, tmp_path: Path) -> None:
    flags = (*case.exact, *LEARN, "--teacher", teacher)
    alone = case.finetune(tmp_path / "alone", *flags)
    argv = case.arguments(tmp_path / "two", *flags, "--per_device_train_batch_size", 16)
    run_ranks(argv, tmp_path / "logs", module=case.module)
    _same(Run(tmp_path / "two"), alone)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["text", "vision"], indirect=True)
def test_bf16(case: cases.Case, teacher: Path, tmp_path: Path) -> None:
    """bf16 weights, and autocast: each near fp32."""
    flags = ("--dropout", 0, *LEARN, "--max_steps", 3, "--teacher", teacher)
    exact = case.finetune(tmp_path / "fp32", *flags, "--dtype", "fp32")
    for name, more in (("weights", ()), ("autocast", ("--no-speedups",))):
        run = case.finetune(tmp_path / name, *flags, "--dtype", "bf16", *more)
        np.testing.assert_allclose(run.losses, exact.losses, rtol=0.1)
