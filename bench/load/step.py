"""A step: a window of load at one rate, in numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.load.generator import Seen
from zoo.measure import usage

SHARES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
COUNTED = ("200", "429", "503", "504", "none")
"""Answers that have a column of their own; all else is `other`."""
LEAST = 400
"""Requests of a step at the least: from 368 on a p99 has an interval; see
`zoo.measure.percentiles`."""
LONGEST_S = 60.0


@dataclass(frozen=True)
class Limits:
    """What a step has to keep."""

    p99_s: float
    max_failed: float
    """share of requests without an answer of status 200"""


@dataclass(frozen=True)
class Cost:
    """What the service and the machine spent in a window, its warm-up included."""

    service_cpu: float | None = None
    """seconds of processor time of the service; None where it runs elsewhere"""
    foreign: float | None = None
    """cores busy with neither service nor client"""
    joules: float | None = None
    """None where no counter can be read"""


@dataclass(frozen=True)
class Step:
    """What was seen at one rate. Times in seconds, from the intended start of a request."""

    rate: float | None
    """requests a second that were sent; None for a closed loop"""
    clients: int | None
    """of a closed loop"""
    requests: int
    """that count"""
    answered_per_s: float
    """with status 200"""
    statuses: Mapping[str, int]
    """of `COUNTED` and "other" """
    latency: Mapping[str, float]
    """of the answers with status 200, by the names of `SHARES`, and "mean" and "max"; empty where
    there were none"""
    p99_of_all: float | None
    """the same over all requests, where one without an answer took forever; None: forever"""
    is_kept: bool
    """whether it keeps the limits"""
    is_cut: bool
    """ended early, as its p99 was broken for sure"""
    client_cpu: float
    """processor time of the client for one request"""
    client_cores: float
    """cores that the client was busy with"""
    sent_late: float
    """99 of 100 requests were sent at most so long behind their intended start"""
    service_cpu: float | None = None
    """processor time of the service for one request; None where it runs elsewhere"""
    foreign: float | None = None
    """cores busy with others"""
    joules: float | None = None
    """for one request"""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready data."""
        return asdict(self)

    @property
    def is_disturbed(self) -> bool:
        """Whether others took so much of the machine that the times are doubtful."""
        return (self.foreign or 0.0) > usage.MAX_FOREIGN

    @property
    def failed(self) -> float:
        """Share of requests without an answer of status 200."""
        return 1 - self.statuses.get("200", 0) / self.requests if self.requests else 0.0


def of_window(
    seen: Seen, limits: Limits, cost: Cost, rate: float | None = None, clients: int | None = None
) -> Step:
    """Return the numbers of a window."""
    ordered, requests = sorted(seen.latencies), sum(seen.statuses.values())
    latency: dict[str, float] = {}
    if ordered:
        latency = {name: quantile(ordered, share) for name, share in SHARES.items()}
        latency |= {"mean": math.fsum(ordered) / len(ordered), "max": ordered[-1]}
    statuses = dict.fromkeys((*COUNTED, "other"), 0)
    for name, count in seen.statuses.items():
        statuses[name if name in COUNTED else "other"] += count
    rank = math.ceil(SHARES["p99"] * requests)
    p99 = ordered[rank - 1] if 0 < rank <= len(ordered) else None
    failed = requests - statuses["200"]
    is_kept = (
        not seen.stopped
        and p99 is not None
        and p99 <= limits.p99_s
        and failed <= limits.max_failed * requests
    )
    sent = max(1, seen.requests)
    return Step(
        rate,
        clients,
        requests,
        len(ordered) / seen.wall,
        statuses,
        latency,
        p99,
        is_kept,
        seen.stopped,
        client_cpu=seen.cpu / sent,
        client_cores=seen.cpu / max(seen.spent, 1e-9),
        sent_late=seen.sent_late,
        service_cpu=None if cost.service_cpu is None else cost.service_cpu / sent,
        foreign=cost.foreign,
        joules=None if cost.joules is None else cost.joules / sent,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile of ascending numbers: the least one that this share is not above."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def length_of(rate: float, seconds: float) -> float:
    """Return how many seconds a step at a rate counts: more than asked where its p99 would be that
    of too few requests."""
    return max(seconds, min(LEAST / rate, LONGEST_S))
