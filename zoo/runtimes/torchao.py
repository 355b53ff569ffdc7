"""torchao's quantized linear layers in a checkpoint's network, compiled.

What each numerics needs of a GPU: int8 any; int4 weights bfloat16 (Ampere on); fp8 compute
capability 8.9 (Ada, Hopper on).
"""

from zoo.checkpoint import Checkpoint
from zoo.runtimes import compiled, eager
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import TorchRunner

CONFIGS = {
    "int8-dynamic": "Int8DynamicActivationInt8WeightConfig",
    "int8-weight-only": "Int8WeightOnlyConfig",
    "int4-weight-only": "Int4WeightOnlyConfig",
    "fp8-dynamic": "Float8DynamicActivationFloat8WeightConfig",
}


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """See `zoo.runtimes.load`. Raises `UserError` where the device lacks the arithmetic."""
    import torch
    from torchao import quantization

    from tasks.errors import UserError

    numerics = deployment.numerics
    on_gpu = torch.device(device).type == "cuda"
    if numerics in ("int4-weight-only", "fp8-dynamic") and not on_gpu:
        raise UserError(f"{deployment} is for GPUs: --device cuda, or torchao+int8-dynamic")
    if numerics == "fp8-dynamic" and torch.cuda.get_device_capability() < (8, 9):
        raise UserError(f"{deployment}: this GPU has no fp8 arithmetic (it begins with Ada)")
    base = Deployment("eager", "bf16" if numerics == "int4-weight-only" else "fp32")
    runner = eager.load(checkpoint, base, device, threads)
    quantization.quantize_(runner.program, getattr(quantization, CONFIGS[numerics])())
    runner.deployment = deployment
    return compiled.compile_runner(runner)
