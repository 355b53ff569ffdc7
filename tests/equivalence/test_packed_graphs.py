"""Packed steps have one shape: they are recorded once and replayed, and losses stay the same."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.finetuning import finetune
from tests.tape import TapeRecorder
from zoo.speedups import fast_dropout, fast_encoder
from zoo.train import step_graphs

FLAGS = ("--packing", "on", "--max_steps", 16, "--learning_rate", 1e-3, "--dtype", "fp32")
FLAGS += ("--eval_strategy", "no")


@pytest.mark.parametrize("more", [(), ("--max_grad_value", 0.003)], ids=["usual", "clipped"])
def test_packed_steps_are_replayed(
    more: tuple[object, ...],
    tiny_bert: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[TapeRecorder] = []

    def recorder_for(device: Any) -> TapeRecorder:
        made.append(TapeRecorder())
        return made[-1]

    monkeypatch.setattr(step_graphs, "recorder_for", recorder_for)
    monkeypatch.setattr(fast_dropout, "replace_dropout", lambda model: None)
    monkeypatch.setattr(fast_encoder, "replace_dropout", lambda model: None)
    monkeypatch.setattr(fast_encoder, "fast_dropout", torch.nn.functional.dropout)
    monkeypatch.setattr(fast_encoder, "train_used_rows", lambda *asked: None)
    flags = (*FLAGS, *more)
    plain = finetune(tiny_bert, reviews, tmp_path / "plain", *flags, "--cuda_graphs", "off")
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags, "--cuda_graphs", "on")
    (recorder,) = made
    print(run.done.err)
    assert "packed: " in run.done.err and recorder.replayed >= 10
    assert run.losses == plain.losses
