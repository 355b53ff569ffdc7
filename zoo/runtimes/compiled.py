"""torch.compile, from a checkpoint. Shapes are dynamic, but for the modes that end in -static."""

from zoo.runtimes import eager
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner
from zoo.store.checkpoint import Checkpoint


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load a network compiled by torch.compile; see `zoo.runtimes.load`. The first call of each
    kind of shape compiles."""
    return compile_runner(eager.load_network_runner(checkpoint, deployment, device, threads))


def compile_runner(runner: TorchRunner) -> TorchRunner:
    """Return the runner with its program compiled in the deployment's mode."""
    import torch

    mode = runner.deployment.mode.removesuffix("-static")
    runner.program = torch.compile(
        runner.program,
        mode=None if mode == "default" else mode,
        dynamic=not runner.deployment.mode.endswith("static"),
    )
    return runner
