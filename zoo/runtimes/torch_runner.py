"""What PyTorch's runtimes share: arrays to tensors, numerics, and back."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import UserError
from zoo.machine.precision import ARITHMETIC, fp32_products
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRunner(Runner):
    """Runs a callable that takes and gives tensors."""

    def __init__(
        self,
        program: Callable[..., Any],
        deployment: Deployment,
        signature: Signature,
        device: str,
        threads: int | None,
    ) -> None:
        super().__init__(deployment, signature, device, threads)
        if threads:
            torch.set_num_threads(threads)
        self.program = program
        self.reuses_outputs = False
        """whether the program writes its outputs where those of the call before lie, as a captured
        CUDA graph does: they are copied"""
        self.dtype = DTYPES.get(deployment.numerics, torch.float32)
        self.autocast = DTYPES.get(deployment.numerics.removeprefix("autocast-"))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program on checked inputs, arrays by name; see `Runner.run`."""
        tensors = {name: self._tensor(array) for name, array in inputs.items()}
        with torch.inference_mode(), self.arithmetic():
            found = self.program(**tensors)
        return {name: self._array(output) for name, output in self._named(found).items()}

    def _tensor(self, array: Any) -> Tensor:
        if isinstance(array, np.ndarray):
            tensor = torch.from_numpy(array)
        else:
            tensor = array if isinstance(array, Tensor) else torch.utils.dlpack.from_dlpack(array)
        tensor = tensor.to(self.device, non_blocking=True)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """A context that computes as the deployment's numerics say."""
        casts: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self.deployment.numerics.startswith("autocast-"):
            casts = torch.autocast(torch.device(self.device).type, self.autocast)
        products = fp32_products(torch.device(self.device), self.deployment.numerics == "tf32")
        with casts, products:
            yield

    def _named(self, found: Any) -> dict[str, Tensor]:
        if isinstance(found, Mapping):
            return {name: found[name] for name in self.signature.outputs}
        outputs = (found,) if isinstance(found, Tensor) else found
        return dict(zip(self.signature.outputs, outputs, strict=True))

    def _array(self, output: Tensor) -> Any:
        tensor = output.float() if output.is_floating_point() else output
        if self.reuses_outputs and tensor is output:
            tensor = tensor.clone()
        return tensor.numpy() if tensor.device.type == "cpu" else tensor


def must_compute(deployment: Deployment, device: str) -> None:
    """Raises `UserError` for numerics that a device has no arithmetic for."""
    if deployment.numerics == "tf32" and torch.device(device).type != "cuda":
        raise UserError(f"{deployment}: TF32 is arithmetic of NVIDIA's GPUs: `device` cuda")
    least = ARITHMETIC.get(deployment.numerics.removeprefix("autocast-"))
    if least and (reason := too_old(least, device)):
        raise UserError(f"{deployment} {reason}: use fp16 or fp32")
    if deployment.numerics.endswith("fp16") and torch.device(device).type == "cpu":
        raise UserError(
            f"{deployment}: processors have next to no arithmetic in fp16 (it is hundreds of times "
            "slower): use bf16, or `device` cuda"
        )


def too_old(least: tuple[int, int], device: str = "cuda") -> str | None:
    """Return why a GPU lacks the arithmetic of a compute capability, in a few words; None where it
    has it, and where no GPU is here to be asked."""
    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_capability(torch.device(device).index)
    if found >= least:
        return None
    said = (".".join(map(str, version)) for version in (least, found))
    return "is for GPUs of compute capability {} on, and this one has {}".format(*said)
