"""Steps that are recorded and replayed train as others do, to the last bit.

On a GPU CUDA graphs record; here `tests.tape` does, with dropout on: what differs from step to step
must reach a replay through memory.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.nlp import masked_lm
from tests.cases import Case
from tests.tape import TapeRecorder
from zoo.speedups import fast_dropout, fast_encoder
from zoo.train import step_graphs

FLAGS = ("--num_train_epochs", 4, "--eval_strategy", "epoch")
PLATEAU = ("--lr_scheduler_type", "plateau", "--lr_plateau_patience", 0)
FP32, BF16 = ("--dtype", "fp32"), ("--dtype", "bf16")


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[TapeRecorder]:
    """Those that trainings take, in place of CUDA graphs; encoders compute as on a GPU."""
    made: list[TapeRecorder] = []

    def recorder_for(device: Any) -> TapeRecorder:
        made.append(TapeRecorder())
        return made[-1]

    def speed_up_layers(model: Any) -> None:
        fast_encoder._register_attention()
        model.set_attn_implementation(fast_encoder.ATTENTION_ON_GPU)

    monkeypatch.setattr(step_graphs, "recorder_for", recorder_for)
    monkeypatch.setattr(fast_encoder, "speed_up_layers", speed_up_layers)
    monkeypatch.setattr(fast_dropout, "replace_dropout", lambda model: None)
    monkeypatch.setattr(fast_encoder, "fast_dropout", torch.nn.functional.dropout)
    monkeypatch.setattr(fast_encoder, "train_used_rows", lambda *asked: None)
    return made


def _both(case: Case, tmp_path: Path, recorders: list[TapeRecorder], *flags: object) -> None:
    plain = case.finetune(tmp_path / "plain", *FLAGS, *flags, "--cuda_graphs", "off")
    assert not recorders
    run = case.finetune(tmp_path / "run", *FLAGS, *flags, "--cuda_graphs", "on")
    (recorder,) = recorders
    assert recorder.replayed >= 4 and recorder.recorded >= 2
    assert run.losses == plain.losses
    assert run.records("validation") == plain.records("validation")
    weights = plain.weights()
    assert all((run.weights()[name] == tensor).all() for name, tensor in weights.items())


@pytest.mark.parametrize("case", ["text", "vision", "sound"], indirect=True)
def test_a_replayed_step_is_a_step(
    case: Case, tmp_path: Path, recorders: list[TapeRecorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts come in many lengths, few of them often, and shapes give way to others."""
    monkeypatch.setattr(step_graphs, "WARM_UP", 1)
    monkeypatch.setattr(step_graphs, "MOST", 4)
    monkeypatch.setattr(step_graphs, "UNUSED", 8)
    small = ("--per_device_train_batch_size", 4 if case.name == "text" else 16)
    _both(case, tmp_path, recorders, *(BF16 if case.name == "text" else FP32), *small)


@pytest.mark.parametrize("case", ["vision"], indirect=True)
@pytest.mark.parametrize(
    "flags",
    [
        ("--per_device_train_batch_size", 8, "--gradient_accumulation_steps", 2),
        ("--ema_decay", 0.9, "--l1", 1e-5, "--warmup_steps", 5),
        ("--optim", "adam", "--mixup", 0.4, "--label_smoothing_factor", 0.1),
        ("--max_grad_value", 0.01, "--max_grad_norm", 0.1, *PLATEAU),
    ],
    ids=["two passes", "average", "mixed", "clipped"],
)
def test_with_what_changes_a_step(
    case: Case, tmp_path: Path, recorders: list[TapeRecorder], flags: tuple[object, ...]
) -> None:
    _both(case, tmp_path, recorders, *FP32, *flags)


def test_a_masked_model_is_replayed(
    reviews: Path, tmp_path: Path, recorders: list[TapeRecorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where how many tokens are to be guessed is not known."""
    shape = ("--hidden_size", 16, "--num_layers", 2, "--num_heads", 2, "--vocab_size", 300)
    case = Case("masked", "zoo.nlp.bert_mlm", reviews, shape, "--text", (), verb="pretrain")
    exact = (*FLAGS, *FP32, "--dropout", 0, "--cuda_graphs", "off")
    usual = case.finetune(tmp_path / "usual", *exact)
    monkeypatch.setattr(masked_lm, "_would_wait", lambda batch: "labels" in batch.targets)
    fixed = case.finetune(tmp_path / "fixed", *exact)
    assert fixed.losses == pytest.approx(usual.losses, rel=1e-5)
    monkeypatch.setattr(step_graphs, "WARM_UP", 1)
    _both(case, tmp_path, recorders, *FP32, "--max_length", 16)
