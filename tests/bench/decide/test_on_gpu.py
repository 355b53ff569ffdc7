"""Deciding on a GPU, with the GPU made up: the processor computes in its place."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import cli
from bench.decide import options, search
from bench.decide.successive_halving import Halved
from bench.measures import memory
from bench.record.results import MeasureResult, Value
from tests import tiny_models
from tests.fake_nvml import see_a_gpu
from tests.runner_on_gpu import OnGpu
from tests.zoo.measure.machine import Machine, Noise
from zoo import runtimes
from zoo.deploy import export
from zoo.deploy.candidate import DeploymentBuilder
from zoo.deploy.export import ExportSource
from zoo.measure import Arm, Outcome, Plan, compare
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.torch_runner import must_compute
from zoo.store import evidence


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cnn")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A T4, on a machine without torchao and TensorRT: it has no bf16."""
    see_a_gpu(monkeypatch, (7, 5))
    find, load = importlib.util.find_spec, runtimes.load
    absent = ("torchao", "tensorrt")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in absent else find(name)
    )

    def loaded(folder: Path, deployment: Deployment, device: str, **_: Any) -> Runner:
        assert device == "cuda"
        must_compute(deployment, device)
        runner = load(folder, "eager")
        runner.deployment = deployment
        return OnGpu(runner)

    monkeypatch.setattr(runtimes, "load", loaded)
    build = export.build

    def built(*asked: Any) -> Any:
        with monkeypatch.context() as patch:  # torch.export looks for the GPU, too
            patch.setattr(torch.cuda, "is_available", lambda: False)
            return build(*asked)

    monkeypatch.setattr(export, "build", built)


def test_what_is_not_there_is_one_line_and_the_rest_goes_on(
    gpu: None, checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    original = ExportSource.open(checkpoint)
    samples = original.samples("validation", limit=32)
    builder = DeploymentBuilder(original, tmp_path, samples, 1, "cuda")
    make = options.maker(builder, None, 0.01)
    made = {one.name: one for one in map(make, options.asked([], "cuda"))}
    sound = [name for name, one in made.items() if not one.fault]
    assert sound == [
        *("eager", "eager+fp16", "compile+fp16", "compile:reduce-overhead+fp16"),
        *("compile", "compile:reduce-overhead"),
    ]
    for name, one in made.items():
        if "bf16" in name or "tf32" in name:
            assert "is for GPUs of compute capability 8.0 on, and this one has 7.5" in one.fault
        if name.startswith("torchao"):
            assert one.fault.endswith("torchao is not installed: pip install -e '.[torchao]'")
        assert "\n" not in one.fault
    assert "has no CUDAExecutionProvider: pip install onnxruntime-gpu" in made["onnx"].fault
    assert "tensorrt is not installed" in made["tensorrt+fp16"].fault


def test_nothing_is_exported_for_what_runs_the_checkpoint(
    gpu: None, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchao's recipes are no ONNX programs: none is made, which also may not be possible here."""
    from zoo.quantization import quantize
    from zoo.runtimes import torchao
    from zoo.runtimes.known import Runtime

    def prepare(*_: Any) -> None:
        raise AssertionError("an export")

    monkeypatch.setattr(quantize, "prepare", prepare)
    monkeypatch.setattr(Runtime, "missing", lambda one: None)
    monkeypatch.setattr(torchao, "lacking", lambda numerics: None)
    original = ExportSource.open(checkpoint)
    samples = original.samples("validation", limit=32)
    builder = DeploymentBuilder(original, tmp_path, samples, 1, "cuda")
    make = options.maker(builder, None, 0.01)
    assert make(Deployment.parse("torchao+int8-dynamic")).fault == ""


def test_the_verb(
    gpu: None,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Times are those of a machine that does not exist; memory is the GPU's."""
    machine = Machine(0, Noise())

    def compared(arms: list[Arm], plan: Plan, **_: Any) -> Outcome:
        assert {arm.kwargs["device"] for arm in arms} == {"cuda"}
        made_up = [
            Arm(arm.name, arm.target, {"times": 1 if "fp16" in arm.name else 3}) for arm in arms
        ]
        return compare(made_up, Plan(budget_s=5.0), start=machine.start, clock=machine.now)

    def everyone(arms: list[Arm], *_: Any, **__: Any) -> Halved:
        return Halved(tuple(arm.name for arm in arms), (), ())

    sizes = {"peak": Value(9e9, "bytes"), "gpu_allocated": Value(5e6, "bytes")}
    found = MeasureResult(sizes | {"size_on_disk": Value(1e6, "bytes")})
    monkeypatch.setattr(search, "choose_device", torch.device)
    monkeypatch.setattr(search, "compare", compared)
    monkeypatch.setattr(search, "halve", everyone)
    monkeypatch.setattr(memory, "of", lambda arm, timeout_s: found)
    before = len(evidence.read(checkpoint))
    words = ("decide", checkpoint, "--device", "cuda", "--max_eval_samples", 32, "--deployments")
    assert cli.main([str(word) for word in (*words, "eager+fp16", "eager+bf16")]) == 0
    out = capsys.readouterr().out
    assert "winner: eager+fp16" in out and "--deployment eager+fp16 --device cuda" in out
    facts = evidence.read(checkpoint)[before:]
    assert {fact.device for fact in facts} == {"cuda"}
    assert {fact.value for fact in facts if fact.name == "peak_memory"} == {5e6}


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cuda", "--device cuda is not there"),
        ("mps", "--device mps: decide knows cpu and cuda"),
        ("gpu", "no device 'gpu'"),
    ],
)
def test_a_device_that_is_not_there(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], device: str, said: str
) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    assert cli.main(["decide", str(checkpoint), "--device", device]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_a_runtime_of_another_allocator_takes_is_not_told() -> None:
    assert memory._allocates_by_torch({"deployment": "compile:reduce-overhead+bf16"})
    assert memory._allocates_by_torch({"size": 3})
    assert not memory._allocates_by_torch({"deployment": "onnx"})
