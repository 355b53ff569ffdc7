"""What `bench.decide` has measured of the finalists, as evidence in the checkpoint."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bench.front import Point
from bench.options import BASELINE, Option
from zoo import evidence
from zoo.export import Original
from zoo.measure import ArmFailed, Measured, Outcome
from zoo.quantize import speed_facts


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
    eager = outcome.times(BASELINE)
    assert isinstance(eager, Measured)
    facts: list[evidence.Fact] = []
    for point in points:
        artifact = options[point.name].artifact
        subject = source if artifact is None else artifact.digest
        deployment = options[point.name].deployment
        one = None if point.name == BASELINE else outcome.of(point.name)
        against = None if one is None or isinstance(one, ArmFailed) else one.speedup
        facts += speed_facts(
            subject,
            deployment,
            point.seconds,
            threads,
            sizes,
            (against, eager.median, source) if against else None,
        )
        common: dict[str, Any] = {
            "subject": subject,
            "run": uuid.uuid4().hex,
            "deployment": str(deployment),
            "device": "cpu",
            "threads": threads,
            "workload": dict(sizes),
        }
        times = outcome.times(point.name)
        if isinstance(times, Measured) and (p95 := times.percentiles.get("p95")) is not None:
            said = p95.as_json()
            facts.append(evidence.fact("latency", "latency_p95", unit="s", **said, **common))
        if point.memory is not None:
            facts.append(evidence.fact("memory", "peak_memory", point.memory, "bytes", **common))
    evidence.append(original.checkpoint.folder, facts)
