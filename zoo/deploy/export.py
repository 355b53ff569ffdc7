"""The verb export: a checkpoint becomes an artifact, with the proof that it computes the same."""

import dataclasses
import importlib
import inspect
import logging
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Examples, Features, Task
from tasks.data.source import DataArgs
from tasks.errors import UserError, foreign, spelled
from tasks.metrics.spec import MetricSpec
from tasks.printing import print_lines
from zoo.deploy import golden
from zoo.deploy.proof import REAL_ROWS, Proof, prove
from zoo.evaluation.paired_test import MetricDrop, drop
from zoo.machine import environment
from zoo.machine.formatting import size
from zoo.machine.terminal import quiet_libraries
from zoo.model.modality import Modality, modality_of
from zoo.model.network import Network, load_network, network_of
from zoo.runtimes import artifacts, check_threads, must_be_available, probe, provenance
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint, open_checkpoint

if TYPE_CHECKING:
    from torch import nn

    from zoo.cli.args import ExportArgs
    from zoo.evaluation.loop import Evaluation
    from zoo.model.entry import Entry
    from zoo.runtimes.runner import Runner

PROOF_SEED = 0
METRIC_SAMPLES = 512
EVALUATION_BATCH = 32


class ContractNotMet(Exception):
    """A deployment that did not pass its proof; nothing was put in place."""


@dataclass(frozen=True)
class ExportSource:
    """A checkpoint with what it takes to export it and to prove the export."""

    checkpoint: Checkpoint
    model: "nn.Module"  # fp32, on the processor
    processor: Any
    modality: Modality
    network: Network

    @classmethod
    def open(cls, folder: Path, entry: "Entry | None" = None) -> "ExportSource":
        """Raises `UserError` for a damaged checkpoint or one of another model."""
        import torch

        checkpoint = open_checkpoint(folder, entry)
        entry = checkpoint.entry
        model, processor = load_network(checkpoint, torch.device("cpu"))
        bound = checkpoint.bind(processor)
        return cls(bound, model, processor, modality_of(entry), network_of(entry))

    @property
    def task(self) -> Task:
        """Return the task of the checkpoint."""
        return self.checkpoint.task

    def samples(self, split: str, data: str | None = None, limit: int | None = None) -> "EvalSplit":
        """The samples of one split of the data it was trained on, or of other data, whose missing
        splits are cut as for a training.

        Raises `UserError` where the data can't be read, or has no such split.
        """
        examples, key = self.examples(split, data, limit)
        name = next(iter(examples.splits))
        features: Features = self.task.features(examples.splits[name], key)
        return EvalSplit(
            features, name, {"name": examples.name, "fingerprint": examples.fingerprint}
        )

    def examples(
        self, split: str, data: str | None = None, limit: int | None = None
    ) -> "tuple[Examples, str]":
        """Return the examples of one split as they were read, and the key under which their
        features are kept."""
        trained = self.checkpoint.manifest["config"]["data"]
        args = dataclasses.replace(
            DataArgs(**trained),
            data=data or trained["data"],
            data_config=None if data else trained["data_config"],
            max_eval_samples=limit,
        )
        module = importlib.import_module(self.checkpoint.entry.task)
        trained_on = None if data else self.checkpoint.manifest["data"]["fingerprint"]
        examples: Examples = module.for_evaluation(self.task, args, split, trained_on)
        return examples, f"{examples.fingerprint}/{next(iter(examples.splits))}/{args}"

    def proven(self, runner: "Runner", rows: Sequence[Any]) -> Proof:
        """The proof of what runs it; `rows` are real samples, none where no data is at hand."""
        return prove(runner, self.model, self.modality, self.task, rows, PROOF_SEED)

    def measured(self, features: Features, runner: "Runner | None" = None) -> "Evaluation":
        """The task's metrics on samples, of the fp32 source or of what else runs it."""
        import torch

        from zoo.evaluation.loop import evaluate
        from zoo.machine.accelerator import accelerator_on
        from zoo.runtimes.runner_model import RunnerModel

        model = RunnerModel(runner, self.checkpoint.folder).eval() if runner else self.model
        return evaluate(
            model,
            self.task,
            features,
            batch_size=EVALUATION_BATCH,
            accelerator=accelerator_on(torch.device("cpu")),
        )


@dataclass(frozen=True)
class EvalSplit:
    """Samples of one split, and where they are from."""

    features: Features
    split: str
    dataset: Mapping[str, str]  # name and fingerprint, as evidence has them

    def rows(self) -> Sequence[Any]:
        """The first few, which proofs are made with."""
        return self.features.__getitems__(list(range(min(REAL_ROWS, len(self.features)))))


