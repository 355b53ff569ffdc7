"""When samples are packed: as asked, and by itself on a GPU where it pays."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import UserError
from tasks.nlp.text_classification import Args, TextClassification
from tasks.vision import image_classification
from zoo.train.args import TrainArgs
from zoo.train.methods import packing as module
from zoo.train.methods.base import Learning
from zoo.train.methods.packing import Packing
from zoo.train.resume.progress import Progress

KIND = "single_label_classification"
TEXT = TextClassification(Args(), ("a", "b"), KIND)
IMAGE = image_classification.ImageClassification(image_classification.Args(), ("a",), KIND)
LENGTHS = np.random.default_rng(0).integers(5, 60, 1000)


class Network:
    """Packs whatever it is given."""

    def __init__(self, fault: str | None = None, slow: str | None = None) -> None:
        self.fault, self.slow = fault, slow
        self.packed: list[Any] = []

    def packing_fault(self, model: Any) -> str | None:
        return self.fault

    def packing_is_slow(self, model: Any, device: Any, dtype: Any) -> str | None:
        return self.slow

    def prepare_packing(self, model: Any, shape: Any) -> None:
        self.packed.append(shape)


@dataclass
class Sized:
    """Features of which only sizes are known."""

    lengths: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)


def _learned(
    monkeypatch: pytest.MonkeyPatch,
    network: Network,
    flags: dict[str, Any],
    *,
    task: Any = TEXT,
    device: str = "cuda",
    lengths: np.ndarray = LENGTHS,
    rows: int = 1,
    begun: Progress | None = None,
) -> Learning:
    """What is learned from, by a run on some device."""
    setup: Any = SimpleNamespace(
        args=TrainArgs(**flags),
        entry=None,
        device=torch.device(device),
        dtype=torch.bfloat16,
        is_main=True,
        accelerator=SimpleNamespace(num_processes=1),
        begun=begun,
    )
    features: Any = Sized(lengths, np.full(len(lengths), rows))
    data: Any = SimpleNamespace(task=task, features={"train": features})
    monkeypatch.setattr(module, "network_of", lambda entry: network)
    method = Packing(setup)
    model = method.model(torch.nn.Linear(1, 1), data)
    return method.learning(Learning(features, task.collate, None), model, data)  # type: ignore


def test_on_a_gpu_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network()
    learning = _learned(monkeypatch, network, {})
    shape = learning.packing
    assert network.packed == [shape] and shape is not None and shape.samples == 32
    assert shape.tokens >= LENGTHS.mean() * 32 and shape.longest == LENGTHS.max()
    batch = learning.collate([{"sample_id": 5, "input_ids": [[2, 3]], "label": 1}])
    assert batch.inputs["input_ids"].shape == (1, shape.tokens)
    err = capsys.readouterr().err
    assert err.startswith(f"packed: passes of {shape.tokens:,} tokens, 32 samples at most, ")


def test_a_run_that_goes_on_is_packed_in_the_order_it_was_begun_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it was packed, say, when batches were of like length."""
    shapes = [
        _learned(monkeypatch, Network(), flags, begun=begun).packing
        for flags, begun in (
            ({"train_sampling_strategy": "group_by_length"}, None),
            ({}, Progress(sampling="group_by_length")),
            ({}, None),
        )
    ]
    assert shapes[0] == shapes[1] != shapes[2]


LONG = np.where(np.arange(1000) == 7, 5000, LENGTHS)
CASES: list[tuple[Network, dict[str, Any], str]] = [
    (Network("it can't"), {}, "it can't"),
    (Network(slow="no kernel"), {}, "no kernel"),
    (Network(), {"rows": 2}, "text-classification reads long texts in windows"),
    (Network(), {"task": IMAGE}, "image-classification has no packed batches"),
    (Network(), {"lengths": LONG}, "the longest samples would leave passes half empty"),
]


@pytest.mark.parametrize(("network", "more", "expected"), CASES, ids=[c[2] for c in CASES])
def test_where_it_cannot_be_or_does_not_pay_a_gpu_run_says_why(
    network: Network,
    more: dict[str, Any],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    learning = _learned(monkeypatch, network, {}, **more)
    assert learning.packing is None and not network.packed
    assert capsys.readouterr().err == f"not packed: {expected}\n"
    if "half empty" in expected or network.slow:  # it can be, if that is asked for
        assert _learned(monkeypatch, network, {"packing": "on"}, **more).packing is not None
    else:
        with pytest.raises(UserError, match=f"`packing` on: {expected}; leave `packing` away"):
            _learned(monkeypatch, network, {"packing": "on"}, **more)


def test_a_cpu_packs_when_asked_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network(slow="no kernel")
    assert _learned(monkeypatch, network, {}, device="cpu").packing is None
    assert capsys.readouterr().err == ""
    assert _learned(monkeypatch, network, {"packing": "on"}, device="cpu").packing is not None


def test_steps_in_the_order_of_length_have_larger_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    by_length = {"packing": "on", "train_sampling_strategy": "group_by_length"}
    grouped = _learned(monkeypatch, Network(), by_length).packing
    mixed = _learned(monkeypatch, Network(), {"packing": "on"}).packing
    assert grouped is not None and mixed is not None and grouped.tokens > mixed.tokens
