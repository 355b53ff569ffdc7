"""Correct or no number: the outputs on the case's own inputs beside those of eager fp32.

By the rules of `zoo.deploy.parity`. Of a training step the outputs are compared, without dropout.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.deploy import parity
from zoo.deploy.generation_proof import difference
from zoo.deploy.set_outputs import aligned
from zoo.measure.workload import Generate, TrainStep
from zoo.runtimes.deployment import Deployment


def measure(job: MeasureJob) -> MeasureResult:
    """Compare a deployment's outputs with the reference; status wrong if they do not agree."""
    work = job.case.workload
    told = job.ask(
        "bench.measures.parity:compare",
        phase=work.phase,
        reference=job.reference,
        batch_size=work.batch,
    )
    values = {name: Value(value, unit, told["values"]) for name, value, unit in told["numbers"]}
    if told["fault"]:
        return MeasureResult(values, "wrong", told["fault"])
    return MeasureResult(values, reason=told["note"])


def compare(
    target: str, kwargs: Mapping[str, Any], phase: str, reference: str, batch_size: int
) -> dict[str, Any]:
    """In a process of the case: return how far the outputs are from the reference, and errors."""
    from bench.cases.prepare import compared_rows

    if phase == Generate.phase:
        return same_text(target, kwargs)
    with np.load(reference, allow_pickle=False) as file:
        wanted = {name: file[name] for name in file.files}
    made, call, _ = child.load(target, kwargs)
    deployment = Deployment.parse(kwargs["deployment"])
    outputs = _outputs(phase, made, call, deployment)
    rows = compared_rows(batch_size)
    some = {name: array[rows] for name, array in outputs.items()}
    return judge(wanted, some, deployment.numerics)


def same_text(target: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether a deployment generates the same tokens as eager fp32."""
    from bench.cases.generation import generation

    given = {**kwargs, "device": "cpu"}
    wanted = generation(**{**given, "deployment": "eager"}).call()
    found = child.load(target, kwargs)[0].call()
    parted = [difference(*pair) for pair in zip(found.tolist(), wanted.tolist(), strict=True)]
    faults = [f"row {i} is written otherwise: {said}" for i, said in enumerate(parted) if said]
    numbers = [("same_texts", 1 - len(faults) / len(parted), "1")]
    return {
        "values": wanted.size,
        "numbers": numbers,
        "fault": faults[0] if faults else "",
        "note": "",
    }


def _outputs(
    phase: str, made: Any, call: Callable[[], Any], deployment: Deployment
) -> dict[str, np.ndarray]:
    """Return the outputs of a call in the program's final state: a CUDA graph is replayed only
    after its first calls."""
    from zoo.runtimes.compiled import calls_before

    before = calls_before(deployment)
    if phase == TrainStep.phase:
        outputs: list[dict[str, np.ndarray]] = [made.outputs() for _ in range(before + 1)]
        return outputs[-1]
    found = [call() for _ in range(before + 1)][-1]
    return {
        name: array if isinstance(array, np.ndarray) else array.cpu().numpy()
        for name, array in found.items()
    }


def judge(
    wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], numerics: str
) -> dict[str, Any]:
    """Return what is wrong with the outputs, and how far they are off.

    Args:
        wanted: "exact/NAME" in float64, "single/NAME" of the fp32 network, and "kind/NAME", the
            kind of the output, if its signature names one.
        found: the deployment's outputs, by name.
    """
    limit = parity.tolerance_of(numerics)
    same = limit.multiple is not None
    differences, faults = [], []
    kinds: dict[str, Any] = {
        name: str(wanted[f"kind/{name}"]) if f"kind/{name}" in wanted else None for name in found
    }
    exactly = {name: wanted[f"exact/{name}"] for name in found}
    singly = aligned({name: wanted[f"single/{name}"] for name in found}, exactly, kinds)
    for name, array in aligned(found, exactly, kinds).items():
        exact, single = exactly[name], singly[name]
        if array.shape != exact.shape:
            faults.append(f"{name} is {list(array.shape)}, and should be {list(exact.shape)}")
            continue
        reference, own = (exact, single) if same else (single, None)
        one = parity.difference(name, reference, array, own, kind=kinds[name])
        differences.append(one)
        if not limit.calibrated:
            fault = parity.judge(one, numerics, one.signal)
        else:
            fault = None if math.isfinite(one.absolute) else f"{name} is not finite"
        if fault:
            faults.append(fault)
    if not limit.calibrated and (fault := parity.judge_all(differences, numerics)):
        faults.append(fault)
    real = [one for one in differences if one.is_real]
    numbers = [
        ("max_absolute_difference", max((one.absolute for one in real), default=0.0), "1"),
        ("sqnr", min((one.sqnr for one in real), default=math.inf), "dB"),
    ]
    note = "random inputs show only that it runs: it is proven by its export" * limit.calibrated
    return {
        "numbers": [each for each in numbers if math.isfinite(each[1])],
        "values": sum(one.values for one in differences),
        "fault": faults[0] if faults else "",
        "note": note,
    }
