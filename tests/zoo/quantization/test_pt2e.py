"""PT2E: what it makes of the networks, when it is tried, and (slow) its whole way through
`quantize`."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import tiny_models
from tests.cli import run_cli
from zoo.deploy import parity
from zoo.deploy.candidate import Candidate
from zoo.deploy.export import ExportSource, quiet
from zoo.model import registry
from zoo.model.network import network_of
from zoo.quantization import calibration, quantize, recipes
from zoo.runtimes import aoti
from zoo.runtimes.known import Runtime

DEPLOYMENT = "aoti+int8-static"


@pytest.fixture(scope="module", params=["cnn_cls", "resnet_cls", "bert_cls"])
def original(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ExportSource:
    pytest.importorskip("torchao")
    folder = tmp_path_factory.mktemp(request.param)
    return ExportSource.open(tiny_models.checkpoint(request.param, request.getfixturevalue, folder))


def test_it_computes_what_its_source_does(
    original: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the compiling, which keeps to what it is given: any batch, plain strides."""
    from zoo.quantization import pt2e

    made: list[Any] = []
    monkeypatch.setattr(aoti, "compile_program", lambda program, folder: made.append(program) or {})
    feeds = calibration.feeds(original, None)[:3]
    with quiet():
        pt2e.build(original, feeds, tmp_path)
    program = made[0]
    tensors = [*program.state_dict.values(), *program.constants.values()]
    assert sum(one.dtype == torch.int8 for one in tensors) >= 5
    assert all(one.is_contiguous() for one in program.example_inputs[1].values())
    run = program.module()
    for rows in (1, 5):
        inputs = {name: torch.from_numpy(array[:rows]) for name, array in feeds[0].items()}
        with torch.inference_mode():
            found, wanted = run(**inputs).logits, original.model(**inputs).logits
        noise = parity.sqnr(wanted.numpy(), found.numpy())
        assert noise > 12 or parity.error(found, wanted) < 0.05, noise
        assert not np.array_equal(found, wanted), "it is not quantized"


def _left_out(name: str) -> str | None:
    _, out = recipes.fitting(network_of(registry.find("cnn_cls")), None)
    return next((why for one, why in out if str(one.deployment) == name), None)


def test_it_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"onnx", "onnxscript", "onnxruntime", "openvino"}
    monkeypatch.setattr(
        Runtime, "missing", lambda one: None if set(one.packages) <= there else f"no {one.packages}"
    )
    assert _left_out(DEPLOYMENT) == "no ('torchao',)"
    monkeypatch.setattr(Runtime, "missing", lambda one: None)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert _left_out(DEPLOYMENT) == "is for processors of x86_64, not aarch64"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert _left_out(DEPLOYMENT) is None


@pytest.mark.slow  # compiles for a minute
def test_the_whole_way(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made, proven in its compiled form, put in place, trusted, evaluated and verified."""
    from zoo.measure import Estimate, Interval

    pytest.importorskip("torchao")
    kept = tuple(one for one in recipes.RECIPES if str(one.deployment) == DEPLOYMENT)
    monkeypatch.setattr(recipes, "RECIPES", kept)

    def time_all(_: Any, candidates: list[Candidate], args: Any, inputs: Path) -> Estimate:
        estimate = Estimate(2.0, Interval(1.9, 2.1, 0.99, "made up"), 5)
        timed: Any = type("Timed", (), {"speedup": estimate, "median": estimate})
        for one in candidates:
            one.compared = one.times = timed
        return estimate

    monkeypatch.setattr(quantize, "time_all", time_all)
    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    done = run_cli("zoo.vision.cnn_cls", "quantize", folder, "--max_drop", 0.5)
    assert done.code == 0, done.err
    ours = json.loads((folder / "artifacts" / DEPLOYMENT / "export.json").read_text())["zoo"]
    assert ours["calibration_samples"] == 48 and ours["fp32_layers"] == []
    done = run_cli("zoo.vision.cnn_cls", "evaluate", folder, "--deployment", DEPLOYMENT)
    assert done.code == 0, done.err
    done = run_cli("zoo", "verify", folder)
    assert done.code == 0, done.out


def test_layers_are_not_ranked_for_it() -> None:
    """Their names are those of the ONNX program, which this one does not have."""
    from zoo.evaluation.paired_test import MetricDrop

    lossy = MetricDrop(0.4, 0.3, 0.5, 10, "made up")
    tried: list[Any] = []

    class Builder:
        original: Any = None

        def make(self, deployment: Any, build: Any, excluded: Any) -> Candidate:
            tried.append(deployment)
            found: Any = object()
            return Candidate(deployment, artifact=found, drop=lossy)

    nothing: Any = None  # a ranking would ask it for feeds
    builder: Any = Builder()
    recipe = next(one for one in recipes.RECIPES if str(one.deployment) == DEPLOYMENT)
    best = quantize.attempt(builder, recipe, nothing, 0.01)
    assert best.drop is lossy and not best.fault and tried == [recipe.deployment]


def test_its_network_takes_static() -> None:
    for name in ("cnn_cls", "resnet_cls", "bert_cls"):
        assert "static" in network_of(registry.find(name)).quantization_methods
