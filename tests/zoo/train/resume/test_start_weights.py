"""A run from a folder of weights goes on when that folder is gone."""

import shutil
from pathlib import Path

import pytest
import torch

from tests import cases
from tests.cases import Case
from tests.cli import run_cli
from tests.finetuning import Run

STEADY = ("--lr_scheduler_type", "constant", "--save_steps", 2, "--dtype", "fp32")
STEADY += ("--eval_strategy", "steps", "--eval_steps", 2)  # the best is found among the same


def source_of(case: Case, folder: Path) -> Path:
    return case.finetune(folder, "--max_steps", 1).folder


def go_on(case: Case, source: Path, folder: Path, *flags: object) -> Run:
    """A fine-tune from a checkpoint: without the flags of the shape."""
    words = ["finetune", "--model", source, "--data", case.data, "--output_dir", folder]
    words += ["--logging_steps", 1, "--report_to", "none", "--per_device_train_batch_size", 32]
    done = run_cli(case.module, *words, *STEADY, *flags)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.mark.parametrize("name", ["text", "vision", "speech"])
@pytest.mark.parametrize("tune", ["full", "head"])
def test_the_folder_of_weights_is_gone(
    name: str, tune: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    case = cases.made(request, name)
    source = source_of(case, tmp_path / "source")
    whole = go_on(case, source, tmp_path / "whole", "--max_steps", 4, "--tune", tune)
    begun = go_on(case, source, tmp_path / "begun", "--max_steps", 2, "--tune", tune)
    recorded = begun.manifest["source"]
    shutil.rmtree(source)
    on = go_on(case, source, tmp_path / "begun", "--max_steps", 4, "--tune", tune, "--resume")
    assert on.losses == whole.losses
    mine, theirs = on.weights(), whole.weights()
    assert all(torch.equal(mine[n], t) for n, t in theirs.items())
    assert on.manifest["source"] == recorded == whole.manifest["source"]
    assert recorded["model"] == str(source)


def test_another_checkpoint_is_refused(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    case = cases.made(request, "vision")
    source = source_of(case, tmp_path / "source")
    other = case.finetune(tmp_path / "other", "--max_steps", 1, "--seed", 7).folder
    go_on(case, source, tmp_path / "run", "--max_steps", 2)
    shutil.rmtree(source)
    words = ["finetune", "--model", other, "--data", case.data, "--resume"]
    words += ["--output_dir", tmp_path / "run", "--max_steps", 4, "--report_to", "none"]
    words += ["--logging_steps", 1, "--per_device_train_batch_size", 32]
    done = run_cli(case.module, *words, *STEADY)
    assert done.code == 2
    line = done.err.splitlines()[-1]
    assert "was begun with the weights " in line and "sha256" in line, line
    gone = ["nowhere" if word == other else word for word in words]
    done = run_cli(case.module, *gone, *STEADY)
    assert done.code == 2 and "--model " in done.err.splitlines()[-1], done.err


def test_its_own_folder_is_what_it_starts_from(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The old run is moved aside; the new one goes on from what it began with."""
    case = cases.made(request, "vision")
    run = source_of(case, tmp_path / "run")
    before = Run(run).weights()
    go_on(case, run, run, "--max_steps", 2)
    assert (tmp_path / "run.1" / "zoo.json").is_file()
    on = go_on(case, run, run, "--max_steps", 4, "--resume")
    assert on.steps[-1] and len(on.losses) == 4
    assert any(not torch.equal(before[n], t) for n, t in on.weights().items())


def test_the_copy_is_a_link_and_is_not_the_runs_own(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    case = cases.made(request, "vision")
    source = source_of(case, tmp_path / "source")
    run = go_on(case, source, tmp_path / "run", "--max_steps", 1).folder
    kept = run / "start"
    assert (kept / "model.safetensors").samefile(source / "model.safetensors")
    names = {path.name for path in kept.iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json"}
    scratch = case.finetune(tmp_path / "scratch", "--max_steps", 1).folder
    assert not (scratch / "start").exists()


def test_a_checkpoint_stands_alone(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    """What it once began with may be gone when it is trained on in int8."""
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    words = ("finetune", "--data", reviews, "--report_to", "none", "--max_steps", 1)
    words += ("--max_train_samples", 16, "--max_eval_samples", 8)
    run = tmp_path / "run"
    done = run_cli("zoo.nlp.bert_cls", *words, "--model", source, "--output_dir", run)
    assert done.code == 0, done.err
    shutil.rmtree(source)
    done = run_cli("zoo.nlp.bert_cls", *words, "--qat", run)
    assert done.code == 0, done.err
    options = Run(tmp_path / "run-qat").manifest["config"]["options"]
    assert options["model"] == str(source)
