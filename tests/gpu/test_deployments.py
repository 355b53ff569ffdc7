"""What is deployed on a GPU must answer as eager fp32 does there, and quantize by contract."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import UserError
from tests import tiny_models
from tests.cli import run_cli
from tests.gpu.where import DEVICE, IS_CPU, MARKS, needs_cuda
from zoo import runtimes
from zoo.model.modality import modality_of
from zoo.model.network import load_network
from zoo.runtimes.deployment import Deployment
from zoo.store.checkpoint import open_checkpoint

pytestmark = MARKS
MODELS = ("bert_cls", "cnn_cls", "kws_cls")
COMPUTED = ("eager+bf16", "compile", "compile:reduce-overhead", "compile+bf16")
ON_CUDA = ("eager+tf32", "eager+fp16", "compile:max-autotune")
"""A processor has no TF32, is slow in fp16, and tunes for minutes."""
EXPORTED = ("onnx", "tensorrt")

Checkpoints = Callable[[str], Path]


@pytest.fixture(scope="module")
def checkpoints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoints:
    """A trained checkpoint of a name, made once."""
    made: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = tiny_models.checkpoint(name, request.getfixturevalue, folder)
        return made[name]

    return give


@pytest.mark.parametrize(
    "deployment", [*COMPUTED, *(pytest.param(each, marks=needs_cuda) for each in ON_CUDA)]
)
@pytest.mark.parametrize("name", MODELS)
def test_numerics_and_compile_modes(name: str, deployment: str, checkpoints: Checkpoints) -> None:
    must_agree(checkpoints(name), Deployment.parse(deployment))


@pytest.mark.parametrize("runtime", EXPORTED)
@pytest.mark.parametrize("name", MODELS)
def test_exported_programs(name: str, runtime: str, checkpoints: Checkpoints) -> None:
    """Where this machine has what runs them on its GPU."""
    folder, deployment = checkpoints(name), Deployment.parse(runtime)
    try:
        runtimes.must_be_available(deployment, DEVICE)
    except UserError as error:
        pytest.skip(str(error))
    module = tiny_models.MODELS[name][0]
    done = run_cli(module, "export", folder, "--runtime", runtime)
    assert done.code == 0, done.err
    try:
        runtimes.load(folder, deployment, DEVICE)
    except UserError as error:  # onnxruntime is there, in a build without CUDA
        assert "CUDA" in str(error) and not IS_CPU, error
        pytest.skip(str(error))
    must_agree(folder, deployment)


def must_agree(folder: Path, deployment: Deployment) -> None:
    """Fails where outputs are not those of eager fp32 on the same device."""
    checkpoint = open_checkpoint(folder)
    modality = modality_of(checkpoint.entry)
    eager = runtimes.load(folder, Deployment("eager"), DEVICE)
    runner = runtimes.load(folder, deployment, DEVICE)
    network, _ = load_network(checkpoint, torch.device("cpu"))
    rough = any(each in str(deployment) for each in ("bf16", "fp16"))
    kept: list[tuple[str, np.ndarray, object]] = []
    for batch in (1, 3, 3):  # a graph that was captured is replayed
        sizes = dict.fromkeys(runner.signature.limits, 16) | {"batch": batch}
        sizes = {
            size: int(np.clip(value, *runner.signature.limits[size]))
            for size, value in sizes.items()
            if size in runner.signature.limits
        }
        inputs = modality.random_inputs(runner.signature, sizes, network, len(kept))
        theirs = {name: host(each) for name, each in eager.run(inputs).items()}
        for output, found in runner.run(inputs).items():
            kept.append((output, theirs[output], found))
    for output, wanted, found in kept:  # only now: a replay must not have written over them
        error = np.abs(wanted - host(found)).max()
        limit = (0.05 if rough else 5e-3) * np.abs(wanted).max()
        assert error <= limit, f"{output}: {error}, more than {limit}"


def host(output: object) -> np.ndarray:
    """An output of a runner as float32 on the processor."""
    return torch.as_tensor(output).float().cpu().numpy()


@needs_cuda
def test_torchao_is_quantized_by_contract(checkpoints: Checkpoints) -> None:
    """The recipes for GPUs are tried, timed and told in a table, without an ONNX program."""
    pytest.importorskip("torchao")
    folder = checkpoints("bert_cls")
    words = ("quantize", folder, "--device", DEVICE, "--max_eval_samples", 32)
    done = run_cli("zoo.nlp.bert_cls", *words, "--minutes", 2, "--min_speedup", 0.01)
    assert done.code in (0, 1), done.err
    assert "torchao+int8-dynamic" in done.out and "Traceback" not in done.err
