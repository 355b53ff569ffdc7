"""PyTorch as it is, from a checkpoint; a network that generates text does so with its cache."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.session import Ids, Session
from zoo.generation.target_writer import TargetWriter
from zoo.generation.writer import TokenWriter
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.stages import GenerativeRunner
from zoo.runtimes.torch_runner import DTYPES, TorchRunner, must_compute
from zoo.store.checkpoint import Checkpoint

if TYPE_CHECKING:
    from zoo.generation.network import NetworkDecoder


def load(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load a network that runs in PyTorch as it is; see `zoo.runtimes.load`."""
    runner = load_network_runner(checkpoint, deployment, device, threads)
    network: Any = runner.program
    if hasattr(network, "can_generate") and network.can_generate():
        return EagerGenerativeRunner(runner)
    return runner


def load_network_runner(
    checkpoint: Checkpoint, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Return the network called as it is, for a runtime that changes it."""
    import torch

    from zoo.model.network import load_network
    from zoo.runtimes import probe

    must_compute(deployment, device)
    model, processor = load_network(checkpoint, torch.device("cpu"))
    signature = probe.infer_signature(checkpoint, model, processor)
    model.to(device, DTYPES.get(deployment.numerics, torch.float32))
    return TorchRunner(model, deployment, signature, device, threads)


class EagerGenerativeRunner(GenerativeRunner, TorchRunner):
    """A network of transformers that generates text.

    Raises `UserError`, when it first does, for a generation config that asks for more than greedy
    decoding in one language.
    """

    def __init__(self, runner: TorchRunner) -> None:
        """Wrap a runner that calls the network."""
        common = (runner.deployment, runner.signature, runner.device, runner.threads)
        TorchRunner.__init__(self, runner.program, *common)

    @cached_property
    def _decoder(self) -> "NetworkDecoder":
        from zoo.generation.network import NetworkDecoder

        return NetworkDecoder.of(self.program)

    @property
    def special_tokens(self) -> SpecialTokens:
        """Return the special tokens that the model's generation config names."""
        return self._decoder.special_tokens

    @property
    def decoding(self) -> Decoding:
        """Return how the model generates by default, as its generation config says."""
        return self._decoder.decoding

    def writer(self) -> TokenWriter | None:
        """Return what goes on with prompts, of a decoder; None where each pass casts by itself."""
        found: TokenWriter | None = getattr(self.program, "write", None)
        return found if self.deployment.numerics in DTYPES else None

    def target_writer(self) -> TargetWriter | None:
        """Return what writes texts from texts; None where each pass casts by itself."""
        found: TargetWriter | None = getattr(self.program, "write_targets", None)
        return found if self.deployment.numerics in DTYPES else None

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Run the encoder and the prompts; see `GenerativeRunner.start`."""
        with self.arithmetic():
            return self._decoder.start({name: self._tensor(x) for name, x in inputs.items()})

    def step(self, session: Session, tokens: Ids) -> Any:
        """Return the logits behind the next tokens; see `GenerativeRunner.step`."""
        with self.arithmetic():
            return self._decoder.step(session, tokens)

    def reorder(self, session: Session, rows: Ids) -> None:
        """Reorder the rows of a session; see `GenerativeRunner.reorder`."""
        self._decoder.reorder(session, rows)

    def join(self, session: Session, other: Session) -> None:
        """Add the rows of another session; see `GenerativeRunner.join`."""
        self._decoder.join(session, other)
