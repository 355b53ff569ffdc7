"""torchao's recipes, for GPUs. They run the checkpoint itself, so nothing is built or put in place:
what was found stands in the evidence, and `--deployment torchao+...` runs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.metrics.spec import MetricSpec
from zoo.deploy import export
from zoo.deploy.candidate import Candidate
from zoo.deploy.export import EvalSplit, ExportSource
from zoo.deploy.proof import Proof
from zoo.evaluation.paired_test import MetricDrop
from zoo.runtimes import probe
from zoo.runtimes.artifacts import Artifact
from zoo.store import evidence

DEVICE = "cuda"


@dataclass(frozen=True)
class InPlaceArtifact(Artifact):
    """A checkpoint used as an artifact: its weights are the program, quantized when loaded."""

    @property
    def digest(self) -> str:
        """The digest of the checkpoint, under which its evidence is filed."""
        return str(self.manifest["source"])

    @property
    def size(self) -> int:
        """The size of the weights on disk in bytes; they are quantized only when loaded."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))


def program(original: ExportSource, candidate: Candidate) -> Artifact:
    """Return the artifact of a candidate, or the checkpoint itself if the candidate has none."""
    if candidate.artifact is not None:
        return candidate.artifact
    folder = original.checkpoint.folder
    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    source = {"source": evidence.subject_digest(folder)}
    return InPlaceArtifact(folder, candidate.deployment, signature, source)


def record(
    made: Artifact,
    proof: Proof,
    metric: MetricSpec,
    drops: Sequence[tuple[EvalSplit, MetricDrop]],
    measured: Sequence[evidence.Fact],
) -> None:
    """Add the measurements to the evidence; `zoo.deploy.export.commit_artifact` also moves files.
    The size on disk is that of the fp32 weights, so it is not recorded."""
    found = export.facts(made, proof, DEVICE)
    run = found[0].run
    found += [export.drop_fact(made, samples, lost, metric, run, DEVICE) for samples, lost in drops]
    evidence.append(made.folder, [*(one for one in found if one.kind != "size"), *measured])
