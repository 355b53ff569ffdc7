"""A deployment as the stopwatch takes it: a function without arguments (`zoo.measure.Arm`)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import UserError

if TYPE_CHECKING:
    from zoo.deploy.export import ExportSource
    from zoo.measure import Arm
    from zoo.measure.workload import Workload
    from zoo.runtimes.artifacts import Artifact
    from zoo.runtimes.runner import Runner
    from zoo.runtimes.signature import Signature

TARGET = "zoo.deploy.timed:call"
SEED = 0


def random_inputs(
    original: "ExportSource", signature: "Signature", workload: "Workload"
) -> dict[str, np.ndarray]:
    """Return a batch drawn by seed, by name.

    Rows are drawn one by one: what a modality draws together is padded, and a workload's length
    is every row's.

    Args:
        workload: whose sizes are those of the signature's axes.

    Raises `UserError` for sizes that the model does not take.
    """
    sizes = {name: int(size) for name, size in workload.sizes.items()} | {"batch": 1}
    rows = [
        original.modality.random_inputs(signature, sizes, original.model, SEED + row)
        for row in range(workload.batch)
    ]
    drawn = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    signature.check(drawn)
    return drawn


def arm(
    deployment: str,
    artifact: "Artifact | None",
    checkpoint: Path,
    inputs: Path,
    workload: "Workload",
    threads: int,
    device: str = "cpu",
) -> "Arm":
    """A deployment of a checkpoint, named as it is written.

    Args:
        artifact: that is not in its place yet; None: what lies in the checkpoint.
    """
    from zoo.measure import Arm
    from zoo.measure.workload import Generate

    kwargs = {
        "checkpoint": str(checkpoint),
        "deployment": deployment,
        "inputs": str(inputs),
        "device": device,
        "threads": threads,
    }
    if artifact is not None:
        kwargs["artifact"] = str(artifact.folder)
    if isinstance(workload, Generate):
        kwargs["new_tokens"] = workload.new_tokens
    return Arm(deployment, TARGET, kwargs, threads)


def call(
    checkpoint: str,
    deployment: str,
    inputs: str,
    artifact: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    new_tokens: int = 0,
) -> Callable[[], Any]:
    """Loads a deployment; what is returned runs it once, and has a method `stream` where it writes
    texts (`Writing`).

    Args:
        inputs: an .npz file with the arrays of a batch, by name.
        artifact: folder of an artifact that is not in its place yet.
        new_tokens: that are written behind the batch, of prompts; 0: it is computed as a whole.

    Raises `UserError` for a deployment that is to write, and can't.
    """
    from zoo import runtimes
    from zoo.runtimes.deployment import Deployment
    from zoo.speedups import allocator

    allocator.keep_freed_memory()
    with np.load(inputs, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if artifact is None:
        runner = runtimes.load(Path(checkpoint), deployment, device, threads)
    else:
        import importlib

        from zoo.runtimes import artifacts
        from zoo.runtimes.known import RUNTIMES

        found, wanted = artifacts.read(Path(artifact)), Deployment.parse(deployment)
        module = importlib.import_module(RUNTIMES[wanted.runtime].module)
        runner = module.load(found, wanted, device, threads)
    runner.signature.check(arrays)

    def once() -> Any:
        return runner.run(arrays)

    if new_tokens:
        once = Writing(runner, arrays, new_tokens)

    if device.startswith("cuda"):
        import torch

        once.synchronize = torch.cuda.synchronize  # type: ignore[attr-defined]
    return once


class Writing:
    """Writes so many tokens behind prompts, or from sources, that are not padded, whatever they
    say."""

    def __init__(self, runner: "Runner", inputs: Mapping[str, np.ndarray], new_tokens: int) -> None:
        """Raises `UserError` for a runner that writes no text."""
        from zoo.generation.decoding import Decoding, SpecialTokens
        from zoo.runtimes.stages import target_writer_of, writer_of

        self.inputs, self.decoding = inputs, Decoding().fixed_length(new_tokens)
        if (targets := target_writer_of(runner)) is not None:
            prefix = targets.special_tokens().prefix
            special = SpecialTokens((), pad=0, prefix=prefix)
            self.runner = targets.make_runner(special, self.decoding)
            self.inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            return
        writer = writer_of(runner)
        if writer is None:
            raise UserError(f"{runner.deployment} writes no text: eager and onnx do")
        self.runner = writer.make_runner(SpecialTokens(eos=(), pad=0), self.decoding)

    def __call__(self) -> np.ndarray:
        """Return the tokens that were written, int64 [batch, new_tokens]."""
        return np.stack(list(self.stream()), 1)

    def stream(self) -> Iterator[np.ndarray]:
        """Yield the next token of each text, int64 [batch], as soon as it is computed."""
        from zoo.generation.generate import generate

        return generate(self.runner, self.inputs, self.decoding)
