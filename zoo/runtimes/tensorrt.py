"""TensorRT, through ONNX Runtime: an ONNX program that becomes an engine when it is loaded.

The engine is for one GPU and one version of TensorRT, so the artifact is the program. It has not
run yet: we had no machine with TensorRT.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from zoo.runtimes import onnx, onnx_session
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

PROVIDER = "TensorrtExecutionProvider"

export = onnx.export


def load(artifact: Artifact, deployment: Deployment, device: str, threads: int | None) -> Runner:
    """Load an ONNX artifact with the TensorRT provider; see `zoo.runtimes.load`."""
    return TensorRTRunner(artifact, deployment, device, threads)


class TensorRTRunner(onnx.OnnxRunner):
    """An inference session whose operators run in TensorRT, and by CUDA where it has them not."""

    def open(self, program: Path) -> Any:
        """Raises `UserError` where the installed onnxruntime has no TensorRT, or can't start it:
        by itself it would compute by CUDA then, and be timed as TensorRT."""
        import onnxruntime

        missing = f"{self.deployment}: the installed onnxruntime has no {PROVIDER}"
        if PROVIDER not in onnxruntime.get_available_providers():
            raise UserError(f"{missing}: pip install -e '.[tensorrt]', without plain onnxruntime")
        given = settings(self.signature, self.deployment, self.device)
        cuda = onnx_session.provider(self.device)
        session = onnx_session.open_session(program, [(PROVIDER, given), cuda], self.threads)
        if PROVIDER not in session.get_providers():
            raise UserError(f"{self.deployment}: onnxruntime could not start {PROVIDER}")
        return session


def settings(signature: Signature, deployment: Deployment, device: str) -> dict[str, Any]:
    """Return the options of the TensorRT provider: numerics, and the range of shapes to make one
    engine for. Where a size has no upper limit the provider makes engines as shapes come.

    (onnxruntime.ai, TensorRT Execution Provider, "Explicit shape range for dynamic shape input".)
    """
    found: dict[str, Any] = {
        "device_id": int(device.partition(":")[2] or 0),
        "trt_fp16_enable": deployment.numerics == "fp16",
    }
    varying = {dim for port in signature.inputs for dim in port.dims if isinstance(dim, str)}
    limits = {name: signature.limits.get(name, (1, None)) for name in varying}
    most = {name: high for name, (_, high) in limits.items() if high is not None}
    if len(most) < len(varying):
        return found
    least = {name: low for name, (low, _) in limits.items()}
    return found | {
        "trt_profile_min_shapes": _shapes(signature, least),
        "trt_profile_opt_shapes": _shapes(signature, {**most, "batch": least.get("batch", 1)}),
        "trt_profile_max_shapes": _shapes(signature, most),
    }


def _shapes(signature: Signature, sizes: Mapping[str, int]) -> str:
    """Return sizes as TensorRT writes them: "input_ids:1x8,attention_mask:1x8"."""
    return ",".join(
        f"{port.name}:" + "x".join(str(sizes.get(str(dim), dim)) for dim in port.dims)
        for port in signature.inputs
    )
