"""The schedule plateau in a run: it follows the evaluations, and goes on to the same bits."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune, run_finetune

STEPS = 12
FLAGS = (*EXACT, "--lr_scheduler_type", "plateau", "--lr_plateau_patience", 1)
FLAGS += ("--lr_plateau_factor", 0.5, "--eval_strategy", "steps", "--eval_steps", 1)
FLAGS += ("--metric_for_best_model", "loss", "--learning_rate", 2e-2, "--max_steps", STEPS)
FLAGS += ("--save_steps", 1, "--save_total_limit", STEPS, "--warmup_steps", 0)


@pytest.fixture(scope="module")
def run(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One whose learning rate is so high that its loss also rises."""
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("plateau") / "run", *FLAGS)


def test_the_learning_rate_is_that_of_torch_on_the_same_losses(run: Run) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-2)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    expected = []
    for record in run.records("validation"):
        expected.append(optimizer.param_groups[0]["lr"])
        theirs.step(record["loss"])
    rates = [record["learning_rate"] for record in run.records("train")]
    assert rates == pytest.approx(expected) and len(rates) == STEPS
    assert len(set(rates)) > 1, "it fell"
    assert run.done is not None
    assert run.done.err.count("the learning rate goes down to") >= len(set(rates)) - 1


def test_resumed_anywhere_it_goes_on_to_the_same_bits(
    run: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """Also between a bad evaluation and the one that lowers the rate."""
    rates = [record["learning_rate"] for record in run.records("train")]
    falls = next(i for i in range(1, STEPS) if rates[i] < rates[i - 1])
    whole = load_file(run.folder / f"state/step-{STEPS:08}/weights.safetensors")
    for step in sorted({falls - 1, falls, falls + 1} & set(range(1, STEPS))):
        again = tmp_path / str(step)
        shutil.copytree(run.folder, again)
        for state in (again / "state").glob("step-*"):
            if int(state.name.removeprefix("step-")) > step:
                shutil.rmtree(state)
        words = arguments(tiny_bert, reviews, again, *FLAGS, "--resume")
        found = run_finetune(MODEL, again, words)
        assert f"going on at step {step}" in found.done.err
        assert [record["learning_rate"] for record in found.records("train")] == rates
        weights = load_file(again / f"state/step-{STEPS:08}/weights.safetensors")
        assert all(torch.equal(weights[name], tensor) for name, tensor in whole.items())


def test_too_few_evaluations_are_told_and_other_patience_is_refused(
    run: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = (*EXACT, "--lr_scheduler_type", "plateau", "--max_steps", 2)
    short = finetune(tiny_bert, reviews, tmp_path / "short", *flags)
    assert short.done is not None
    assert "--lr_scheduler_type plateau needs at least 4 evaluations" in short.done.err
    words = arguments(tiny_bert, reviews, run.folder, *FLAGS, "--resume")
    done = run_cli(MODEL, *words, "--lr_plateau_patience", 2)
    assert done.code == 2 and "--lr_plateau_patience 1, not 2" in done.err


def test_a_pruning_of_what_followed_a_plateau_follows_none(run: Run) -> None:
    from zoo.cli.args import PruneArgs
    from zoo.nlp.bert_cls import ENTRY
    from zoo.pruning.setting import training
    from zoo.store.checkpoint import open_checkpoint

    args = training(open_checkpoint(run.folder, ENTRY), PruneArgs(run.folder, steps=3))
    assert (args.lr_scheduler_type, args.eval_strategy) == ("linear", "no")
