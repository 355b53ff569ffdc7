"""Texts packed in one row train as padded ones do (fp32, dropout off)."""

import csv
import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests import tiny_encoders, tiny_text
from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune, run_finetune
from tests.processes import run_ranks

ENCODERS = ("bert", "roberta", "distilbert", "modernbert", "electra")
PACKED = ("--packing", "on", "--train_sampling_strategy", "random")
PADDED = ("--packing", "off", "--train_sampling_strategy", "random")
SHORT = (*EXACT, "--max_steps", 6, "--learning_rate", 1e-3, "--eval_strategy", "no")
SHORT = (*SHORT, "--max_length", tiny_encoders.LENGTH)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights for each of ENCODERS."""
    folder = tmp_path_factory.mktemp("encoders")
    texts = [text for text, _ in tiny_text.review_rows()]
    for kind in ENCODERS:
        tiny_encoders.save(folder / kind, kind, texts)
    return folder


def _same(packed: Run, padded: Run, tolerance: float = 1e-5) -> None:
    assert packed.steps == padded.steps and "packed: " in packed.done.err
    np.testing.assert_allclose(packed.losses, padded.losses, atol=tolerance, rtol=0)


def _both(model: Path, data: Path, tmp_path: Path, *flags: object) -> tuple[Run, Run]:
    return (
        finetune(model, data, tmp_path / "packed", *SHORT, *PACKED, *flags),
        finetune(model, data, tmp_path / "padded", *SHORT, *PADDED, *flags),
    )


SLOW = pytest.mark.slow
KINDS = [pytest.param(kind, marks=[SLOW] if kind == "electra" else []) for kind in ENCODERS]


@pytest.mark.parametrize("kind", KINDS)
def test_packed_as_padded(kind: str, encoders: Path, reviews: Path, tmp_path: Path) -> None:
    packed, padded = _both(encoders / kind, reviews, tmp_path)
    _same(packed, padded)
    assert packed.manifest["packing"]["samples"] == 32
    assert "packed" not in padded.done.err and "packing" not in padded.manifest


@pytest.mark.parametrize(
    "flags",
    [
        ("--token_budget", 200, "--gradient_checkpointing"),
        ("--class_weights", "balanced", "--label_smoothing_factor", 0.1, "--tune", "gradual"),
        pytest.param(
            ("--per_device_train_batch_size", 8, "--gradient_accumulation_steps", 4), marks=SLOW
        ),
        pytest.param(("--no-speedups",), marks=SLOW),
        pytest.param(("--tune", "lora", "--lora_dropout", 0), marks=SLOW),
        pytest.param(("--dataloader_num_workers", 1), marks=SLOW),
    ],
    ids=lambda flags: str(flags[0]),
)
def test_whatever_else_is_asked_for(
    flags: tuple[object, ...], encoders: Path, reviews: Path, tmp_path: Path
) -> None:
    _same(*_both(encoders / "bert", reviews, tmp_path, *flags))


def test_pairs_of_texts(encoders: Path, reviews: Path, tmp_path: Path) -> None:
    """Which have types of tokens."""
    data = tmp_path / "pairs"
    data.mkdir()
    for path in reviews.glob("*.csv"):
        with path.open(newline="") as old, (data / path.name).open("w", newline="") as new:
            rows = csv.writer(new)
            rows.writerow(("text", "text_pair", "label"))
            for row in csv.DictReader(old):
                first, _, second = row["text"].partition(" was ")
                rows.writerow((first, second, row["label"]))
    _same(*_both(encoders / "bert", data, tmp_path))


def test_two_ranks(encoders: Path, reviews: Path, tmp_path: Path) -> None:
    padded = finetune(encoders / "bert", reviews, tmp_path / "padded", *SHORT, *PADDED)
    flags = (*SHORT, *PACKED, "--per_device_train_batch_size", 16)
    said = run_ranks(
        arguments(encoders / "bert", reviews, tmp_path / "two", *flags), tmp_path / "logs"
    )
    two = Run(tmp_path / "two", dataclasses.replace(padded.done, err=said))
    _same(two, padded)


def test_a_run_that_goes_on_is_the_same_to_the_last_bit(
    encoders: Path, reviews: Path, tmp_path: Path
) -> None:
    """With dropout, bf16 and an order of its own, which also one without packing goes on with."""
    flags = ("--packing", "on", "--dtype", "bf16", "--learning_rate", 1e-3)
    flags = (*flags, "--num_train_epochs", 1, "--save_steps", 3, "--save_total_limit", 9)
    whole = finetune(encoders / "bert", reviews, tmp_path / "run", *flags)
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    for name in ("run", "other"):
        for path in (tmp_path / name / "state").glob("step-*"):
            if path.name > "step-00000003":
                shutil.rmtree(path)
    again = finetune(encoders / "bert", reviews, tmp_path / "run", *flags, "--resume")
    assert again.losses == whole.losses and again.steps == whole.steps
    mine, theirs = again.weights(), whole.weights()
    assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.items())
    off = ("--packing", "off", "--resume")
    other = finetune(encoders / "bert", reviews, tmp_path / "other", *flags[2:], *off)
    assert other.steps == whole.steps, "the order is that of the run as it was begun"


def test_tags_of_windows(encoders: Path, tagged: Path, tmp_path: Path) -> None:
    runs, more = [], ("--max_length", 12, "--window_overlap", 4)
    for name, packing in (("packed", PACKED), ("padded", PADDED)):
        words = arguments(encoders / "bert", tagged, tmp_path / name, *SHORT, *packing, *more)
        runs.append(run_finetune("zoo.nlp.bert_tok", tmp_path / name, words))
    _same(*runs)


@pytest.mark.parametrize(
    ("kind", "more"), [("bert", ("--max_length", 12)), pytest.param("modernbert", (), marks=SLOW)]
)
def test_masked_tokens(
    kind: str, more: tuple[object, ...], encoders: Path, reviews: Path, tmp_path: Path
) -> None:
    """Also of texts in pieces, and with an embedding that is the output layer too."""
    runs = []
    for name, packing in (("packed", PACKED), ("padded", PADDED)):
        words = arguments(encoders / kind, reviews, tmp_path / name, *SHORT, *packing, *more)
        words[0] = "pretrain"
        runs.append(run_finetune("zoo.nlp.bert_mlm", tmp_path / name, words))
    _same(*runs)


@pytest.mark.parametrize(
    ("module", "flags", "expected"),
    [
        (MODEL, ("--fsdp",), "--packing on can't stand beside --fsdp: leave one of them away"),
        (MODEL, ("--torch_compile",), "--packing on can't stand beside --torch_compile"),
        (
            MODEL,
            ("--long_texts", "window", "--max_length", 12, "--window_overlap", 4),
            "--packing on: text-classification reads long texts in windows",
        ),
        ("zoo.nlp.rnn_cls", (), "takes padded samples; leave --packing away"),
    ],
)
def test_where_it_cannot_be_is_said_in_one_line(
    module: str,
    flags: tuple[object, ...],
    expected: str,
    encoders: Path,
    reviews: Path,
    tmp_path: Path,
) -> None:
    words = ["finetune", "--data", reviews, "--output_dir", tmp_path / "run", "--packing", "on"]
    if module == MODEL:
        words += ["--model", encoders / "bert"]
    done = run_cli(module, *words, *flags)
    assert done.code == 2 and not (tmp_path / "run").exists()
    assert expected in done.err.splitlines()[-1]


def test_other_architectures_are_named(reviews: Path, tmp_path: Path) -> None:
    texts = [text for text, _ in tiny_text.review_rows()]
    weights = tiny_encoders.save(tmp_path / "albert", "albert", texts)
    words = arguments(weights, reviews, tmp_path / "run", "--packing", "on")
    done = run_cli(MODEL, *words)
    assert done.code == 2 and "and this is albert; leave --packing away" in done.err


def test_by_itself_it_is_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.train.args import TrainArgs
    from zoo.train.methods import known
    from zoo.train.methods.packing import Packing

    def is_asked(**flags: Any) -> bool:
        methods = known.methods_of(SimpleNamespace(args=TrainArgs(**flags)))
        return any(isinstance(method, Packing) for method in methods)

    assert not is_asked() and is_asked(packing="on")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert is_asked() and not is_asked(packing="off") and not is_asked(fsdp=True)


@SLOW
@pytest.mark.parametrize("kind", ENCODERS)
def test_fifty_steps_and_two_ranks(
    kind: str, encoders: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = (*SHORT, "--max_steps", 50)
    padded = finetune(encoders / kind, reviews, tmp_path / "padded", *flags, *PADDED)
    _same(finetune(encoders / kind, reviews, tmp_path / "packed", *flags, *PACKED), padded)
    flags = (*flags, *PACKED, "--per_device_train_batch_size", 16)
    said = run_ranks(
        arguments(encoders / kind, reviews, tmp_path / "two", *flags), tmp_path / "logs"
    )
    _same(Run(tmp_path / "two", dataclasses.replace(padded.done, err=said)), padded)
