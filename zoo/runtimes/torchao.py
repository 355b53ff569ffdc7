"""torchao's quantized linear layers in a checkpoint's network, compiled."""

from zoo.runtimes import compiled, eager
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner
from zoo.store.checkpoint import Checkpoint

CONFIGS = {
    "int8-dynamic": "Int8DynamicActivationInt8WeightConfig",
    "int8-weight-only": "Int8WeightOnlyConfig",
    "int4-weight-only": "Int4WeightOnlyConfig",
    "fp8-dynamic": "Float8DynamicActivationFloat8WeightConfig",
}

CAPABILITY = {"int4-weight-only": (8, 0), "fp8-dynamic": (8, 9)}
"""Least compute capability of a GPU: int4 weights want bfloat16 (Ampere on), fp8 its arithmetic
(Ada, Hopper on)."""


def lacking(numerics: str) -> str | None:
    """Why this machine's GPU can't compute so, in a few words; None where it can."""
    import torch

    if not torch.cuda.is_available():
        return "is for GPUs, and there is none here"
    least, found = CAPABILITY.get(numerics, (0, 0)), torch.cuda.get_device_capability()
    if found >= least:
        return None
    said = (".".join(map(str, version)) for version in (least, found))
    return "is for GPUs of compute capability {} on, and this one has {}".format(*said)


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load a network quantized by torchao; see `zoo.runtimes.load`. Raises `UserError` where the
    device lacks the arithmetic."""
    import torch
    from torchao import quantization

    from tasks.errors import UserError

    numerics = deployment.numerics
    if torch.device(device).type == "cuda":
        if reason := lacking(numerics):
            raise UserError(f"{deployment} {reason}")
    elif numerics in CAPABILITY:
        raise UserError(f"{deployment} is for GPUs: --device cuda, or torchao+int8-dynamic")
    base = Deployment("eager", "bf16" if numerics == "int4-weight-only" else "fp32")
    runner = eager.load_network_runner(checkpoint, base, device, threads)
    quantization.quantize_(runner.program, getattr(quantization, CONFIGS[numerics])())
    runner.deployment = deployment
    return compiled.compile_runner(runner)
