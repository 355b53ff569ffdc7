"""PyTorch as it is, from a checkpoint."""

from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner, must_compute
from zoo.store.checkpoint import Checkpoint


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """See `zoo.runtimes.load`."""
    import torch

    from zoo.model.network import load_network
    from zoo.runtimes import probe
    from zoo.runtimes.torch_runner import DTYPES

    must_compute(deployment, device)
    model, processor = load_network(checkpoint, torch.device("cpu"))
    signature = probe.of(checkpoint, model, processor)
    model.to(device, DTYPES.get(deployment.numerics, torch.float32))
    return TorchRunner(model, deployment, signature, device, threads)
