"""Semi-supervised training through the command line: every modality, cut and killed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import cases
from tests.cli import run_cli
from tests.finetuning import Run
from tests.processes import run_ranks

REST = ("--max_train_samples", 48, "--unlabeled", "rest", "--unlabeled_ratio", 2)
LEARN = (*REST, "--ssl_threshold", 0.4, "--max_steps", 6)


@pytest.fixture(scope="module", params=["fixmatch", "pseudo"])
def flags(request: pytest.FixtureRequest) -> tuple[object, ...]:
    """Of each kind."""
    return (*LEARN, "--ssl", request.param)


@pytest.fixture(scope="module", params=["text", "vision", "sound"])
def classifier(request: pytest.FixtureRequest) -> cases.Case:
    """Each modality that has one label an example."""
    return cases.made(request, request.param)


def _same(run: Run, other: Run) -> None:
    assert run.steps == other.steps
    np.testing.assert_allclose(run.losses, other.losses, atol=1e-5, rtol=0)


def test_cut_and_killed(classifier: cases.Case, flags: tuple[object, ...], tmp_path: Path) -> None:
    """One pass of 32, four of 8, and a run that goes on after its third step."""
    whole = classifier.finetune(tmp_path / "whole", *classifier.exact, *flags, "--save_steps", 3)
    assert len(whole.losses) == 6
    assert whole.manifest["unlabeled"]["name"] == "rest"
    said = whole.done.err if whole.done else ""
    assert "48 train" in said and " unlabelled" in said
    cut = ("--per_device_train_batch_size", 8, "--gradient_accumulation_steps", 4)
    passes = classifier.finetune(tmp_path / "cut", *classifier.exact, *flags, *cut)
    _same(passes, whole)
    for name in ("mask", "unlabelled_loss"):  # shares of labelled rows, however they are cut
        logged = [[record[name] for record in run.records("train")] for run in (whole, passes)]
        np.testing.assert_allclose(*logged, atol=1e-5, rtol=0)
        assert name in said and min(logged[0]) >= 0
    assert 0 < max(record["mask"] for record in whole.records("train")) <= 1

    first, second = whole.losses, whole.weights()
    states = tmp_path / "whole" / "state"
    for path in states.glob("step-*"):
        if path.name > "step-00000003":  # as if it had been killed after the third step
            shutil.rmtree(path)
    resumed = classifier.finetune(
        tmp_path / "whole", *classifier.exact, *flags, "--save_steps", 3, "--resume"
    )
    assert resumed.losses == first
    assert all(np.array_equal(resumed.weights()[name], w) for name, w in second.items())


@pytest.mark.slow
def test_two_processes(classifier: cases.Case, tmp_path: Path) -> None:
    flags = (*classifier.exact, *LEARN, "--ssl", "fixmatch")
    alone = classifier.finetune(tmp_path / "alone", *flags)
    ranks = (*flags, "--per_device_train_batch_size", 16)
    argv = classifier.arguments(tmp_path / "two", *ranks)
    run_ranks(argv, tmp_path / "logs", module=classifier.module)
    _same(Run(tmp_path / "two"), alone)


def test_unlabelled_rows_change_what_is_learned(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case = cases.made(request, "vision")
    runs = []
    for weight in (0, 1):
        flags = (*case.exact, *LEARN, "--ssl", "fixmatch", "--ssl_weight", weight)
        runs.append(case.finetune(tmp_path / str(weight), *flags))
    without, with_ = runs
    assert without.steps == with_.steps and without.losses[0] < with_.losses[0]


def test_workers_change_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    case = cases.made(request, "vision")
    flags = (*case.exact, *LEARN, "--ssl", "fixmatch")
    alone = case.finetune(tmp_path / "alone", *flags)
    helped = case.finetune(tmp_path / "helped", *flags, "--dataloader_num_workers", 1)
    assert alone.losses == helped.losses


@pytest.mark.slow
def test_bf16(classifier: cases.Case, tmp_path: Path) -> None:
    """bf16 weights, and autocast: each near fp32."""
    flags = ("--dropout", 0, *LEARN, "--ssl", "fixmatch", "--max_steps", 3, "--ssl_threshold", 0)
    exact = classifier.finetune(tmp_path / "fp32", *flags, "--dtype", "fp32")
    for name, more in (("weights", ()), ("autocast", ("--no-speedups",))):
        run = classifier.finetune(tmp_path / name, *flags, "--dtype", "bf16", *more)
        np.testing.assert_allclose(run.losses, exact.losses, rtol=0.1)


def test_refusals(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    vision, speech = (cases.made(request, name) for name in ("vision", "speech"))
    ssl = (*REST, "--ssl", "fixmatch")
    for case, flags, said in (
        (vision, (*ssl, "--augment", "none"), "--augment none"),
        (vision, ("--ssl", "fixmatch"), "--unlabeled"),
        (vision, ("--unlabeled", "rest"), "--ssl"),
        (vision, ("--ssl", "pseudo", "--unlabeled", "rest"), "--max_train_samples"),
        (vision, ("--ssl", "pseudo", "--unlabeled", "nowhere/at/all.csv"), "nowhere/at/all.csv"),
        (speech, ssl, "automatic-speech-recognition"),
    ):
        done = run_cli(case.module, *case.arguments(tmp_path / "run", *flags))
        assert done.code == 2 and said in done.err.splitlines()[-1], done.err
    assert not (tmp_path / "run").exists()
