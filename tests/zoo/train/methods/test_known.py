"""Methods of training: which are asked for, and that an unknown one takes part everywhere."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from tasks.base import Batch, Loss
from tasks.printing import print_lines
from tests.finetuning import EXACT, finetune, lines
from zoo.store import evidence
from zoo.train import finetune as module
from zoo.train.args import TrainArgs
from zoo.train.methods import known
from zoo.train.methods.base import Data, FinetuneResult, Hook, Learning, Method, Named, Saved
from zoo.train.methods.distillation import Distillation
from zoo.train.methods.ema import WeightAverage
from zoo.train.methods.faster import Speedups
from zoo.train.methods.precision import Autocast, Bf16Training
from zoo.train.methods.qat import QuantizationAware
from zoo.train.methods.semi_supervised import UnlabelledData
from zoo.train.methods.tuning import GradualUnfreezing, Tuning


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, [Speedups]),
        ({"speedups": False}, []),
        ({"torch_compile": True, "tune": "gradual", "ema_decay": 0.9}, []),
        ({"tune": "lora"}, [Speedups, Tuning]),
        ({"dropout": 0.0}, [Speedups, Tuning]),
        ({"gradient_checkpointing": True, "speedups": False}, [Tuning]),
        ({"qat": "x"}, [Speedups, QuantizationAware]),
        ({"ssl": "pseudo", "tune": "head"}, [Speedups, Tuning, UnlabelledData]),
        ({"teacher": "x"}, [Speedups, Distillation]),
    ],
)
def test_what_flags_ask_of_a_fine_tune(flags: dict[str, Any], expected: list[type]) -> None:
    setup = SimpleNamespace(args=TrainArgs(**flags))
    assert [type(method) for method in known.methods_of(setup)] == expected


@pytest.mark.parametrize(
    ("flags", "dtype", "ranks", "expected"),
    [
        ({}, torch.float32, 1, [Autocast]),
        ({}, torch.bfloat16, 1, [Bf16Training]),
        ({}, torch.bfloat16, 2, [Autocast]),
        ({"speedups": False}, torch.bfloat16, 1, [Autocast]),
        ({"tune": "gradual"}, torch.float32, 1, [Autocast, GradualUnfreezing]),
        ({"ema_decay": 0.9}, torch.bfloat16, 1, [Bf16Training, WeightAverage]),
    ],
)
def test_what_flags_ask_of_the_loop(
    flags: dict[str, Any], dtype: torch.dtype, ranks: int, expected: list[type]
) -> None:
    accelerator = SimpleNamespace(num_processes=ranks, device=torch.device("cpu"))
    hooks = known.hooks_of(TrainArgs(**flags), accelerator, dtype)
    assert [type(hook) for hook in hooks] == expected


@pytest.mark.parametrize(
    ("flags", "rows"),
    [({"ssl": "pseudo", "unlabeled_ratio": 3}, 3), ({"ssl": "fixmatch"}, 14)],
)
def test_rows_beside_a_labelled_one(flags: dict[str, Any], rows: int) -> None:
    """fixmatch sees each unlabelled one in two views; a forecast counts them."""
    (method,) = known.methods_of(SimpleNamespace(args=TrainArgs(speedups=False, **flags)))
    assert method.rows_beside == rows and method.sees_more


def test_a_distance_of_layers_asks_for_whole_layers() -> None:
    setups = (SimpleNamespace(args=TrainArgs(teacher="x", distill_hidden=h)) for h in (0.0, 0.5))
    assert [Distillation(setup).reads_layers for setup in setups] == [False, True]


class Probe(Method):
    """Triples the loss, saves zeros, and says where it was called."""

    calls: ClassVar[list[str]] = []

    @classmethod
    def is_asked(cls, args: TrainArgs) -> bool:
        return True

    def look(self) -> None:
        self.calls.append("look")

    def read(self, task: Any, processor: Any) -> None:
        self.calls.append("read")

    def manifest(self) -> dict[str, Any]:
        return {"probe": {"rows": 7}}

    def features(self, task: Any) -> dict[str, Any]:
        self.calls.append("features")
        return {"more": range(7)}

    def model(self, model: nn.Module, data: Data) -> nn.Module:
        self.calls.append("model")
        assert data.beside == {"more": range(7)}
        return model

    def learning(self, learning: Learning, model: nn.Module, data: Data) -> Learning:
        self.calls.append("learning")

        def tripled(model: nn.Module, batch: Batch) -> Loss:
            loss = learning.objective(model, batch)
            return Loss(3 * loss.sum, loss.count, loss.logs)

        return Learning(learning.features, learning.collate, tripled)

    def to_save(self, model: nn.Module) -> Saved:
        zeros = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
        return Saved(model, zeros, lambda folder: (folder / "beside").mkdir(exist_ok=True))

    def finish(self, result: FinetuneResult) -> None:
        self.calls.append(f"finish on {result.split}")

    def facts(self, student: Sequence[evidence.Fact]) -> list[evidence.Fact]:
        whose = {"subject": student[0].subject, "run": student[0].run}
        return [evidence.fact("size", "probe", 7, "1", **whose)]

    def show(self) -> None:
        print_lines("probed")


def test_a_method_that_nobody_knows(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = (*EXACT, "--max_steps", 1, "--eval_strategy", "no")
    plain = finetune(tiny_bert, reviews, tmp_path / "plain", *flags)
    monkeypatch.setattr(known, "METHODS", (*known.METHODS, Probe))
    monkeypatch.setattr(Probe, "calls", [])
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags)
    assert Probe.calls == ["look", "read", "features", "model", "learning", "finish on test"]
    assert run.losses == pytest.approx([3 * loss for loss in plain.losses], rel=1e-6)
    assert run.manifest["probe"] == {"rows": 7} and "probe" not in plain.manifest
    assert all(not tensor.any() for tensor in run.weights().values())
    assert (run.folder / "beside").is_dir()
    assert "7 more" in run.done.err
    assert run.done.out.rstrip().endswith("probed")
    (fact,) = [one for one in lines(run.folder / "evidence.jsonl") if one["name"] == "probe"]
    assert fact["value"] == 7


class Recorder(Hook):
    """Saves the negative of the weights, and counts in every state how often it was called."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("pass", "backward", "step"), 0)
        self.done: list[float] = []

    def attach(self, model: nn.Module, named: Named) -> Named:
        assert all(named[name] is parameter for name, parameter in model.named_parameters())
        return named

    def begin(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        yield
        self.counts["pass"] += 1

    def before_step(self, done: float) -> None:
        self.done.append(done)

    def after_backward(self) -> None:
        self.counts["backward"] += 1

    def after_step(self) -> None:
        assert all(parameter.grad is None for parameter in self.parameters)
        self.counts["step"] += 1

    @contextlib.contextmanager
    def as_saved(self) -> Iterator[None]:
        self._negate()
        yield
        self._negate()

    def _negate(self) -> None:
        with torch.no_grad():
            for parameter in self.parameters:
                parameter.neg_()

    def state(self) -> dict[str, Named]:
        return {"counts": {name: torch.tensor(n) for name, n in self.counts.items()}}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        self.counts = {name: int(tensor) for name, tensor in tensors["counts"].items()}


def test_a_hook_is_part_of_every_step_and_of_what_is_saved(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    recorders: list[Recorder] = []

    def with_recorder(*asked: Any) -> list[Hook]:
        recorders.append(Recorder())
        return [*known.hooks_of(*asked), recorders[-1]]

    monkeypatch.setattr(module, "hooks_of", with_recorder)
    flags = (*EXACT, "--max_steps", 4, "--gradient_accumulation_steps", 2)
    flags = (*flags, "--no-speedups", "--per_device_train_batch_size", 8, "--save_steps", 2)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags)
    expected = {"pass": 8, "backward": 8, "step": 4}
    assert recorders[0].counts == expected and recorders[0].done == [0, 0.25, 0.5, 0.75]
    last = run.folder / "state" / "step-00000004"
    weights = load_file(last / "weights.safetensors")
    assert all(torch.equal(-weights[name], saved) for name, saved in run.weights().items())
    files = json.loads((last / "progress.json").read_text())["files"]
    assert [*files] == [f"{n}.safetensors" for n in ("weights", "optimizer", "counts")]
    shutil.rmtree(last)
    finetune(tiny_bert, reviews, run.folder, *flags, "--resume")
    assert recorders[1].counts == expected and recorders[1].done == [0.5, 0.75]
    again = load_file(last / "weights.safetensors")
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())
