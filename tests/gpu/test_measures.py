"""What is measured of a GPU, on one: `pytest -m gpu`. That numbers are told, and hang together; how
large they are is for who measures."""

from pathlib import Path

import pytest
import torch

from bench import cli
from bench.measures import ceilings, clocks, device_time, energy
from tests import tiny_models
from tests.bench.jobs import job
from zoo.machine import environment, nvml

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="no GPU is visible to these tests: `pytest -m gpu` on a machine that has one",
    ),
]


def test_nvml_tells_of_the_gpu_that_torch_computes_on() -> None:
    gpu = nvml.open_gpu("cuda")
    matrix = torch.ones(4096, 4096, device="cuda")
    before = gpu.energy()
    seen = clocks.warm(lambda: matrix @ matrix, torch.cuda.synchronize, gpu.clock)
    assert gpu.energy() > before, "another GPU is looked at"
    assert 0 < max(seen) <= gpu.highest_clock()
    machine = environment.machine(gpu=True)
    assert machine["gpu_clock_mhz"] == gpu.highest_clock() and machine["gpu_power_limit_w"] > 0


@pytest.mark.parametrize("name", ["fp32", "tf32", "fp16", "bf16", "int8", "fp8"])
def test_products_of_every_dtype_that_the_chip_has(name: str) -> None:
    if name not in ceilings._worth_a_try("cuda"):
        pytest.skip(f"this GPU has no {name}")
    found = ceilings.gemm(name, 256, "cuda")()
    assert found.shape == (256, 256) and bool(found.float().isfinite().all())


def test_host_and_device() -> None:
    found = device_time.measure(job("Products", size=2048, device="cuda"))
    values = {name: each.value for name, each in found.values.items()}
    assert 0 < values["busy"] <= 1.1 * values["device"] and 0 <= values["waited"] < 1
    assert values["host"] > 0 and values["sm_clock"] > 0, found.reason


def test_energy_above_rest() -> None:
    found = energy.measure(job("Products", size=4096, device="cuda"))
    if found.status == "not_measured":
        pytest.skip(found.reason)
    values = {name: each.value for name, each in found.values.items()}
    assert values["power"] > values["idle_power"] > 0
    assert 0 < values["call_above_idle"] < values["call"]


def test_a_deployment_is_decided(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    words = ("decide", folder, "--device", "cuda", "--minutes", 1.5, "--max_drop", 0.5)
    words += ("--max_eval_samples", 32, "--deployments", "eager+fp16", "eager+tf32")
    code = cli.main([str(word) for word in words])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert "winner: " in told.out and "eager+fp16" in told.out
