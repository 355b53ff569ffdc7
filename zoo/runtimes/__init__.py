"""What runs a model: `load(checkpoint, deployment)` gives a `Runner`, whatever the runtime."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UserError
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

if TYPE_CHECKING:
    from zoo.runtimes.runner import Runner


def load(
    checkpoint: Path,
    deployment: Deployment | str,
    device: str = "cpu",
    threads: int | None = None,
) -> "Runner":
    """A checkpoint under a deployment, ready to run.

    Args:
        checkpoint: its folder; of a runtime with artifacts only `artifacts/<deployment>/` is read.
        device: "cpu" or "cuda".
        threads: of the processor; the runtime's own choice by default. PyTorch's runtimes share one
            setting in a process.

    Raises `UserError` for a deployment that is not known, not available here, or not exported, and
    for a damaged checkpoint or artifact.
    """
    if isinstance(deployment, str):
        deployment = Deployment.parse(deployment)
    must_be_available(deployment, device)
    check_threads(threads)
    runtime = RUNTIMES[deployment.runtime]
    module = importlib.import_module(runtime.module)
    if runtime.artifact:
        from zoo.runtimes import artifacts, provenance

        found = artifacts.open_artifact(checkpoint, deployment)
        provenance.must_be_trusted(found)
        loaded: Runner = module.load(found, deployment, device, threads)
    else:
        from zoo.store.checkpoint import open_checkpoint

        loaded = module.load(open_checkpoint(checkpoint), deployment, device, threads)
    return loaded


def check_threads(threads: int | None) -> None:
    """Raises `UserError` for a number of threads that is none."""
    if threads is not None and threads < 1:
        raise UserError(f"`threads` {threads}: at least 1")


def must_be_available(deployment: Deployment, device: str = "cpu") -> None:
    """Raises `UserError` where a deployment's runtime can't run here, with what would mend it."""
    if deployment.only_trains:
        raise UserError(
            f"{deployment} is a way to train: measure it with python -m bench run --phases training"
        )
    devices = RUNTIMES[deployment.runtime].devices
    if device.partition(":")[0] not in devices:
        raise UserError(f"{deployment} runs on {' and '.join(devices)}, not on {device}")
    if reason := RUNTIMES[deployment.runtime].missing():
        raise UserError(f"{deployment}: {reason}")
