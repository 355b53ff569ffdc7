"""torchao's recipes for GPUs, with the GPU made up: that the arithmetic is right has to be seen on
one."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tasks.errors import UserError
from tests import tiny_models
from tests.cli import run_cli
from tests.fake_nvml import see_a_gpu
from tests.runner_on_gpu import OnGpu
from zoo.measure import Estimate, Interval
from zoo.model import registry
from zoo.model.network import network_of
from zoo.quantization import quantize, recipes
from zoo.runtimes import eager, torchao
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import Runtime
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature
from zoo.runtimes.torch_runner import TorchRunner
from zoo.store import evidence

MODEL = "zoo.vision.cnn_cls"
ANY = network_of(registry.find("cnn_cls"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An A100."""
    see_a_gpu(monkeypatch, (8, 0))
    monkeypatch.setattr(Runtime, "missing", lambda one: None)


def test_what_the_chip_has(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, out = recipes.fitting(ANY, None, "cuda")
    assert [str(one.deployment) for one in fit] == [
        "torchao+int8-dynamic", "torchao+int8-weight-only", "torchao+int4-weight-only"
    ]  # fmt: skip
    reasons = {str(one.deployment): why for one, why in out}
    assert reasons["torchao+fp8-dynamic"] == (
        "is for GPUs of compute capability 8.9 on, and this one has 8.0"
    )
    assert reasons["onnx+int8-static"] == "is tried with `device` cpu"
    see_a_gpu(monkeypatch, (7, 5))
    assert torchao.lacking("int4-weight-only") and not torchao.lacking("int8-dynamic")
    see_a_gpu(monkeypatch, (9, 0))
    assert not any(map(torchao.lacking, torchao.CONFIGS))
    assert [one.method for one in recipes.fitting(ANY, "weight-only", "cuda")[0]] == [
        "weight-only"
    ] * 2


def test_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Runtime, "missing", lambda one: None)
    for device in ("cpu", "cuda"):
        fit, out = recipes.fitting(ANY, None, device)
        reasons = {str(one.deployment): why for one, why in out}
        for numerics in torchao.CONFIGS:
            assert reasons[f"torchao+{numerics}"] == "is for GPUs, and there is none here"
        assert bool(fit) == (device == "cpu")


def test_without_torchao_one_line_says_how_to_get_it(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what else there is to try; no word of recipes that are not for GPUs."""
    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    see_a_gpu(monkeypatch)
    monkeypatch.setattr("importlib.util.find_spec", _all_but("torchao"))
    done = run_cli(MODEL, "quantize", folder, "--device", "cuda")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "torchao+int8-dynamic: torchao is not installed: pip install -e '.[torchao]'" in done.err
    assert "bench decide --device cuda tries bf16, fp16 and compiled programs" in done.err


def _all_but(absent: str) -> Callable[..., Any]:
    """As `importlib.util.find_spec`, where one package is not installed."""
    find = importlib.util.find_spec
    return lambda name, *more: None if name == absent else find(name, *more)


def test_layers_are_quantized_or_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchao passes over layers of other sizes; a network of such alone would be fp32."""
    quantization = pytest.importorskip("torchao.quantization")
    network = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    assert torchao.quantized_layers(network) == 0
    name, settings = torchao.CONFIGS["int8-weight-only"]
    quantization.quantize_(network, getattr(quantization, name)(**settings))
    assert torchao.quantized_layers(network) == 2
    runner = TorchRunner(nn.ReLU(), Deployment("eager"), Signature((), ("y",), {}), "cpu", None)
    monkeypatch.setattr(eager, "load_network_runner", lambda *_: runner)
    checkpoint: Any = None
    with pytest.raises(UserError, match="none of its linear layers has the sizes"):
        torchao.load(checkpoint, Deployment("torchao", "int8-dynamic"), "cpu", None)


def test_every_configuration_is_one_of_torchao() -> None:
    quantization = pytest.importorskip("torchao.quantization")
    for name, settings in torchao.CONFIGS.values():
        made = getattr(quantization, name)(**settings)
        assert {field: getattr(made, field) for field in settings} == settings


def test_the_rest_is_bf16_where_the_chip_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torchao.base("cpu") == Deployment("eager", "fp32")
    see_a_gpu(monkeypatch, (9, 0))
    assert torchao.base("cuda") == Deployment("eager", "bf16")
    see_a_gpu(monkeypatch, (7, 5))
    assert torchao.base("cuda:0") == Deployment("eager", "fp32")


def test_the_checkpoint_runs_itself(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put in place; the evidence is about the checkpoint, on a GPU."""
    pytest.importorskip("onnxruntime")
    from zoo import runtimes

    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    load = runtimes.load

    def loaded(checkpoint: Path, deployment: Deployment, device: str) -> Runner:
        assert device == "cuda"
        runner = load(checkpoint, "eager")
        runner.deployment = deployment
        return OnGpu(runner)

    def time_all(_: Any, candidates: Any, args: Any, inputs: Path, *more: Any) -> Estimate:
        assert args.device == "cuda"
        estimate = Estimate(2.0, Interval(1.9, 2.1, 0.99, "made up"), 5)
        for one in candidates:
            one.compared = one.times = type("Timed", (), {"speedup": estimate, "median": estimate})
        return estimate

    monkeypatch.setattr(torchao, "lacking", lambda numerics: None)
    monkeypatch.setattr(Runtime, "missing", lambda one: None)
    monkeypatch.setattr(runtimes, "load", loaded)
    monkeypatch.setattr(quantize, "time_all", time_all)
    before = (folder / "evidence.jsonl").read_text().splitlines()
    done = run_cli(MODEL, "quantize", folder, "--device", "cuda", "--max_eval_samples", 32)
    assert done.code == 0, done.err
    assert f"{folder} --deployment torchao+int8-dynamic" in done.out
    assert not (folder / "artifacts").exists()
    lines = (folder / "evidence.jsonl").read_text().splitlines()[len(before) :]
    facts = [json.loads(line) for line in lines]
    assert {fact["device"] for fact in facts} == {"cuda"}
    assert {fact["subject"] for fact in facts} == {evidence.subject_digest(folder)}
    assert {"accuracy_drop", "speedup", "latency", "sqnr"} - {f["name"] for f in facts} <= {"sqnr"}
    assert "artifact_size" not in {fact["name"] for fact in facts}
