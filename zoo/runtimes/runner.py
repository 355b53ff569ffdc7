"""Runner: named arrays in, named arrays out."""

from collections.abc import Mapping
from typing import Any

from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature


class Runner:
    """A model under a deployment.

    On the processor arrays are numpy's, both ways. On a GPU whatever speaks DLPack goes in; tensors
    on that GPU come out, of ONNX Runtime numpy's arrays.
    """

    calls_before = 0
    """Calls of a shape after which the program is the one that will run: a CUDA graph is tried,
    captured, and replayed from then on. A proof that called it once would prove another program."""

    def __init__(
        self, deployment: Deployment, signature: Signature, device: str, threads: int | None
    ) -> None:
        self.deployment, self.signature = deployment, signature
        self.device, self.threads = device, threads

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs for a batch; floats are float32.

        Raises `UserError` for inputs that the program does not take (`Signature.check`).
        """
        self.signature.check(inputs)
        return self.run(inputs)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program on inputs that were checked already; each runtime has its own."""
        raise NotImplementedError