def export_checkpoint(entry: "Entry | None", args: "ExportArgs") -> Artifact:
    """Exports, proves, puts in place, and adds the proof to the evidence.

    Raises:
        UserError: a runtime that is not known or not here, a damaged checkpoint, an operator that
            the runtime does not have.
        Refused: the proof failed.
    """
    deployment = Deployment.parse(args.runtime)
    must_be_exportable(deployment)
    check_threads(args.threads)
    quiet_libraries()
    original = ExportSource.open(args.checkpoint, entry)
    samples = proof_samples(original, args.data)
    with artifacts.staged(args.checkpoint, deployment) as staging:
        begin = time.perf_counter()
        made = build(original, deployment, staging, opset=args.opset)
        seconds = time.perf_counter() - begin
        with obstacles_named(original, deployment):
            runner = open_runner(made, args.threads)
        rows = samples.rows() if samples else []
        proof = original.proven(runner, rows)
        lost = dropped(original, samples, runner) if samples and proof.passed else None
        report(made, proof, seconds, lost)
        if not proof.passed:
            raise ContractNotMet(
                f"{deployment} is refused, and nothing was put in place: {proof.faults[0]}"
                + (f" (and {len(proof.faults) - 1} more)" if len(proof.faults) > 1 else "")
                + f"; worst: {proof.worst()}"
            )
        drops = [(samples, lost)] if samples and lost else []
        made = commit_artifact(made, proof, args.checkpoint, original.task.primary, drops)
        golden.leave(original, runner, made.digest, args.data, args.golden_inputs)
    print_lines(f"{made.folder}")
    return made


def commit_artifact(
    made: Artifact,
    proof: Proof,
    checkpoint: Path,
    metric: MetricSpec,
    drops: "Sequence[tuple[EvalSplit, MetricDrop]]",
    more: Mapping[str, Any] | None = None,
    measured: Sequence[evidence.Fact] = (),
    device: str = "cpu",
) -> Artifact:
    """Puts an artifact that has passed its proof in its place, and adds what was found to the
    evidence.

    Args:
        drops: what was lost of the metric, and on which samples.
        more: for its manifest.
        measured: facts that were found of it beside those.
        device: that it was proven on.
    """
    rest = {name: value for name, value in made.manifest.items() if name not in artifacts.OWN}
    made = artifacts.write_manifest(
        made.folder,
        made.deployment,
        made.signature,
        str(made.manifest["source"]),
        {**rest, "proof": proof.record(), **(more or {})},
    )
    found = facts(made, proof, device)
    run = found[0].run
    found += [drop_fact(made, samples, lost, metric, run, device) for samples, lost in drops]
    place = artifacts.put_in_place(made.folder, checkpoint, made.deployment)
    made = dataclasses.replace(made, folder=place)
    provenance.record_exported_here(made)
    evidence.append(checkpoint, [*found, *measured])
    return made


def must_be_exportable(deployment: Deployment) -> None:
    """Raises `UserError` for a deployment without artifacts, not available here, or one that
    `quantize` makes."""
    runtime = RUNTIMES[deployment.runtime]
    if runtime.artifact is None:
        with_artifact = ", ".join(name for name, one in RUNTIMES.items() if one.artifact)
        raise UserError(
            f"{deployment} runs the checkpoint itself, so there is nothing to export; exported are "
            f"{with_artifact}"
        )
    if deployment.numerics.startswith("int"):
        raise UserError(f"{deployment} is made by quantize, under a contract for its accuracy")
    must_be_available(deployment, runtime.devices[0])


def proof_samples(original: ExportSource, data: str | None) -> EvalSplit | None:
    """Samples to prove with and to measure the metric on; None, with a line that says so, where the
    data is out of reach."""
    try:
        return original.samples("validation", data, METRIC_SAMPLES)
    except UserError as error:
        if data:
            raise
        note = f"no real inputs for the proof ({error}): random ones only; name data with `data`"
        print_lines(spelled(note))
        return None


def dropped(original: ExportSource, samples: EvalSplit, runner: "Runner") -> MetricDrop:
    """Return how much of the task's main metric a runner loses on real data."""
    source = original.measured(samples.features)
    ours = original.measured(samples.features, runner)
    return drop(source.accumulator, ours.accumulator, original.task.primary)


