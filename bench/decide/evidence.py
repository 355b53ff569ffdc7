"""What `bench.decide.search` has measured of the finalists, as evidence in the checkpoint."""

from collections.abc import Mapping, Sequence

from bench.decide.services import ServiceSetting
from bench.decide.token_times import TokenTimes
from zoo.deploy import export
from zoo.deploy import winner as winners
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder
from zoo.deploy.chosen import measured_where, speed_fact
from zoo.measure.workload import Workload
from zoo.store import evidence


def record(
    builder: DeploymentBuilder,
    finalists: Sequence[Candidate],
    tokens: Mapping[str, TokenTimes],
    workload: Workload,
    threads: int,
) -> None:
    """Adds what was measured of the finalists to the evidence: times, memory, and of artifacts
    their proof, size, and what they lose on the validation split.

    Args:
        tokens: how soon each writes, by name, where they do.
    """
    checkpoint, metric = builder.original.checkpoint.folder, builder.original.task.primary
    source = evidence.subject_digest(checkpoint)
    common = measured_where(builder.device, threads, workload)
    facts: list[evidence.Fact] = []
    eager: evidence.Fact | None = None
    for one in sorted(finalists, key=lambda one: one.name != BASELINE):  # that one first
        assert one.times is not None
        subject = source if one.artifact is None else one.artifact.digest
        facts.append(speed_fact("latency", one.times.median, subject, one.deployment, common))
        if eager is None:
            eager = facts[-1]
        elif one.compared is not None:
            ratio = one.compared.speedup
            facts.append(speed_fact("speedup", ratio, subject, one.deployment, common, eager))
        if (p95 := one.times.percentiles.get("p95")) is not None:
            facts.append(speed_fact("latency_p95", p95, subject, one.deployment, common))
        if (soon := tokens.get(one.name)) is not None:
            for name, time in (("ttft", soon.ttft), ("tpot", soon.tpot)):
                facts.append(speed_fact(name, time.median, subject, one.deployment, common))
                if time.p95 is not None:
                    p95_fact = speed_fact(f"{name}_p95", time.p95, subject, one.deployment, common)
                    facts.append(p95_fact)
        if one.memory is not None:
            peak = evidence.fact(
                "memory",
                "peak_memory",
                one.memory,
                "bytes",
                subject=subject,
                deployment=one.name,
                **common,
            )
            facts.append(peak)
        if one.artifact is not None and one.proof is not None:
            facts += export.facts(one.artifact, one.proof, builder.device)
            if one.drop is not None:
                run = facts[-1].run
                lost = (builder.validation, one.drop, metric, run, builder.device)
                facts.append(export.drop_fact(one.artifact, *lost))
    evidence.append(checkpoint, facts)


def record_winner(
    builder: DeploymentBuilder,
    chosen: Candidate,
    workload: Workload,
    threads: int,
    limits: Mapping[str, float | None],
    service: ServiceSetting | None,
) -> None:
    """Leave in the checkpoint which deployment `serve` takes: one that lies there, ready to run.

    Args:
        limits: see `Winner`.
        service: that keeps to the limits of one, where they were asked for.
    """
    assert chosen.times is not None
    folder = builder.original.checkpoint.folder
    source = evidence.subject_digest(folder)
    p95 = chosen.times.percentiles.get("p95")
    left = winners.Winner(
        deployment=chosen.name,
        digest=source if chosen.artifact is None else chosen.artifact.digest,
        source=source,
        device=builder.device,
        threads=threads,
        workload=workload.record(),
        seconds=chosen.times.median.value,
        p95_s=None if p95 is None else p95.value,
        speedup=chosen.compared.speedup.value if chosen.compared else None,
        lost=None if chosen.drop is None else chosen.drop.value,
        limits=limits,
        workers=None if service is None else service.workers,
        max_batch=None if service is None else service.max_batch,
    )
    winners.record(folder, left)
