"""A deployment as the stopwatch takes it: a function without arguments (`zoo.measure.Arm`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TARGET = "zoo.deployed:call"


def call(
    checkpoint: str,
    deployment: str,
    inputs: str,
    artifact: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Callable[[], Any]:
    """Loads a deployment; what is returned runs it once.

    Args:
        inputs: an .npz file with the arrays of a batch, by name.
        artifact: folder of an artifact that is not in its place yet.
    """
    from zoo import heap, runtimes
    from zoo.runtimes.deployment import Deployment

    heap.keep_freed_memory()
    with np.load(inputs, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if artifact is None:
        runner = runtimes.load(Path(checkpoint), deployment, device, threads)
    else:
        import importlib

        from zoo import artifacts
        from zoo.runtimes.known import RUNTIMES

        found, wanted = artifacts.read(Path(artifact)), Deployment.parse(deployment)
        module = importlib.import_module(RUNTIMES[wanted.runtime].module)
        runner = module.load(found, wanted, device, threads)
    runner.signature.check(arrays)

    def once() -> Any:
        return runner.run(arrays)

    if device.startswith("cuda"):
        import torch

        once.synchronize = torch.cuda.synchronize  # type: ignore[attr-defined]
    return once
