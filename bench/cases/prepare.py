"""What all measures of a case share: checkpoint, inputs and the outputs they should have.

In processes of their own (`bench.cases.child`), so that the one that measures stays small and
quiet.
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases import child, models, targets
from bench.cases.case import Case
from bench.cases.child import Start
from bench.cases.job import MeasureJob, Settings
from zoo.machine import environment
from zoo.measure import Arm
from zoo.measure.process import Worker
from zoo.measure.workload import Forward, Generate
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

COMPARED_ROWS = 4
"""Rows of a batch whose outputs are compared: the reference computes in float64."""


@dataclass(frozen=True)
class Prepared:
    """A case that is ready to be measured."""

    checkpoint: str
    inputs: str
    """.npz, the arrays of a batch"""
    reference: str
    """.npz: outputs of some rows, as the fp32 network gives them and as it would in float64, and
    what each of them is; "" of texts that are written"""
    work: Mapping[str, float]

    def arm(self, case: Case) -> Arm:
        """Return the arm to be timed for the case."""
        target = targets.TARGETS[type(case.workload)]
        kwargs: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "deployment": case.deployment,
            "inputs": self.inputs,
            "device": case.device,
            "threads": case.threads,
        }
        if isinstance(case.workload, Generate):
            kwargs["new_tokens"] = case.workload.new_tokens
        return Arm(str(case), target, kwargs, case.threads)

    def job(self, case: Case, settings: Settings, **more: Any) -> MeasureJob:
        """Return the job for a measure of the case; `more` are further fields of the job."""
        return MeasureJob(case, self.arm(case), self.work, self.reference, settings, **more)


CORES = 4
"""That one preparation can use: as many are made at the same time as there are of these."""


class Preparation:
    """Prepares cases into `folder`; cases of one model, batch and length share what is prepared.

    Nothing is timed meanwhile, so if there are enough cores, the next cases are prepared at the
    same time. Programs are not compiled beforehand: the compiler chooses its kernels by timing
    them, which other work on the same device would disturb.
    """

    def __init__(self, folder: Path, timeout_s: float, start: Start = Worker) -> None:
        self.folder, self.timeout_s, self.start = folder, timeout_s, start
        self.made: dict[Case, Prepared] = {}
        self.exported: set[tuple[str, str]] = set()
        self.upcoming: Sequence[Case] = ()
        """in their order; what one of them needs may be made before it is asked for"""
        self.cores = float(environment.machine(gpu=False)["cores"])

    def of(self, case: Case) -> Prepared:
        """Return the prepared case. Raises `zoo.measure.process.WorkerFailed` if that fails."""
        if _alike(case) not in self.made:
            self._make(case)
        prepared = self.made[_alike(case)]
        deployment = Deployment.parse(case.deployment)
        artifact = (prepared.checkpoint, case.deployment)
        if (
            models.is_random(case.model)
            and RUNTIMES[deployment.runtime].artifact
            and artifact not in self.exported
        ):
            kwargs = {"checkpoint": prepared.checkpoint, "deployment": case.deployment}
            self._call("export", kwargs, case.threads)
            self.exported.add(artifact)
        return prepared

    def _make(self, case: Case) -> None:
        """Prepare a case, and as many of the following cases as there are cores for; their failures
        are raised when they are requested."""
        asked = _alike(case)
        behind = self.upcoming[self.upcoming.index(case) + 1 :] if case in self.upcoming else ()
        needed = [each for each in dict.fromkeys(map(_alike, behind)) if each not in self.made]
        others = [each for each in needed if each != asked]
        beside = others[: max(0, int(self.cores // CORES) - 1)]
        if not beside:
            self.made[asked] = self._made(asked)
            return
        pool = ThreadPoolExecutor(1 + len(beside))
        try:
            first, *rest = [pool.submit(self._made, each) for each in (asked, *beside)]
            for each, result in zip(beside, rest, strict=True):
                if result.exception() is None:
                    self.made[each] = result.result()
            self.made[asked] = first.result()
        finally:  # after Ctrl-C nobody waits: the processes end with the one they are forked from
            pool.shutdown(wait=False, cancel_futures=True)

    def _made(self, alike: Case) -> Prepared:
        place = tempfile.mkdtemp(dir=self.folder)
        kwargs = {"case": alike.to_json(), "folder": place}
        return Prepared(**self._call("prepare", kwargs, alike.threads))

    def _call(self, function: str, kwargs: Mapping[str, Any], threads: int) -> Any:
        """Return the result of a function of this module, computed in a process of its own."""
        name = f"bench.cases.prepare:{function}"
        return child.call(name, kwargs, threads, timeout_s=self.timeout_s, start=self.start)


def _alike(case: Case) -> Case:
    """Return the case that represents all cases with the same inputs and reference."""
    work = case.workload
    if not isinstance(work, Generate):
        work = Forward(work.sizes)
    return Case(case.model, workload=work, threads=case.threads)


def prepare(case: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Write inputs and reference to `folder`; return the fields of `Prepared`.

    Raises `UserError` for a damaged checkpoint, or a workload that it does not take.
    """
    from bench.cases import random_weights, workload
    from zoo.deploy import timed
    from zoo.deploy.export import ExportSource
    from zoo.deploy.proof import ReferenceModel
    from zoo.runtimes import probe

    asked, place = Case.from_json(case), Path(folder)
    if models.is_random(asked.model):
        checkpoint = random_weights.checkpoint(asked.model, asked.workload.length)
    else:
        checkpoint = Path(asked.model)
    original = ExportSource.open(checkpoint)
    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    sized = workload.resolved(original, signature, asked.workload)
    arrays = timed.random_inputs(original, signature, sized)
    np.savez(place / "inputs.npz", **arrays)  # type: ignore[arg-type]
    work = original.modality.work(arrays, original.task)
    made = Prepared(str(checkpoint), str(place / "inputs.npz"), str(place / "reference.npz"), work)
    if isinstance(asked.workload, Generate):
        return dataclasses.asdict(_writing(made, asked.workload, original.model))
    chosen = compared_rows(asked.workload.batch)
    some = {name: array[chosen] for name, array in arrays.items()}
    source = ReferenceModel(original.model, signature.outputs)
    outputs = {f"single/{name}": array for name, array in source(some).items()}
    outputs |= {f"exact/{name}": array for name, array in source.exactly(some).items()}
    kinds = {name: signature.kind(name) for name in signature.outputs}
    outputs |= {f"kind/{name}": np.array(kind) for name, kind in kinds.items() if kind}
    np.savez(place / "reference.npz", **outputs)  # type: ignore[arg-type]
    return dataclasses.asdict(made)


