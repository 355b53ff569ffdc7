"""How PyTorch's runtimes compute on a GPU: as asked, and as before behind it; and that what they
give stays as it is when the next call comes."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.errors import UserError
from tests.fake_nvml import see_a_gpu
from zoo.deploy import proof
from zoo.deploy.candidate import OnHost
from zoo.runtimes import compiled
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature, TensorSpec
from zoo.runtimes.torch_runner import TorchRunner, must_compute


def _state() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def _computing(deployment: str, device: str) -> AbstractContextManager[None]:
    """The context in which a runner of that deployment computes."""
    signature = Signature((), ("y",), {"batch": (1, None)})
    runner = TorchRunner(nn.Identity(), Deployment.parse(deployment), signature, device, None)
    return runner.arithmetic()


@pytest.mark.parametrize(
    ("deployment", "wanted"),
    [("eager", ("highest", False)), ("compile:max-autotune+tf32", ("high", True))],
)
def test_inputs_are_rounded_where_it_is_asked_for(
    deployment: str, wanted: tuple[str, bool]
) -> None:
    before = _state()
    with pytest.raises(RuntimeError), _computing(deployment, "cuda:0"):
        assert _state() == wanted
        raise RuntimeError("a kernel")
    assert _state() == before


def test_a_processor_is_left_alone() -> None:
    before = _state()
    with _computing("eager+tf32", "cpu"):
        assert _state() == before


def test_a_processor_has_no_tf32() -> None:
    must_compute(Deployment("eager", "tf32"), "cuda")
    with pytest.raises(UserError, match="`device` cuda"):
        must_compute(Deployment("eager", "tf32"), "cpu")


@pytest.mark.parametrize("numerics", ["bf16", "autocast-bf16", "tf32"])
def test_an_old_gpu_has_no_bf16(numerics: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch would emulate it, slower than fp32."""
    see_a_gpu(monkeypatch, (7, 5))
    said = rf"eager\+{numerics} is for GPUs of .* 8.0 on, and this one has 7.5: use fp16"
    with pytest.raises(UserError, match=said):
        must_compute(Deployment("eager", numerics), "cuda:0")
    for other in ("fp16", "autocast-fp16", "fp32"):
        must_compute(Deployment("eager", other), "cuda:0")
    must_compute(Deployment("eager", "bf16"), "cpu")
    see_a_gpu(monkeypatch, (8, 0))
    must_compute(Deployment("eager", numerics), "cuda:0")


class Graph:
    """Stands for a program with a captured CUDA graph: its output always lies in one place."""

    def __init__(self, program: nn.Module) -> None:
        self.program, self.memory = program, torch.empty(0)

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        found = self.program(x)
        if self.memory.shape != found.shape:
            self.memory = torch.empty_like(found)
        return {"y": self.memory.copy_(found)}


IN_OUT = Signature((TensorSpec("x", "float32", ("batch", 4)),), ("y",), {"batch": (1, None)})


def _captured(
    monkeypatch: pytest.MonkeyPatch, deployment: str, kind: type[Graph] = Graph
) -> tuple[TorchRunner, list[Any]]:
    """A runner whose program is a `Graph`, and what torch.compile was told."""
    told: list[Any] = []

    def compile_(program: nn.Module, **options: Any) -> Graph:
        told.append(options)
        return kind(program)

    monkeypatch.setattr(torch, "compile", compile_)
    torch.manual_seed(0)
    plain = TorchRunner(nn.Linear(4, 3), Deployment.parse(deployment), IN_OUT, "cpu", None)
    return compiled.compile_runner(plain), told


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune", "reduce-overhead-static"])
def test_a_captured_graph_does_not_write_over_what_it_gave(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, told = _captured(monkeypatch, f"compile:{mode}")
    assert told == [{"mode": mode.removesuffix("-static"), "dynamic": not mode.endswith("static")}]
    one, other = (np.full((2, 4), value, np.float32) for value in (1.0, -2.0))
    first = runner.run({"x": one})["y"]
    kept = first.copy()
    second = runner.run({"x": other})["y"]
    assert (first == kept).all() and not (first == second).any()
    assert (runner.run({"x": one})["y"] == kept).all()


class Stale(Graph):
    """A graph that is replayed from the third call of a shape on, and reads what it was captured
    with."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__(program)
        self.calls: dict[torch.Size, int] = {}

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        self.calls[x.shape] = self.calls.get(x.shape, 0) + 1
        if self.calls[x.shape] > compiled.CALLS_BEFORE_REPLAY:
            return {"y": self.memory}
        return super().__call__(x)


@pytest.mark.parametrize("kind", [Graph, Stale])
def test_a_proof_is_of_the_replay(kind: type[Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that does not read new inputs is right in its first call, and so it would pass."""
    runner, _ = _captured(monkeypatch, "compile:reduce-overhead", kind)
    assert isinstance(runner.program, kind)
    given = {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}
    wanted = runner.program.program(torch.from_numpy(given["x"])).detach().numpy()
    assert np.allclose(runner.run(given)["y"], wanted), "nobody sees it in one call"
    found = proof._run(proof.Proof("compile"), OnHost(runner), given, "random")
    assert found is not None
    assert np.allclose(found["y"], wanted) == (kind is Graph)


def test_what_is_not_captured_is_called_once() -> None:
    for name in ("compile", "compile:max-autotune-no-cudagraphs", "eager", "onnx"):
        assert compiled.calls_before(Deployment.parse(name)) == 0
    assert compiled.calls_before(Deployment.parse("compile:max-autotune-static+bf16")) == 2


def test_what_is_not_captured_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    for mode in ("default", "max-autotune-no-cudagraphs"):
        runner, _ = _captured(monkeypatch, f"compile:{mode}")
        given = np.ones((2, 4), np.float32)
        first = runner.run({"x": given})["y"]
        assert np.shares_memory(first, runner.run({"x": given})["y"])


def test_modes_with_graphs_are_those_of_the_compiler() -> None:
    options = torch._inductor.list_mode_options()
    with_graphs = {mode for mode, one in options.items() if one.get("triton.cudagraphs")}
    assert with_graphs == set(compiled.CAPTURED)
