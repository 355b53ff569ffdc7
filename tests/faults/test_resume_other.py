"""--resume with something changed: what would mix two runs is refused, the rest is told."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.cases import Case
from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune
from zoo.speedups import compiled_layers
from zoo.train.resume import state as states

STEADY = (*EXACT, "--lr_scheduler_type", "constant", "--save_steps", 4, "--num_train_epochs", 1)
STEADY += ("--learning_rate", 5e-5)
EMBEDDING = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def begun(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One epoch, whose second half is then lost."""
    run = finetune(tiny_bert, reviews, tmp_path_factory.mktemp("begun") / "run", *STEADY)
    shutil.rmtree(max((run.folder / "state").glob("step-*")))
    return run


@pytest.fixture
def folder(begun: Run, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(begun.folder, copy)
    return copy


def _relabelled(reviews: Path, folder: Path, names: dict[str, str]) -> Path:
    """The same texts under other labels."""
    folder.mkdir()
    for file in reviews.glob("*.csv"):
        with file.open(newline="") as source, (folder / file.name).open("w", newline="") as target:
            rows = list(csv.reader(source))
            csv.writer(target).writerows([rows[0], *([t, names[y]] for t, y in rows[1:])])
    return folder


def _refused(folder: Path, argv: list[str], *parts: str) -> None:
    """One line, exit code 2, and no byte of the folder is another one."""
    before = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    done = run_cli(MODEL, *argv, "--resume")
    assert done.code == 2, done.err
    said = done.err.splitlines()[-1]
    assert said.startswith(f"bert_cls: {folder} was begun with "), said
    assert all(part in said for part in parts) and "--output_dir" in said, said
    assert {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()} == before


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (("--seed", 43), ["--seed 42, not 43"]),
        (("--optim", "sgd"), ["--optim adamw, not sgd"]),
        (("--dropout", 0.1), ["--dropout 0.0, not 0.1"]),
        (("--tune", "head"), ["--tune full, not head"]),
        (("--metric_for_best_model", "loss"), ["--metric_for_best_model none, not loss"]),
        (("--ema_decay", 0.9), ["--ema_decay 0.0, not 0.9"]),
        (("--label_smoothing_factor", 0.1), ["--label_smoothing_factor 0.0, not 0.1"]),
        (("--max_train_samples", 100), ["--max_train_samples none, not 100"]),
        (("--split_seed", 1), ["--split_seed 0, not 1"]),
        (("--max_length", 16), ["--max_length 128, not 16"]),
        (("--long_texts", "window"), ["--long_texts truncate, not window"]),
        (("--class_weights", "balanced"), ["--class_weights none, not balanced"]),
        (("--from_scratch",), ["--from_scratch False, not True"]),
        (("--model", "minilm"), ["--model ", "not minilm"]),
        (("--ssl", "pseudo", "--unlabeled", "rest"), ["--ssl none, not pseudo"]),
    ],
    ids=lambda value: "_".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_another_flag_is_refused(
    folder: Path, tiny_bert: Path, reviews: Path, flags: tuple[object, ...], parts: list[str]
) -> None:
    _refused(folder, arguments(tiny_bert, reviews, folder, *STEADY, *flags), *parts)


def _forget(folder: Path, *names: str) -> None:
    """As a version left it which did not have these flags."""
    for path in (folder / "state").glob("step-*/progress.json"):
        progress = states.read_progress(path.parent)
        for part in ("flags", "task_flags"):
            for name in names:
                progress["run"][part].pop(name, None)
        path.write_text(json.dumps({**progress, "sum": states._sum(progress)}))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--label_smoothing_factor", 0.1), "--label_smoothing_factor 0.0, not 0.1"),
        (("--class_weights", "balanced"), "--class_weights none, not balanced"),
    ],
)
def test_a_flag_that_an_older_version_did_not_have_was_at_its_default(
    folder: Path, tiny_bert: Path, reviews: Path, flags: tuple[object, ...], said: str
) -> None:
    _forget(folder, "label_smoothing_factor", "class_weights", "max_grad_value", "max_length")
    argv = arguments(tiny_bert, reviews, folder, *STEADY)
    _refused(folder, [*argv, *map(str, flags)], said)
    done = run_cli(MODEL, *argv, "--max_grad_value", 1.0, "--resume")
    assert done.code == 0, done.err  # what the model decides (max_length) is not known of then
    changes = json.loads((folder / "zoo.json").read_text())["changes"]
    assert changes[-1]["flags"] == {"max_grad_value": [0.0, 1.0]}


