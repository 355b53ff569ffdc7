"""torch.compile, from a checkpoint. Shapes are dynamic, but for the modes that end in -static.

On a GPU two modes capture CUDA graphs, whose outputs lie in memory that the next call writes over:
they are copied, as whoever compares or collects them keeps them.
"""

from zoo.runtimes import eager
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner
from zoo.store.checkpoint import Checkpoint

CAPTURED = ("reduce-overhead", "max-autotune")
"""Modes with CUDA graphs (`torch._inductor.list_mode_options`)."""
CALLS_BEFORE_REPLAY = 2
"""Of a shape: one that warms up, one that is captured (torch._inductor.cudagraph_trees)."""


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load a network compiled by torch.compile; see `zoo.runtimes.load`. The first call of each
    kind of shape compiles."""
    return compile_runner(eager.load_network_runner(checkpoint, deployment, device, threads))


def compile_runner(runner: TorchRunner) -> TorchRunner:
    """Return the runner with its program compiled in the deployment's mode."""
    import torch

    # else what this process has compiled before counts towards dynamo's limit for the same network,
    # past which it runs it as it is, without a word
    torch.compiler.reset()
    mode = runner.deployment.mode.removesuffix("-static")
    runner.calls_before = calls_before(runner.deployment)
    runner.reuses_outputs = runner.calls_before > 0
    runner.program = torch.compile(
        runner.program,
        mode=None if mode == "default" else mode,
        dynamic=not runner.deployment.mode.endswith("static"),
    )
    return runner


def calls_before(deployment: Deployment) -> int:
    """Return the calls of a shape after which a deployment replays a CUDA graph; 0 of one that
    captures none."""
    captures = deployment.runtime == "compile" and (
        deployment.mode.removesuffix("-static") in CAPTURED
    )
    return CALLS_BEFORE_REPLAY if captures else 0
