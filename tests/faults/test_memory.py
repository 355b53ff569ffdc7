"""Out of memory: what to lower is said; --auto_find_batch_size goes on with the same result."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune

ERRORS = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"
    ),
    "host": lambda: MemoryError(),
}


def _run_out(
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    error: Callable[[], BaseException],
    training: bool = True,
) -> list[int]:
    """A model that has no memory for more than `most` samples; the sizes it was asked for."""
    asked: list[int] = []
    own = BertForSequenceClassification.forward

    def forward(self, input_ids, *args, **kwargs):
        if self.training == training:
            asked.append(len(input_ids))
            if len(input_ids) > most:
                raise error()
        return own(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(BertForSequenceClassification, "forward", forward)
    return asked


@pytest.fixture(scope="module")
def whole(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that has memory enough."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return finetune(tiny_bert, reviews, folder, *EXACT, "--num_train_epochs", 2)


@pytest.mark.parametrize("kind", ERRORS)
def test_what_to_lower_is_said(
    kind: str, tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_out(monkeypatch, 4, ERRORS[kind])
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", *EXACT))
    assert done.code == 2 and "Traceback" not in done.err
    last = done.err.splitlines()[-1]
    assert re.search(r"out of memory with \d+ samples in a pass", last)
    assert "--per_device_train_batch_size" in last and "--max_length" in last
    assert "--auto_find_batch_size" in last and "--gradient_checkpointing" in last


def test_it_goes_on_with_smaller_passes_and_equal_losses(
    whole: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _run_out(monkeypatch, 10, ERRORS["gpu"])
    flags = (*EXACT, "--num_train_epochs", 2, "--auto_find_batch_size")
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags)
    assert run.steps == whole.steps
    np.testing.assert_allclose(run.losses, whole.losses, atol=1e-5, rtol=0)
    failed = [size for size in asked if size > 10]
    assert 1 <= len(failed) <= 2  # from 32 to 16 to 8, once in the whole run
    assert run.done.err.count("out of memory: passes of") == len(failed)


def test_one_sample_is_too_much(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_out(monkeypatch, 0, ERRORS["gpu"])
    argv = arguments(tiny_bert, reviews, tmp_path / "run", *EXACT, "--auto_find_batch_size")
    done = run_cli(MODEL, *argv)
    assert done.code == 2
    assert "out of memory with 1 samples in a pass" in done.err.splitlines()[-1]


def test_another_runtime_error_is_a_bug_and_passes_through(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_out(monkeypatch, 0, lambda: RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", *EXACT))


def test_evaluation_says_what_to_lower(
    whole: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_out(monkeypatch, 8, ERRORS["gpu"], training=False)
    for argv in (
        arguments(tiny_bert, reviews, tmp_path / "run", *EXACT),
        ["evaluate", str(whole.folder)],
    ):
        done = run_cli(MODEL, *argv)
        assert done.code == 2
        assert "--per_device_eval_batch_size" in done.err.splitlines()[-1]
