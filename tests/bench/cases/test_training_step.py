"""A training step that is timed is that of `finetune`, whatever runs it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.cases import random_weights, targets, training_step
from bench.cases.training_step import TrainingStep
from tasks.errors import UserError
from tests.finetuning import finetune
from tests.tape import TapeRecorder
from zoo.speedups import fast_encoder
from zoo.speedups.compiled_layers import CompiledForward
from zoo.train import step_graphs

SIZE, BATCH = 8, 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return random_weights.checkpoint("cnn_cls", SIZE)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "inputs.npz"
    pixels = np.random.default_rng(0).normal(size=(BATCH, 3, SIZE, SIZE)).astype(np.float32)
    np.savez(path, pixel_values=pixels)
    return path


@pytest.fixture(scope="module")
def of_texts(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a classifier of texts."""
    flags = ("--max_steps", 1, "--eval_strategy", "no")
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("runs") / "run", *flags).folder


@pytest.fixture
def text_inputs(tmp_path: Path) -> Path:
    ids = np.random.default_rng(0).integers(5, 60, (BATCH, 12))
    path = tmp_path / "inputs.npz"
    np.savez(path, input_ids=ids, attention_mask=np.ones_like(ids))
    return path


def _step(checkpoint: Path, inputs: Path, deployment: str) -> TrainingStep:
    return training_step.training(str(checkpoint), deployment, str(inputs), "cpu", None)


def _loss(step: TrainingStep) -> float:
    loss = step.forward()
    return (loss.sum / loss.count).item()


def _same(one: TrainingStep, other: TrainingStep) -> bool:
    pairs = zip(one.step.parameters, other.step.parameters, strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("deployment", ["eager", "eager+bf16", "eager+autocast-bf16"])
def test_a_training_step_learns(checkpoint: Path, inputs: Path, deployment: str) -> None:
    step = _step(checkpoint, inputs, deployment)
    before = _loss(step)
    for _ in range(20):
        step.call()
    assert _loss(step) < 0.9 * before


def test_its_parts_are_the_step(checkpoint: Path, inputs: Path) -> None:
    whole, parts = (_step(checkpoint, inputs, "eager") for _ in range(2))
    for _ in range(3):
        whole.call()
        parts.backward(parts.forward())
        assert all(each.grad is not None for each in parts.step.parameters)
        parts.optimize()
        assert all(each.grad is None for each in parts.step.parameters)
    assert _same(whole, parts)


def test_outputs_are_those_of_inference(checkpoint: Path, inputs: Path) -> None:
    found = targets.inference(str(checkpoint), "eager", str(inputs), "cpu", None).call()
    logits = _step(checkpoint, inputs, "eager").outputs()["logits"]
    np.testing.assert_allclose(logits, found["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("deployment", ["onnx", "eager+fp16", "torchao+int8-dynamic"])
def test_what_does_not_train(checkpoint: Path, inputs: Path, deployment: str) -> None:
    with pytest.raises(UserError, match="does not train"):
        _step(checkpoint, inputs, deployment)


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[TapeRecorder]:
    """Those that take the place of CUDA graphs; encoders compute as on a GPU."""
    made: list[TapeRecorder] = []

    def recorder_for(device: object) -> TapeRecorder:
        made.append(TapeRecorder())
        return made[-1]

    monkeypatch.setattr(step_graphs, "recorder_for", recorder_for)
    monkeypatch.setattr(fast_encoder, "ATTENTION", fast_encoder.ATTENTION_ON_GPU)
    monkeypatch.setattr(fast_encoder, "replace_dropout", lambda model: None)
    monkeypatch.setattr(fast_encoder, "fast_dropout", nn.functional.dropout)
    return made


@pytest.mark.parametrize("numerics", ["", "+bf16"])
def test_a_replayed_step_is_the_step(
    of_texts: Path, text_inputs: Path, recorders: list[TapeRecorder], numerics: str
) -> None:
    """With dropout: a seed of each step reaches its replay."""
    plain = _step(of_texts, text_inputs, f"eager{numerics}")
    assert plain.graphs is None and not recorders
    step = _step(of_texts, text_inputs, f"eager:cuda-graphs{numerics}")
    before = step.outputs()
    for name, array in plain.outputs().items():
        assert np.array_equal(before[name], array)
    for _ in range(4):
        step.call()
    for _ in range(step_graphs.WARM_UP + 4):
        plain.call()
    (recorder,) = recorders
    assert recorder.recorded == 2 and recorder.replayed == 2 * 3
    assert _same(step, plain)


class Refuses(TapeRecorder):
    """Fails as a capture does, before anything is computed."""

    def record(self, work: object) -> object:  # type: ignore[override]
        raise RuntimeError("operation not permitted when stream is capturing")

    def recover(self) -> None:
        pass


def test_a_step_that_is_not_replayed_is_no_number(
    checkpoint: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_graphs, "recorder_for", lambda device: Refuses())
    step = _step(checkpoint, inputs, "eager:cuda-graphs")
    with pytest.raises(UserError, match="eager:cuda-graphs: steps are not replayed: operation"):
        step.call()


def test_where_there_are_no_cuda_graphs(checkpoint: Path, inputs: Path) -> None:
    said = "eager:cuda-graphs: no CUDA graphs: they are of NVIDIA's GPUs, and this trains on cpu"
    with pytest.raises(UserError, match=said):
        _step(checkpoint, inputs, "eager:cuda-graphs")
    with pytest.raises(UserError, match="eager:cuda-graphs is a way to train"):
        targets.inference(str(checkpoint), "eager:cuda-graphs", str(inputs), "cpu", None)


@pytest.mark.parametrize("deployment", ["compile", "compile:reduce-overhead"])
def test_layers_are_compiled(
    of_texts: Path,
    text_inputs: Path,
    deployment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a processor without CUDA graphs; the outputs that are proven are of the compiled code."""
    torch.compiler.reset()  # code that another test has compiled serves more shapes
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: compile_(f, backend="eager"))
    step, plain = (_step(of_texts, text_inputs, each) for each in (deployment, "eager"))
    forwards = [vars(module).get("forward") for module in step.model.modules()]
    layers = [forward for forward in forwards if isinstance(forward, CompiledForward)]
    assert layers and step.graphs is None
    called = []
    for layer in layers:
        monkeypatch.setattr(
            layer, "compiled", lambda *a, c=layer.compiled, **k: called.append(1) or c(*a, **k)
        )
    for name, array in step.outputs().items():
        np.testing.assert_allclose(plain.outputs()[name], array, rtol=1e-4, atol=1e-5)
    assert len(called) == len(layers)
    step.call()
    assert len(called) == 2 * len(layers)
    step.violations()
    step.call()
    assert step.violations() == []
    step.batch = training_step.with_targets(
        {name: tensor[:, :7] for name, tensor in step.batch.inputs.items()}, step.task
    )
    step.call()
    assert [said.partition(":")[0] for said in step.violations()] == ["frames compiled"]


def test_a_network_without_repeated_layers_is_compiled_whole(
    checkpoint: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda model, **given: asked.append(given) or model)
    for deployment in ("compile", "compile:reduce-overhead", "compile:max-autotune-static"):
        _step(checkpoint, inputs, deployment)
    usual = {"mode": None, "dynamic": True}
    assert asked == [usual, usual, {"mode": "max-autotune", "dynamic": False}]
