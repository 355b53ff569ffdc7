"""What a worker checks before it is ready: that it has loaded what it was told to, and that this
machine computes what was proven (the golden inputs of a checkpoint, `zoo.deploy.golden`)."""

import logging
from pathlib import Path

from tasks.arrays import to_numpy
from tasks.errors import UserError
from zoo.deploy import golden
from zoo.predict.pipeline import Predictor
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence

LOG = logging.getLogger(__name__)
ON_A_GPU = {"fp32": "tf32"}
"""Numerics by whose tolerance others are judged there: convolutions of fp32 round to tf32."""

ALIKE = 0.5
"""Share of texts that are to be the same on a GPU, and by other numerics than fp32: there rounding,
which differs between processors, decides between two tokens that are nearly as likely, and from
then on the text is another one."""


class Unfit(Exception):
    """This machine computes something else than was proven; the text says how far it is off."""


def must_be_the_same(
    predictor: Predictor, folder: Path, deployment: Deployment, sha256: str
) -> None:
    """Raises `UserError` where a folder holds something else by now than what it was told to
    serve: a worker that is started again must not answer for another version."""
    if RUNTIMES[deployment.runtime].artifact:
        found = artifacts.read_manifest(artifacts.folder_of(folder, deployment)).digest
    else:
        found = evidence.digest_of(predictor.checkpoint.manifest["files"])
    if found != sha256 != artifacts.subject_of(folder, deployment):
        raise UserError(f"{folder} holds another version by now than the one that is served")


def run(predictor: Predictor, folder: Path, deployment: Deployment, sha256: str) -> int:
    """Run the golden inputs of a deployment; return how many there were.

    Args:
        predictor: warm.
        sha256: of what runs.

    Raises `Unfit` where an output leaves the tolerance, and `UserError` for a damaged file.
    """
    inputs = golden.read(folder, deployment, sha256)
    if not inputs:
        return 0
    task, numerics = predictor.task, deployment.numerics
    on_gpu = not str(predictor.device).startswith("cpu")
    if inputs[0].text is not None:
        texts = [
            one["text"] for one in predictor.predict([one.raw for one in inputs], batch_size=1)
        ]
        least = ALIKE if on_gpu or numerics != "fp32" else 1.0
        if wrong := golden.text_fault(inputs, texts, least):
            raise Unfit(f"self-test: {len(inputs)} golden inputs: {wrong}")
        return len(inputs)
    if on_gpu:
        numerics = ON_A_GPU.get(numerics, numerics)
    found = []
    for one in inputs:
        with predictor.context():
            outputs = predictor.outputs([one.raw])
            found.append({name: to_numpy(outputs[name]) for name in one.reference})
    if wrong := golden.fault(inputs, found, task.output_kinds, numerics):
        raise Unfit(f"self-test: {len(inputs)} golden inputs: {wrong}")
    return len(inputs)
