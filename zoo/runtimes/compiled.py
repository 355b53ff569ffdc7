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


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """See `zoo.runtimes.load`. The first call of each kind of shape compiles."""
    return compile_runner(eager.load_network_runner(checkpoint, deployment, device, threads))


def compile_runner(runner: TorchRunner) -> TorchRunner:
    """The same runner, its program compiled in the deployment's mode."""
    import torch

    # else what this process has compiled before counts towards dynamo's limit for the same network,
    # past which it runs it as it is, without a word
    torch.compiler.reset()
    mode = runner.deployment.mode.removesuffix("-static")
    runner.reuses_outputs = mode in CAPTURED
    runner.program = torch.compile(
        runner.program,
        mode=None if mode == "default" else mode,
        dynamic=not runner.deployment.mode.endswith("static"),
    )
    return runner
