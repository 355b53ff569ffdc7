"""PyTorch as it is, from a checkpoint."""

from zoo.checkpoint import Checkpoint
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner, must_compute


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """See `zoo.runtimes.load`."""
    import torch

    from zoo import signatures
    from zoo.network import load_network
    from zoo.runtimes.torch_runner import DTYPES

    must_compute(deployment, device)
    model, processor = load_network(checkpoint, torch.device("cpu"))
    signature = signatures.of(checkpoint, model, processor)
    model.to(device, DTYPES.get(deployment.numerics, torch.float32))
    return TorchRunner(model, deployment, signature, device, threads)
