"""What was measured of a load, kept: lines of results, and facts in the checkpoint's evidence."""

import shlex
import uuid
from collections.abc import Sequence
from typing import Any

from bench.cases import models
from bench.cases.case import Case, source_digest
from bench.load.args import LoadArgs
from bench.load.arms import OURS, URL, LoadArm, flag_of
from bench.load.measured import ArmLoad, over_rounds, times_as_many
from bench.load.show import mean
from bench.load.step import Step
from bench.record import store
from bench.record.results import MeasureResult, Result, Value
from zoo.machine import environment, terminal
from zoo.machine.precision import choose_device
from zoo.measure.intervals import Estimate
from zoo.measure.workload import Serve
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint

MEASURE = "load"


def keep(args: LoadArgs, found: Sequence[ArmLoad], checkpoint: Checkpoint | None) -> None:
    """Add a result of each service to the file of results, and facts about ours to the evidence."""
    for one in found:
        store.append(args.out, result_of(args, found[0], one))
    facts = [] if checkpoint is None else facts_of(args, found)
    if checkpoint is not None and facts:
        evidence.append(checkpoint.folder, facts)
    added = f"; {len(facts)} facts added to the evidence of {args.service}" if facts else ""
    terminal.lines(f"{len(found)} results added to {args.out}{added}")


def result_of(args: LoadArgs, base: ArmLoad, one: ArmLoad) -> Result:
    """Return the line of results of one service; `base` is what others are compared with."""
    arm = one.arm
    options = shlex.join(arm.options)
    workload = Serve({}, args.p99_ms, arm.server, options)
    case = Case(args.service, arm.deployment, workload, device_of(arm), arm.threads)
    subject = arm.model if arm.server == URL else models.subject(arm.model, arm.deployment)
    told = {"machine": environment.machine(), "versions": environment.versions()}
    origin = {"subject": subject, "source": source_digest(), **evidence.origin()}
    values = values_of(base, one)
    status: Any = "wrong" if one.is_wrong else "ok" if one.steps() else "error"
    samples = {
        "rounds": [each.as_json() for each in one.rounds],
        "asked": {"rate": list(args.rate), "clients": args.clients, "seed": args.seed},
        "client": {"processes": args.client_processes},
    }
    found = MeasureResult(values if status == "ok" else {}, status, one.fault, samples=samples)
    seconds = sum(each.seconds for each in one.rounds)
    key = case.key(subject, told)
    return Result(key, case, MEASURE, found, seconds, {"samples": 1.0}, origin)


def values_of(base: ArmLoad, one: ArmLoad) -> dict[str, Value]:
    """Return the numbers of a service: requests a second at the highest rate that was kept, latency
    and cost at that rate, and memory. p50 and p95 are of the answers with status 200, p99 of all
    requests: it is left out where too many have none."""
    values: dict[str, Value] = {}

    def add(name: str, found: Estimate | None, unit: str) -> None:
        if found is not None:
            values[name] = value_of(found, unit)

    if one.searches():
        add("requests_per_s", one.capacity(), "1/s")
        if one is not base:
            add("times_as_many", times_as_many(base, one), "1")
    steps = one.told()
    rounds = [each for each in one.rounds if each.memory.first]
    requests = sum(step.requests for step in steps)
    for name in ("p50", "p95"):
        seen = [each.latency[name] for each in steps if each.latency]
        add(name, over_rounds(seen, requests), "s")
    p99s = [each.p99_of_all for each in steps if each.p99_of_all is not None]
    if len(p99s) == len(steps):  # a request without an answer took forever
        add("p99", over_rounds(p99s, requests), "s")
    plain = {
        "service_cpu": (mean([step.service_cpu for step in steps]), "s"),
        "client_cpu": (mean([step.client_cpu for step in steps]), "s"),
        "energy": (mean([step.joules for step in steps]), "J"),
        "start": (mean([each.start_s for each in one.rounds]), "s"),
        "memory_start": (max((each.memory.first or 0 for each in rounds), default=None), "bytes"),
        "memory_end": (max((each.memory.last or 0 for each in rounds), default=None), "bytes"),
        "memory_peak": (one.peak_memory(), "bytes"),
    }
    values |= {
        name: Value(value, unit, len(one.rounds))
        for name, (value, unit) in plain.items()
        if value is not None
    }
    return values


def value_of(found: Estimate, unit: str) -> Value:
    """Return an estimate as a value; one of a single round has no interval."""
    if found.interval.low == found.interval.high:
        return Value(found.value, unit, found.n)
    return Value.of(found, unit)


def facts_of(args: LoadArgs, found: Sequence[ArmLoad]) -> list[evidence.Fact]:
    """Return what was measured of our own services, as evidence: at the highest rate that was kept
    requests a second and processor time, and of the rates that were asked for the p99."""
    run, facts = uuid.uuid4().hex, list[evidence.Fact]()
    for one in found:
        arm = one.arm
        if arm.server != OURS or one.is_wrong or not one.steps():
            continue
        common: dict[str, Any] = {
            "subject": models.subject(arm.model, arm.deployment),
            "run": run,
            "deployment": arm.deployment,
            "device": device_of(arm),
            "threads": arm.threads,
            "seed": args.seed,
        }
        options = {"options": shlex.join(arm.options)} if arm.options else {}
        capacity = one.capacity()
        if capacity is not None and one.searches():
            work = {"p99_ms": args.p99_ms, **options}
            facts.append(_fact("requests_per_s", capacity, "1/s", work, common))
            cost = _cpu(list(one.tops().values()))
            if cost is not None:
                facts.append(_fact("cpu_per_request", cost, "s", work, common))
        for rate in dict.fromkeys(args.rate):
            steps = one.at(rate)
            seen = [step.p99_of_all for step in steps if step.p99_of_all is not None]
            p99 = over_rounds(seen, sum(step.requests for step in steps))
            if p99 is not None and len(seen) == len(steps):
                work = {"requests_per_s": rate, **options}
                facts.append(_fact("p99", p99, "s", work, common))
    return facts


def _cpu(steps: Sequence[Step]) -> Estimate | None:
    seen = [step.service_cpu for step in steps if step.service_cpu]
    return over_rounds(seen, sum(step.requests for step in steps))


def _fact(
    name: str, found: Estimate, unit: str, workload: dict[str, Any], common: dict[str, Any]
) -> evidence.Fact:
    value = value_of(found, unit)
    return evidence.fact(
        MEASURE,
        name,
        value.value,
        unit,
        n=max(1, value.n),
        interval=None if value.interval is None else dict(value.interval),
        workload=workload,
        **common,
    )


def device_of(arm: LoadArm) -> str:
    """Return the device that a service was told to use, or would choose."""
    if arm.server != OURS:
        return "cpu"
    return str(choose_device(flag_of(arm.options, "device") or "auto"))
