"""What a run is expected to cost, and that finding out leaves nothing behind."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from tasks.base import Batch
from tests.cli import run_process
from tests.finetuning import lines
from zoo.train.args import TrainArgs
from zoo.train.reporting.forecast import GIB, MOMENTS, TRANSIENT, Forecast, forecast


class _Train:
    """Eight samples of four numbers."""

    lengths = rows = np.ones(8, np.int64)

    def __len__(self) -> int:
        return 8

    def __getitems__(self, ids: list[int]) -> list[torch.Tensor]:
        return [torch.full((4,), float(i)) for i in ids]


TASK: Any = SimpleNamespace(
    collate=lambda rows: Batch({"x": torch.stack(rows)}, torch.arange(len(rows))),
    forward=lambda model, batch: {"logits": model(batch.inputs["x"])},
    loss=lambda outputs, batch: SimpleNamespace(sum=outputs["logits"].exp().sum()),
)


def _accumulator(parameter: nn.Parameter) -> Any:
    """The node of autograd that adds to a parameter's gradient; it lives as long as a pass does."""
    node = parameter.expand_as(parameter).grad_fn
    assert node is not None
    return node.next_functions[0][0]


def test_the_probing_pass_is_not_kept() -> None:
    """Softmax saves its own output, with which a hook could close a circle."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1))
    found = forecast(model, TASK, _Train(), TrainArgs(), torch.device("cpu"), torch.float32)
    assert found.memory > found.more > 0
    weight = model[0].weight
    _accumulator(weight).metadata["of"] = "the first look"
    assert "of" not in _accumulator(weight).metadata  # gone with the first, as nothing keeps it


def _more(model: nn.Module, **flags: Any) -> int:
    """The bytes that a training adds to what is taken."""
    cpu = torch.device("cpu")
    return forecast(model, TASK, _Train(), TrainArgs(**flags), cpu, torch.float32).more


def test_memory_is_that_of_the_weights_and_of_the_largest_pass() -> None:
    """Eight samples of four numbers: the linear layer keeps its input, the softmax and the
    exponential their outputs, [8, 4] of 4 bytes each."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1))
    weights, kept = 4 * (16 + 4), 3 * 8 * 4 * 4
    assert _more(model) == 3 * weights + int(TRANSIENT * kept)
    assert _more(model, optim="sgd") == 2 * weights + int(TRANSIENT * kept)
    assert _more(model, ema_decay=0.9) == 4 * weights + int(TRANSIENT * kept)
    half = 3 * weights + int(TRANSIENT * kept / 2)
    assert _more(model, per_device_train_batch_size=4) == half
    assert _more(model, token_budget=4) == half
    assert _more(model, token_budget=10**6) == _more(model), "a pass has no more than its samples"
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert _more(model) < kept, "what is not trained has no gradient"


def test_what_it_says() -> None:
    found = Forecast(seconds=600.0, memory=3 * GIB, more=2 * GIB, available=GIB)
    assert str(found) == "about 10 min of training and 3.0 GiB"
    warning = found.warning()
    assert warning is not None and "about 2.0 GiB more than now and 1.0 are free" in warning
    assert Forecast(20.0, 3 * GIB, GIB, GIB).warning() is None


@pytest.fixture
def small_bert(tiny_bert: Path, tmp_path: Path) -> Path:
    """Weights that are more than what the libraries take: 12M parameters."""
    from transformers import BertConfig, BertModel

    folder = tmp_path / "small_bert"
    shutil.copytree(tiny_bert, folder)
    config = BertConfig.from_pretrained(tiny_bert)
    config.update({"hidden_size": 512, "num_hidden_layers": 4, "intermediate_size": 2048})
    config.update({"num_attention_heads": 8})
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "flags"),
    [
        ("zoo.nlp.bert_cls", ("--max_length", 128, "--per_device_train_batch_size", 32)),
        ("zoo.nlp.rnn_cls", ("--per_device_train_batch_size", 64)),
        ("zoo.vision.cnn_cls", ("--per_device_train_batch_size", 256)),
    ],
)
def test_it_is_what_a_run_takes(
    module: str, flags: tuple[object, ...], small_bert: Path, tmp_path: Path
) -> None:
    """Within a factor of 1.5 of the peak of the process, told before the training."""
    more = ("--model", small_bert) if module == "zoo.nlp.bert_cls" else ()
    words = ("finetune", *flags, *more, "--max_steps", 3, "--output_dir", tmp_path / "run")
    quick = ("--report_to", "none", "--eval_strategy", "no", "--max_eval_samples", 64)
    done = run_process(module, *words, *quick, "--dtype", "fp32")
    assert done.code == 0, done.err
    said = re.search(r"of training and ([\d.]+) GiB", done.err)
    assert said is not None
    (peak,) = (
        fact["value"]
        for fact in lines(tmp_path / "run" / "evidence.jsonl")
        if fact["name"] == "train_peak_memory"
    )
    assert 1 / 1.5 < float(said[1]) * GIB / peak < 1.5


def test_every_optimizer_is_forecast() -> None:
    known = get_args(get_type_hints(TrainArgs)["optim"])
    assert set(known) == set(MOMENTS)