def _writing(made: Prepared, workload: Generate, model: Any) -> Prepared:
    """Return what is prepared for texts that are written: the tokens of a call are new ones. They
    have no reference: `bench.measures.parity.same_text` compares with what eager fp32 writes."""
    tokens = workload.new_tokens
    if model.config.is_encoder_decoder:
        tokens = min(tokens, model.generation_config.max_new_tokens or tokens)
    kept = {name: count for name, count in made.work.items() if name != "tokens"}
    work = {**kept, "new_tokens": float(workload.batch * tokens)}
    return dataclasses.replace(made, reference="", work=work)


def compared_rows(batch: int) -> np.ndarray:
    """Return the indices of the rows to compare: the first, the last, and some between."""
    return np.unique(np.linspace(0, batch - 1, COMPARED_ROWS).astype(int))


def export(checkpoint: str, deployment: str) -> None:
    """Export random weights if that was not done yet; each case is proven on its own inputs.

    Raises `UserError` if the runtime cannot express the network.
    """
    from zoo.deploy.export import ExportSource, build, must_be_exportable
    from zoo.runtimes import artifacts, provenance

    wanted, folder = Deployment.parse(deployment), Path(checkpoint)
    if artifacts.folder_of(folder, wanted).is_dir():
        return
    must_be_exportable(wanted)
    original = ExportSource.open(folder)
    with artifacts.staged(folder, wanted) as staging:
        made = build(original, wanted, staging)
        place = artifacts.put_in_place(staging, folder, wanted)
    provenance.record_exported_here(dataclasses.replace(made, folder=place))
