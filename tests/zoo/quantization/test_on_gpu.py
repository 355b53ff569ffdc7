"""torchao's recipes for GPUs, with the GPU made up: that the arithmetic is right has to be seen on
one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny_models
from tests.cli import run_cli
from zoo.measure import Estimate, Interval
from zoo.model import registry
from zoo.model.network import network_of
from zoo.quantization import quantize, recipes
from zoo.runtimes import torchao
from zoo.runtimes.known import Runtime
from zoo.runtimes.runner import Runner
from zoo.store import evidence

MODEL = "zoo.vision.cnn_cls"
ANY = network_of(registry.find("cnn_cls"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An A100."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
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
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert torchao.lacking("int4-weight-only") and not torchao.lacking("int8-dynamic")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
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


class OnGpu(Runner):
    """Gives tensors, as runners on a GPU do."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.deployment, runner.signature, "cuda", None)
        self.runner = runner

    def run(self, inputs: Any) -> dict[str, Any]:
        return {name: torch.from_numpy(a) for name, a in self.runner.run(inputs).items()}


def test_the_checkpoint_runs_itself(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put in place; the evidence is about the checkpoint, on a GPU."""
    pytest.importorskip("onnxruntime")
    from zoo import runtimes
    from zoo.runtimes.deployment import Deployment

    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    load = runtimes.load

    def loaded(checkpoint: Path, deployment: Deployment, device: str) -> Runner:
        assert device == "cuda"
        runner = load(checkpoint, "eager")
        runner.deployment = deployment
        return OnGpu(runner)

    def time_all(_: Any, candidates: Any, args: Any, inputs: Path) -> Estimate:
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
