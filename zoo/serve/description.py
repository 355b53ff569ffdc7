"""A model that is served, as far as it is known without its weights: no torch is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.modality import modality_of
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence
from zoo.store.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from tasks.base import Task
    from zoo.model.entry import Entry

KINDS = {"nlp": "text", "vision": "image", "speech": "audio"}
"""What an input is, by the name of the modality."""
AUTO = "auto"


@dataclass(frozen=True)
class Description:
    """A model that is served under a name."""

    name: str
    """in URLs: "bert_cls" """
    folder: Path
    deployment: str
    """as `Deployment` writes it: "onnx+int8-dynamic" """
    sha256: str
    """the digest of what runs: of the artifact, else of the checkpoint"""
    entry: "Entry"
    task: "Task"
    """not bound to a processor: what is told of it needs none"""
    zero_shot: tuple[str, ...] = ()
    """pipelines that pretrained weights answer as they are; empty of a checkpoint"""

    @property
    def pipelines(self) -> tuple[str, ...]:
        """What it can be asked for, by the names of transformers' pipelines."""
        return self.zero_shot or (self.task.pipeline,)

    @property
    def kind(self) -> str:
        """What an input is: "text", "image" or "audio"."""
        return KINDS[modality_of(self.entry).name]

    @property
    def takes_pairs(self) -> bool:
        """Whether an input is a pair of texts."""
        columns: Mapping[str, Any] = getattr(self.task, "columns", None) or {}
        return columns.get("text_pair") is not None


def describe(folder: Path, name: str, deployment: str) -> Description:
    """Return the description of a checkpoint under a deployment.

    Raises `UserError` for a folder that is no checkpoint or damaged, and for a deployment that is
    not known, not available here, or not exported.
    """
    wanted = Deployment.parse(deployment)
    runtime = RUNTIMES[wanted.runtime]
    checkpoint = open_checkpoint(folder, weights=not runtime.artifact)
    if runtime.artifact:
        if reason := runtime.missing():
            raise UserError(f"{wanted}: {reason}")
        digest = artifacts.open_artifact(folder, wanted).digest
    else:
        digest = evidence.subject_digest(folder)
    return Description(name, folder, str(wanted), digest, checkpoint.entry, checkpoint.task)
