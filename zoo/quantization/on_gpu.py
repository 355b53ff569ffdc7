"""torchao's recipes, for GPUs. They run the checkpoint itself, so nothing is built or put in place:
what was found stands in the evidence, and `--deployment torchao+...` runs it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tasks.metrics.spec import MetricSpec
from zoo import runtimes
from zoo.deploy import export
from zoo.deploy.export import Original, Samples
from zoo.deploy.proof import Proof
from zoo.evaluation.paired import Drop
from zoo.runtimes import probe
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.store import evidence

DEVICE = "cuda"


@dataclass(frozen=True)
class Itself(Artifact):
    """A checkpoint in the place of an artifact: its weights are the program."""

    @property
    def digest(self) -> str:
        """That of the checkpoint, which evidence about it is about."""
        return str(self.manifest["source"])

    @property
    def size(self) -> int:
        """Bytes of its weights on disk; they are quantized while they are loaded."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))


def itself(original: Original, deployment: Deployment) -> Itself:
    """A checkpoint as what a recipe has made of it."""
    folder = original.checkpoint.folder
    signature = probe.of(original.checkpoint, original.model, original.processor)
    return Itself(folder, deployment, signature, {"source": evidence.subject_digest(folder)})


def open_runner(artifact: Artifact) -> Runner:
    """What runs what a recipe has made: on the processor, or a checkpoint itself on the GPU.

    Raises `UserError` where that lacks the arithmetic.
    """
    if isinstance(artifact, Itself):
        return OnHost(runtimes.load(artifact.folder, artifact.deployment, DEVICE))
    return export.open_runner(artifact)


def record(
    made: Itself,
    proof: Proof,
    metric: MetricSpec,
    drops: Sequence[tuple[Samples, Drop]],
    measured: Sequence[evidence.Fact],
) -> None:
    """Adds to the evidence what was found; see `zoo.deploy.export.settle`, which has more to put in
    place. The size on disk is that of the fp32 weights, and no fact about it."""
    found = export.facts(made, proof)
    run = found[0].run
    found += [export.drop_fact(made, samples, lost, metric, run) for samples, lost in drops]
    there = [dataclasses.replace(one, device=DEVICE) for one in found if one.kind != "size"]
    evidence.append(made.folder, [*there, *measured])


class OnHost(Runner):
    """A runner on a GPU whose arrays come from the processor and go back there, as a proof compares
    them."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.deployment, runner.signature, "cpu", runner.threads)
        self.runner = runner

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Runner`."""
        found: Mapping[str, Tensor] = self.runner.run(inputs)
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}
