"""What `bench.decide` has measured of the finalists, as evidence in the checkpoint."""

from collections.abc import Mapping, Sequence

from bench.front import Point
from bench.options import BASELINE, Option
from zoo import evidence
from zoo.export import Original
from zoo.measure import ArmFailed, Measured, Outcome
from zoo.quantize import measured_where, speed_fact


def record(
    original: Original,
    outcome: Outcome,
    points: Sequence[Point],
    options: Mapping[str, Option],
    sizes: Mapping[str, int],
    threads: int,
) -> None:
    """Adds what was measured of the finalists to the evidence."""
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
    evidence.append(original.checkpoint.folder, facts)
