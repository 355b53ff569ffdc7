"""torchao's quantized linear layers in a checkpoint's network, compiled.

On a GPU the rest of the network computes in bf16 where the chip has it: that is what such layers
are for, and attention in fp32 would cost more than they save.
"""

from typing import Any

from tasks.errors import UserError
from zoo.machine.precision import ARITHMETIC
from zoo.runtimes import compiled, eager
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner, too_old
from zoo.store.checkpoint import Checkpoint

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "int8-dynamic": ("Int8DynamicActivationInt8WeightConfig", {}),
    "int8-weight-only": ("Int8WeightOnlyConfig", {}),
    # PyTorch's own kernel (tinygemm); the default, "plain", wants another package (mslk)
    "int4-weight-only": ("Int4WeightOnlyConfig", {"int4_packing_format": "tile_packed_to_4d"}),
    "fp8-dynamic": ("Float8DynamicActivationFloat8WeightConfig", {}),
}
"""Name of torchao's configuration, and what of it is not the default (torchao 0.18)."""

CAPABILITY = {"int4-weight-only": (8, 0), "fp8-dynamic": (8, 9)}
"""Least compute capability of a GPU: int4 weights want bfloat16 (Ampere on), fp8 its arithmetic
(Ada, Hopper on)."""


def lacking(numerics: str) -> str | None:
    """Why this machine's GPU can't compute so, in a few words; None where it can."""
    import torch

    if not torch.cuda.is_available():
        return "is for GPUs, and there is none here"
    return too_old(CAPABILITY.get(numerics, (0, 0)))


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """See `zoo.runtimes.load`. Raises `UserError` where the device lacks the arithmetic, and where
    no layer has the sizes that it needs: torchao passes over those without a word."""
    import torch
    from torchao import quantization

    numerics = deployment.numerics
    if torch.device(device).type == "cuda":
        if reason := lacking(numerics):
            raise UserError(f"{deployment} {reason}")
    elif numerics in CAPABILITY:
        raise UserError(f"{deployment} is for GPUs: `device` cuda, or torchao+int8-dynamic")
    runner = eager.load_network_runner(checkpoint, base(device), device, threads)
    name, settings = CONFIGS[numerics]
    quantization.quantize_(runner.program, getattr(quantization, name)(**settings))
    if not quantized_layers(runner.program):
        raise UserError(
            f"{deployment}: none of its linear layers has the sizes that torchao quantizes so "
            "(multiples of 16, of int4 weights multiples of 128 inputs)"
        )
    runner.deployment = deployment
    return compiled.compile_runner(runner)


def base(device: str) -> Deployment:
    """Return what the layers that stay as they are compute in."""
    import torch

    has_bf16 = torch.device(device).type == "cuda" and not too_old(ARITHMETIC["bf16"], device)
    return Deployment("eager", "bf16" if has_bf16 else "fp32")


def quantized_layers(network: Any) -> int:
    """Return how many linear layers have weights that torchao has quantized."""
    from torch import Tensor, nn

    linear = (one for one in network.modules() if isinstance(one, nn.Linear))
    return sum(type(one.weight.data) is not Tensor for one in linear)
