"""What `bench.decide.search` has measured of the finalists, as evidence in the checkpoint."""

from collections.abc import Mapping, Sequence

from bench.decide.options import BASELINE, Option
from bench.decide.pareto import Point
from zoo.deploy import export
from zoo.deploy.export import Original, Samples
from zoo.measure import ArmFailed, Measured, Outcome
from zoo.quantization.quantize import measured_where, speed_fact
from zoo.store import evidence


def record(
    original: Original,
    outcome: Outcome,
    points: Sequence[Point],
    options: Mapping[str, Option],
    sizes: Mapping[str, int],
    threads: int,
    validation: Samples,
) -> None:
    """Adds what was measured of the finalists to the evidence: times, memory, and of artifacts
    their proof, size, and what they lose on the validation split."""
    source = evidence.subject_digest(original.checkpoint.folder)
    common = measured_where("cpu", threads, sizes)
    facts: list[evidence.Fact] = []
    for point in sorted(points, key=lambda point: point.name != BASELINE):  # that one first
        option = options[point.name]
        subject = source if option.artifact is None else option.artifact.digest
        facts.append(speed_fact("latency", point.seconds, subject, option.deployment, common))
        if point.name == BASELINE:
            eager = facts[-1]
        elif not isinstance(one := outcome.of(point.name), ArmFailed):
            facts.append(
                speed_fact("speedup", one.speedup, subject, option.deployment, common, eager)
            )
        times = outcome.times(point.name)
        if isinstance(times, Measured) and (p95 := times.percentiles.get("p95")) is not None:
            facts.append(speed_fact("latency_p95", p95, subject, option.deployment, common))
        if point.memory is not None:
            peak = evidence.fact(
                "memory",
                "peak_memory",
                point.memory,
                "bytes",
                subject=subject,
                deployment=option.name,
                **common,
            )
            facts.append(peak)
        if option.artifact is not None and option.proof is not None:
            facts += export.facts(option.artifact, option.proof)
            if option.drop is not None:
                metric, run = original.task.primary, facts[-1].run
                facts.append(
                    export.drop_fact(option.artifact, validation, option.drop, metric, run)
                )
    evidence.append(original.checkpoint.folder, facts)