def build(
    original: ExportSource, deployment: Deployment, staging: Path, opset: int | None = None
) -> Artifact:
    """Writes the program and its manifest into a staged folder.

    Raises `UserError` where the runtime can't express the network, naming what stands in the way.
    """
    import copy

    import torch

    runtime = RUNTIMES[deployment.runtime]
    module = importlib.import_module(runtime.module)
    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    if runtime.most_rows:
        limits = {**signature.limits, "batch": (1, runtime.most_rows)}
        signature = dataclasses.replace(signature, limits=limits)
    _, example = original.modality.example_inputs(original.task, original.processor)
    options: dict[str, Any] = {}
    if opset is not None:
        if "opset" not in inspect.signature(module.export).parameters:
            raise UserError(f"`opset` is for onnx; {deployment.runtime} has none")
        options["opset"] = opset
    torch.manual_seed(0)
    with quiet(), obstacles_named(original, deployment):
        model, inputs = copy.deepcopy(original.model), example.inputs
        if stages := original.network.stages(model, inputs):
            if not runtime.has_stages:
                raise UserError(
                    f"{original.checkpoint.entry.name} can't be exported to {deployment}, which "
                    f"has no {' and '.join(stages)} with a cache here: export it to onnx"
                )
            more = module.export_stages(stages, model, staging, **options)
        else:
            more = module.export(model, inputs, signature, deployment, staging, **options)
    return artifacts.write_manifest(
        staging,
        deployment,
        signature,
        evidence.subject_digest(original.checkpoint.folder),
        {"model": original.checkpoint.entry.name, "versions": environment.versions(), **more},
    )


@contextmanager
def obstacles_named(original: ExportSource, deployment: Deployment) -> Iterator[None]:
    """Raises `UserError` for what an exporter can't express and for a program that a runtime can't
    load: each has exceptions of its own."""
    try:
        yield
    except (UserError, MemoryError, OSError):
        raise
    except Exception as error:
        raise UserError(
            f"{original.checkpoint.entry.name} can't be exported to {deployment}: {obstacle(error)}"
        ) from error


def obstacle(error: BaseException) -> str:
    """Return what stands in the way, in one line: the innermost error that says something."""
    chain = [error]
    while (inner := chain[-1].__cause__) is not None:
        chain.append(inner)
    for one in reversed(chain):
        lines = [line.strip() for line in foreign(one).splitlines() if line.strip()]
        # torch.export and OpenVINO say what it is about in the points of a list
        points = [line for line in lines[1:] if line.startswith(("- ", "-- Conversion is failed"))]
        if lines:
            return f"{type(one).__name__}: {' '.join([lines[0], *points[:1]])[:400]}"
    return type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' own messages; what they warn of is found out by the proof."""
    import contextlib
    import io

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def open_runner(
    artifact: Artifact, threads: int | None = None, device: str | None = None
) -> "Runner":
    """An artifact's runner, wherever the artifact lies, on the runtime's first device where none is
    named."""
    runtime = RUNTIMES[artifact.deployment.runtime]
    module = importlib.import_module(runtime.module)
    place = device or runtime.devices[0]
    runner: Runner = module.load(artifact, artifact.deployment, place, threads)
    return runner


def report(artifact: Artifact, proof: Proof, seconds: float, lost: MetricDrop | None) -> None:
    """Print what the proof has found, the size and the time."""
    said = proof.summary()
    numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in said.items())
    print_lines(
        f"{artifact.deployment}: {size(artifact.size, 'MB')} in {seconds:.1f} s; "
        + (f"{proof.tokens:,} written tokens, " if proof.tokens else "")
        + f"{len(proof.differences)} outputs and {proof.arrangements} arrangements compared; "
        f"{numbers}" + (f"; metric lost {lost}, n = {lost.n:,}" if lost else "")
    )


def facts(artifact: Artifact, proof: Proof, device: str = "cpu") -> list[evidence.Fact]:
    """The proof, on a device, and the size as evidence."""
    common: dict[str, Any] = {
        "subject": artifact.digest,
        "run": uuid.uuid4().hex,
        "deployment": str(artifact.deployment),
        "device": device,
        "seed": PROOF_SEED,
    }
    units = {"sqnr": "dB"}
    rows = {name: count for name, (_, count) in proof.agreements().items()}
    made = [
        evidence.fact(
            "parity",
            name,
            value,
            units.get(name, "1"),
            n=rows.get(name, len(proof.differences)),
            **common,
        )
        for name, value in proof.summary().items()
    ]
    if proof.tokens:  # that a proof which passed has compared: all are the same
        made.append(evidence.fact("parity", "token_agreement", 1.0, "1", n=proof.tokens, **common))
    return [*made, evidence.fact("size", "artifact_size", artifact.size, "bytes", **common)]


def drop_fact(
    artifact: Artifact,
    samples: EvalSplit,
    lost: MetricDrop,
    metric: MetricSpec,
    run: str,
    device: str = "cpu",
) -> evidence.Fact:
    """What a metric lost on a split, as evidence; on a device."""
    return evidence.fact(
        "metric",
        f"{metric.name}_drop",
        lost.value,
        metric.unit if metric.scale == "absolute" else "1",
        n=lost.n,
        interval=lost.interval(),
        subject=artifact.digest,
        run=run,
        deployment=str(artifact.deployment),
        device=device,
        dataset=samples.dataset,
        split=samples.split,
    )
