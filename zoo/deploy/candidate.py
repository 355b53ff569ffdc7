"""Candidate: a deployment that a checkpoint may get, and all that was found of it."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.arrays import to_numpy
from tasks.errors import UserError, spelled
from zoo import runtimes
from zoo.deploy import export, timed
from zoo.deploy.export import EvalSplit, ExportSource, quiet
from zoo.deploy.proof import Proof
from zoo.evaluation.paired_test import MetricDrop, drop
from zoo.measure import ArmFailed
from zoo.measure.workload import Forward, Workload
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.runtimes.runner import Runner

if TYPE_CHECKING:
    from zoo.evaluation.loop import Evaluation
    from zoo.measure import Arm, ArmTimes, Comparison, Outcome

BASELINE = "eager"
"""The deployment that all others are compared with: the fp32 network itself."""


@dataclass
class Candidate:
    """A deployment that is tried, with what was found of it. A field is None as long as nothing was
    found."""

    deployment: Deployment
    artifact: Artifact | None = None
    """its program, which is not in place yet; None: it runs the checkpoint itself"""
    excluded: tuple[str, ...] = ()
    """layers that stayed in fp32"""
    proof: Proof | None = None
    drop: MetricDrop | None = None
    """of the task's metric, on the validation split"""
    times: "ArmTimes | None" = None
    compared: "Comparison | None" = None
    """its times, with those of `BASELINE`"""
    memory: float | None = None
    """bytes at most above the libraries'"""
    fault: str = ""
    """why it is out of question"""
    late: bool = False
    """whether the time was over before it was made, which `fault` says"""

    @property
    def name(self) -> str:
        """Return its deployment as it is written."""
        return str(self.deployment)

    def within(self, max_drop: float) -> bool:
        """Return whether it passed its proof and loses no more than `max_drop` on the validation
        split."""
        return self.drop is not None and not self.fault and self.drop.value <= max_drop

    def speedup(self) -> float:
        """Over eager fp32; -inf where it was not timed."""
        return self.compared.speedup.value if self.compared else -math.inf

    def surely(self, min_speedup: float) -> bool:
        """Return whether the whole interval of its speedup reaches `min_speedup`."""
        return self.compared is not None and self.compared.speedup.interval.low >= min_speedup

    def loses_less(self, other: "Candidate") -> bool:
        """Return whether it is better than another one of the same deployment: sound first, then by
        its drop."""
        if self.drop is None or other.drop is None:
            return self.drop is not None
        return (bool(self.fault), self.drop.value) < (bool(other.fault), other.drop.value)

    def take_times(self, outcome: "Outcome") -> None:
        """Keep what a comparison found of it, or why it found nothing."""
        times = outcome.times(self.name)
        if isinstance(times, ArmFailed):
            self.fault = self.fault or times.reason
            return
        self.times = times
        if self.name != BASELINE:
            compared = outcome.of(self.name)
            if isinstance(compared, ArmFailed):
                self.fault = self.fault or compared.reason
            else:
                self.compared = compared


class DeploymentBuilder:
    """Builds, proves and measures candidates of one checkpoint; their programs lie in a staged
    folder, as nothing is put in place before one of them was chosen."""

    def __init__(
        self,
        original: ExportSource,
        staging: Path,
        validation: EvalSplit,
        threads: int | None = None,
        device: str = "cpu",
        source: "Evaluation | None" = None,
        workload: Workload | None = None,
    ) -> None:
        """
        Args:
            validation: samples that proofs and drops are taken of.
            device: that all run on whose runtimes know it; other artifacts run on their runtime's
                own.
            source: what `BASELINE` reaches on them, where that is known.
            workload: that is timed; by default one sample.
        """
        self.original, self.staging, self.validation = original, staging, validation
        self.workload = workload or Forward()
        self.threads, self.device = threads, device
        if source is not None:
            self.source = source

    @cached_property
    def source(self) -> "Evaluation":
        """Return the evaluation of `BASELINE` on the validation split."""
        eager = self.runner(Candidate(Deployment(BASELINE)))
        return self.original.measured(self.validation.features, eager)

    def make(
        self,
        deployment: Deployment,
        build: Callable[[Path], Artifact] | None = None,
        excluded: Sequence[str] = (),
    ) -> Candidate:
        """Build, prove and measure; what fails is a result, and `Candidate.fault` says why.

        Args:
            build: what writes its program into an empty folder; None: it runs the checkpoint.
            excluded: layers that `build` leaves in fp32.
        """
        made = Candidate(deployment, excluded=tuple(excluded))
        try:
            with quiet():
                if build is not None:
                    folder = tempfile.mkdtemp(prefix=f"{deployment.folder}-", dir=self.staging)
                    made.artifact = build(Path(folder))
                runner = self.runner(made)
                made.proof = self.original.proven(runner, self.validation.rows())
            if made.proof.passed:
                made.drop = self._drop(made, runner)
            else:
                made.fault = f"WRONG: {made.proof.faults[0]}"
        except (MemoryError, OSError):
            raise
        except Exception as error:
            made.fault = fault_of(error)
        if made.proof is None:
            made.artifact = None
        return made

    def _drop(self, made: Candidate, runner: Runner) -> MetricDrop:
        found = self.source
        if made.name != BASELINE:
            found = self.original.measured(self.validation.features, runner)
        return drop(self.source.accumulator, found.accumulator, self.original.task.primary)

    def runner(self, candidate: Candidate) -> Runner:
        """Return what runs it here, on arrays of the processor.

        Raises `UserError` where the device lacks the arithmetic.
        """
        if candidate.artifact is not None:
            runner = export.open_runner(candidate.artifact, self.threads, self._device(candidate))
        elif self.device == "cpu":
            folder = self.original.checkpoint.folder
            runner = runtimes.load(folder, candidate.deployment, threads=self.threads)
        else:
            folder = self.original.checkpoint.folder
            runner = runtimes.load(folder, candidate.deployment, self.device)
        return runner if self.device == "cpu" else OnHost(runner)

    def _device(self, candidate: Candidate) -> str | None:
        """Where its artifact runs; None: on the first device of its runtime."""
        if self.device.partition(":")[0] in RUNTIMES[candidate.deployment.runtime].devices:
            return self.device
        return None

    def arm(self, candidate: Candidate, inputs: Path, threads: int) -> "Arm":
        """Return what is timed of it; see `zoo.deploy.timed`."""
        folder, name = self.original.checkpoint.folder, candidate.name
        return timed.arm(
            name, candidate.artifact, folder, inputs, self.workload, threads, self.device
        )


def fault_of(error: Exception) -> str:
    """Return why a deployment is out of question: whatever a quantizer or a runtime raises, it does
    not fit."""
    return spelled(str(error)) if isinstance(error, UserError) else export.obstacle(error)


class OnHost(Runner):
    """A runner on a GPU whose arrays come from the processor and go back there, as a proof compares
    them."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.deployment, runner.signature, "cpu", runner.threads)
        self.runner, self.calls_before = runner, runner.calls_before

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Runner`."""
        return {name: to_numpy(array) for name, array in self.runner.run(inputs).items()}
