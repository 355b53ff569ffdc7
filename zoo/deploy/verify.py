"""`python -m zoo verify`: replays the proof of every artifact of a checkpoint, and looks whether
the deployment that `decide` chose still lies there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.deploy import winner
from zoo.deploy.export import ExportSource, obstacle, open_runner, proof_samples, quiet
from zoo.deploy.proof import NOTHING, Proof
from zoo.machine import terminal
from zoo.machine.terminal import quiet_libraries
from zoo.runtimes import artifacts, provenance
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence

DRIFT_DB = 3.0
"""An SQNR that is lower than the recorded one by more than this is no rounding. Between runs on one
machine it stays the same; other processors add up in another order."""


@dataclass(frozen=True)
class ArtifactVerdict:
    """The result of verifying one artifact."""

    name: str
    status: str  # "ok", "drift", "unavailable"
    text: str


def verify(checkpoint: Path, data: str | None = None) -> list[ArtifactVerdict]:
    """Checks every sum, and compares every artifact with the checkpoint anew.

    Raises `UserError` for a damaged checkpoint.
    """
    quiet_libraries()
    folders = artifacts.all_of(checkpoint)
    original = ExportSource.open(checkpoint)
    verdicts = []
    if folders:
        source = evidence.subject_digest(checkpoint)
        samples = proof_samples(original, data)
        rows = samples.rows() if samples else []
        verdicts = [_verify(folder, original, source, rows) for folder in folders]
    return [*verdicts, *_winner(checkpoint)]


def _winner(checkpoint: Path) -> list[ArtifactVerdict]:
    """Whether what `decide` chose is still what lies there; nothing where it left no choice."""
    try:
        found = winner.read(checkpoint)
    except UserError as error:
        return [ArtifactVerdict(winner.FILE, "drift", str(error))]
    if found is None:
        return []
    return [ArtifactVerdict(winner.FILE, "ok", f"{found.deployment} is what is served by default")]


def _verify(
    folder: Path, original: ExportSource, source: str, rows: Sequence[Any]
) -> ArtifactVerdict:
    try:
        artifact = artifacts.read(folder)
    except UserError as error:
        return ArtifactVerdict(folder.name, "drift", str(error))
    if artifact.manifest["source"] != source:
        return ArtifactVerdict(
            folder.name, "drift", "it was exported from other weights than lie there now"
        )
    if reason := RUNTIMES[artifact.deployment.runtime].missing():
        return ArtifactVerdict(folder.name, "unavailable", reason)
    try:
        provenance.must_be_trusted(artifact)
    except UserError as error:
        return ArtifactVerdict(folder.name, "unavailable", str(error))
    try:
        with quiet():
            runner = open_runner(artifact)
            proof = original.proven(runner, rows)
    except UserError as error:
        return ArtifactVerdict(folder.name, "drift", str(error))
    except Exception as error:  # a runtime has its own for a program that it can't load
        return ArtifactVerdict(folder.name, "drift", f"it can't be run: {obstacle(error)}")
    return _judge(artifact, proof)


def _judge(artifact: Artifact, proof: Proof) -> ArtifactVerdict:
    name = artifact.folder.name
    if proof.faults == [NOTHING]:
        return ArtifactVerdict(name, "unavailable", NOTHING)
    if not proof.passed:
        return ArtifactVerdict(name, "drift", f"{proof.faults[0]}; worst: {proof.worst()}")
    before = artifact.manifest.get("proof", {})
    recorded = before.get("sqnr", math.inf) if isinstance(before, dict) else None
    if not isinstance(recorded, int | float):
        return ArtifactVerdict(name, "drift", "what its export.json says of the proof is damaged")
    found = proof.summary().get("sqnr", math.inf)
    same_inputs = before.get("inputs") == proof.inputs
    if same_inputs and found < recorded - DRIFT_DB:
        return ArtifactVerdict(
            name, "drift", f"SQNR {found:.1f} dB, and {recorded:.1f} dB when it was exported"
        )
    return ArtifactVerdict(name, "ok", f"{len(proof.differences)} inputs, SQNR {found:.1f} dB")


def show(checkpoint: Path, verdicts: list[ArtifactVerdict]) -> int:
    """Prints a table; returns the exit code: 1 where anything has drifted, or could not be told."""
    if not verdicts:
        print_lines(f"{checkpoint} is whole; it has no artifacts")
        return 0
    rows = [(one.name, one.status, spelled(one.text)) for one in verdicts]
    title = f"{checkpoint}: the checkpoint is whole; its artifacts"
    terminal.table(("artifact", "status", ""), rows, title=title)
    return int(any(one.status != "ok" for one in verdicts))