def test_other_data_are_refused(
    folder: Path, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    same = {"positive": "positive", "negative": "negative"}
    fewer = _relabelled(reviews, tmp_path / "fewer", same)
    lines = (fewer / "train.csv").read_text().splitlines(keepends=True)
    (fewer / "train.csv").write_text("".join(lines[:-1]))
    argv = arguments(tiny_bert, fewer, folder, *STEADY)
    _refused(folder, argv, "the data reviews", "not fewer (fingerprint ")


def test_other_labels_are_refused(
    folder: Path, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """As many labels, so that the state would load."""
    other = _relabelled(reviews, tmp_path / "other", {"positive": "cat", "negative": "dog"})
    argv = arguments(tiny_bert, other, folder, *STEADY)
    _refused(folder, argv, "the data reviews", "not other (fingerprint ")


def test_another_label_column_of_one_file_is_refused(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    data = tmp_path / "two.csv"
    with (reviews / "train.csv").open(newline="") as file:
        rows = [*csv.reader(file)][1:]
    with data.open("w", newline="") as file:
        two = [[text, label, "cat" if i % 2 else "dog"] for i, (text, label) in enumerate(rows)]
        csv.writer(file).writerows([["text", "mood", "animal"], *two])
    folder = tmp_path / "run"
    finetune(tiny_bert, data, folder, *STEADY, "--label_column", "mood")
    argv = arguments(tiny_bert, data, folder, *STEADY, "--label_column", "animal")
    _refused(folder, argv, "the labels 'negative', 'positive', not 'cat', 'dog'")


def test_other_weights_in_another_folder_are_refused(
    folder: Path, begun: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    moved, trained = tmp_path / "moved", tmp_path / "trained"
    shutil.copytree(tiny_bert, moved)
    shutil.copytree(tiny_bert, trained)
    shutil.copy(begun.folder / "model.safetensors", trained)
    _refused(folder, arguments(trained, reviews, folder, *STEADY), "the weights ", "sha256")
    done = run_cli(MODEL, *arguments(moved, reviews, folder, *STEADY), "--resume")
    assert done.code == 0, done.err  # the same weights, where they lie now


def test_another_models_run_is_refused(folder: Path, reviews: Path) -> None:
    argv = ["finetune", "--data", reviews, "--output_dir", folder, "--resume"]
    done = run_cli("zoo.nlp.rnn_cls", *argv)
    assert done.code == 2
    said = done.err.splitlines()[-1]
    assert "begun with the model bert_cls (python -m zoo.nlp.bert_cls), not rnn_cls" in said


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_augmentation_and_size_are_a_runs_own(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    case.finetune(folder, "--max_steps", 2)
    for flags, part in (
        (("--rotation", 30), "--rotation 20.0, not 30.0"),
        (("--widths", 16, 16), "--widths 8 16, not 16 16"),
    ):
        done = run_cli(case.module, *case.arguments(folder, *flags), "--max_steps", 4, "--resume")
        assert done.code == 2 and part in done.err.splitlines()[-1], done.err


def test_the_main_metric_may_be_named_and_another_is_refused_of_an_older_version_too(
    folder: Path, tiny_bert: Path, reviews: Path
) -> None:
    """States of commit b7db848 have no record: there the main metric decided."""
    (path,) = (folder / "state").glob("step-*/progress.json")
    progress = json.loads(path.read_text())
    for name in ("run", "sum"):
        progress.pop(name)
    path.write_text(json.dumps(progress))
    argv = arguments(tiny_bert, reviews, folder, *STEADY, "--metric_for_best_model")
    _refused(folder, [*argv, "loss"], "--metric_for_best_model none, not loss")
    done = run_cli(MODEL, *argv, "accuracy", "--resume")
    assert done.code == 0, done.err


def test_what_may_change_is_told_and_recorded(folder: Path, tiny_bert: Path, reviews: Path) -> None:
    more = ("--num_train_epochs", 2, "--learning_rate", 1e-5, "--logging_steps", 2)
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *STEADY, *more), "--resume")
    assert done.code == 0, done.err
    assert "from here on --learning_rate is 1e-05, not 5e-05" in done.err
    assert len(Run(folder).steps) == 16
    (changed,) = json.loads((folder / "zoo.json").read_text())["changes"]
    assert changed["step"] == 4
    assert changed["flags"]["learning_rate"] == [5e-5, 1e-5]
    assert changed["flags"]["num_train_epochs"] == [1.0, 2.0]


def test_less_than_has_been_trained_is_refused(
    folder: Path, tiny_bert: Path, reviews: Path
) -> None:
    argv = arguments(tiny_bert, reviews, folder, *STEADY, "--max_steps", 2, "--resume")
    done = run_cli(MODEL, *argv)
    assert done.code == 2
    assert "--max_steps 2 ends before the state in" in done.err.splitlines()[-1]
    assert "(step 4, epoch 0.53)" in done.err.splitlines()[-1]


def test_more_patience_goes_on_with_a_run_that_ended_early(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    flags = (*EXACT, "--eval_strategy", "steps", "--eval_steps", 1, "--learning_rate", 0)
    flags = (*flags, "--max_steps", 8)
    finetune(tiny_bert, reviews, folder, *flags, "--early_stopping_patience", 2)
    assert len(Run(folder).steps) == 3
    finetune(tiny_bert, reviews, folder, *flags, "--early_stopping_patience", 4, "--resume")
    assert len(Run(folder).steps) == 5


def test_a_checkpoint_without_states_is_not_overwritten(
    folder: Path, tiny_bert: Path, reviews: Path
) -> None:
    shutil.rmtree(folder / "state")
    weights = (folder / "model.safetensors").read_bytes()
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *STEADY), "--resume")
    assert done.code == 0, done.err
    assert "beginning anew" in done.err and f"moved to {folder}.1" in done.err
    assert (folder.with_name("run.1") / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("name", ["zoo.json", "model.safetensors"])
def test_a_best_checkpoint_that_was_lost_is_told(
    name: str, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """The state is whole, so that the run goes on; where it finds no better one, there is none."""
    flags = (*EXACT, "--eval_strategy", "steps", "--eval_steps", 2, "--save_steps", 2)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags, "--max_steps", 4)
    (run.folder / name).write_bytes(b"{}")
    more = ("--max_steps", 6, "--learning_rate", 0, "--resume")
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, run.folder, *flags, *more))
    assert done.code == 2, done.err
    assert "its best checkpoint was lost before it went on" in done.err.splitlines()[-1]


def test_other_weights_beside_a_run_are_told_before_it_goes_on(
    folder: Path, tiny_bert: Path, reviews: Path
) -> None:
    (folder / "adapter_config.json").write_text("{}")
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, folder, *STEADY, "--resume"))
    assert done.code == 2 and len(done.err.splitlines()) == 1, done.err
    assert f"{folder} holds an adapter (adapter_config.json)" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("optim", ["adamw", "sgd"])
@pytest.mark.parametrize("first", ["rows", "whole"])
def test_a_run_goes_on_where_embeddings_are_trained_otherwise(
    first: str,
    optim: str,
    tiny_bert: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Processors train the rows that occur, GPUs and compiled layers all of them."""
    monkeypatch.setattr(compiled_layers, "compile_layers", lambda model: 1)
    ways = {"rows": ("--compile_layers", "off"), "whole": ("--compile_layers", "on")}
    other = next(way for way in ways if way != first)
    flags = (*STEADY, "--optim", optim, "--ema_decay", 0.9, "--weight_decay", 0)
    flags += ("--save_total_limit", 9)
    runs = {
        way: finetune(tiny_bert, reviews, tmp_path / way, *flags, *added)
        for way, added in ways.items()
    }
    folder = runs[first].folder
    shutil.rmtree(max((folder / "state").glob("step-*")))
    (middle,) = (folder / "state").glob("step-*")
    optimizer = load_file(middle / "optimizer.safetensors")
    moment = optimizer[f"{EMBEDDING}/{'exp_avg' if optim == 'adamw' else 'momentum_buffer'}"]
    unused = moment.abs().sum(1) == 0
    assert 0 < unused.sum() < len(unused)
    run = finetune(tiny_bert, reviews, folder, *flags, *ways[other], "--resume")
    assert "going on at step 4" in run.done.err
    np.testing.assert_allclose(run.losses, runs[other].losses, atol=1e-5, rtol=0)
    last = max((folder / "state").glob("step-*"))
    theirs = tmp_path / other / "state" / last.name
    for name in ("weights", "optimizer", "ema"):
        ours, expected = (load_file(one / f"{name}.safetensors") for one in (last, theirs))
        assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in expected.items()}
        for key, tensor in ours.items():
            torch.testing.assert_close(tensor, expected[key], atol=2e-4, rtol=1e-3, msg=key)
