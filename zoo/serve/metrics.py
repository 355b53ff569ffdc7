"""What a service counts, in the form that Prometheus reads.

What clients see has the label `model`; what workers do has `version` too, the first digits of the
digest, so that a new version in the shadow of the one that answers is not taken for it. Which of
them answers is the `role` of `zoo_model_info` and `zoo_workers_ready`: active, standby, next or
leaving. https://prometheus.io/docs/practices/naming
"""

import contextlib
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from zoo.serve.description import Description

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the times that are told apart."""
INPUTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper bounds of the sizes of batches."""
TEXT_GAUGES = (
    ("texts_running", "Texts that are being written.", "running"),
    ("texts_waiting", "Texts that a worker has, and for which its cache has no room.", "waiting"),
    ("cached_tokens", "Tokens in the caches of texts, padding included.", "cached_tokens"),
    ("cache_tokens", "Tokens that the caches of texts may come to.", "cache_tokens"),
)
"""Of models that write: name, meaning, and the key in a worker's state."""
RELEASES = ("full", "waited", "idle", "again")
"""Why inputs went to a worker: see `zoo.serve.queue.JobQueue.take`."""


@dataclass(frozen=True)
class VersionState:
    """What a version of a model is doing now."""

    description: Description
    role: str
    """active, standby, next or leaving"""
    workers: int
    """that can answer"""
    waiting: int
    """inputs that wait for a worker"""
    streams: int
    """sounds heard while they are spoken"""
    texts: Sequence[Mapping[str, Any]] = ()
    """of each worker that writes, its state (`zoo.serve.writing.WritingModel.state`)"""


class _Versions:
    """Gauges of the versions that are there when Prometheus asks; one that has gone has none."""

    def __init__(self, states: Callable[[], Iterable[VersionState]]) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges, each label set once."""
        info: dict[tuple[str, ...], int] = {}
        ready, waiting, streams = (Tally[tuple[str, ...]]() for _ in range(3))
        texts = {key: Tally[tuple[str, ...]]() for *_, key in TEXT_GAUGES}
        for one in self._states():
            model = one.description
            labels = (*_labels(model), one.role)
            info[(*labels, model.sha256, model.deployment)] = 1
            ready[labels] += one.workers
            waiting[(model.name,)] += one.waiting if one.role != "next" else 0
            streams[(model.name,)] += one.streams
            for state in one.texts:
                for *_, key in TEXT_GAUGES:
                    texts[key][_labels(model)] += state[key]
        of = ("model", "version", "role")
        yield _gauge("model_info", "What is loaded; always 1.", (*of, "sha256", "deployment"), info)
        yield _gauge("workers_ready", "Workers that can answer.", of, ready)
        yield _gauge("queue_length", "Inputs that wait for a worker.", of[:1], waiting)
        yield _gauge("live_streams", "Sounds heard while they are spoken.", of[:1], streams)
        for name, what, key in TEXT_GAUGES:
            yield _gauge(name, what, of[:2], texts[key])


class Metrics:
    """Counters, gauges and histograms of one service; see the module."""

    def __init__(self, states: Callable[[], Iterable[VersionState]] = tuple) -> None:
        """`states` gives what the versions are doing, whenever it is asked."""
        self.registry = CollectorRegistry()
        self.registry.register(_Versions(states))

        def made(kind: type, name: str, what: str, *labels: str, **more: Any) -> Any:
            return kind(f"zoo_{name}", what, labels, registry=self.registry, **more)

        by, version = "model", ("model", "version")
        self._requests = made(Counter, "requests_total", "Requests answered.", by, "route", "code")
        self._seconds = made(
            Histogram, "request_seconds", "From a request to its answer.", by, buckets=SECONDS
        )
        self._in_flight = made(Gauge, "in_flight", "Requests that are being answered.")
        self._bytes = made(Gauge, "in_flight_bytes", "Of the bodies of these requests.")
        self._rejected = made(
            Counter, "rejected_total", "Requests that were not answered.", by, "reason"
        )
        self._hits = made(Counter, "cache_hits_total", "Answers out of the cache.", by)
        self._misses = made(Counter, "cache_misses_total", "Answers that were computed.", by)
        self._sizes = made(Histogram, "batch_size", "Inputs of a pass.", *version, buckets=INPUTS)
        self._passes = made(
            Histogram, "batch_seconds", "Computing time of a pass.", *version, buckets=SECONDS
        )
        self._padding = made(
            Gauge, "padding_share", "Share of the last pass that was padding.", *version
        )
        self._restarts = made(Counter, "worker_restarts_total", "Workers that died.", *version)
        self._released = made(
            Counter, "batches_released_total", "Why inputs went to a worker.", *version, "reason"
        )
        self._first_token = made(
            Histogram, "first_token_seconds", "To the first token.", *version, buckets=SECONDS
        )
        self._token = made(
            Histogram, "token_seconds", "Of each token behind the first.", *version, buckets=SECONDS
        )
        self._tokens = made(
            Counter, "tokens_total", "Tokens of prompts, and written.", *version, "kind"
        )

    def add_version(self, one: Description) -> None:
        """Tell of a version from now on; what has not happened yet is 0, and not absent."""
        self._restarts.labels(*_labels(one))
        for counter in (self._hits, self._misses):
            counter.labels(one.name)

    def remove_version(self, one: Description) -> None:
        """Forget what the workers of a version did, which has gone."""
        labels = _labels(one)
        by_version = (self._sizes, self._passes, self._padding, self._restarts)
        for metric in (*by_version, self._first_token, self._token):
            with contextlib.suppress(KeyError):
                metric.remove(*labels)
        for kind in ("prompt", "completion"):
            with contextlib.suppress(KeyError):
                self._tokens.remove(*labels, kind)
        for reason in RELEASES:
            with contextlib.suppress(KeyError):
                self._released.remove(*labels, reason)

    def began(self) -> None:
        """Count a request that has come."""
        self._in_flight.inc()

    def holds(self, count: int) -> None:
        """Tell how many bytes the bodies of requests have that are being answered."""
        self._bytes.set(count)

    def ended(self, model: str, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered; `model` is empty where it asked for none."""
        self._in_flight.dec()
        self._requests.labels(model, route, code).inc()
        if model:
            self._seconds.labels(model).observe(seconds)

    def rejected(self, name: str, reason: str) -> None:
        """Count a request that was refused; `name` is empty where it asked for no model."""
        self._rejected.labels(name, reason).inc()

    def cached(self, model: str, hit: bool) -> None:
        """Count an answer, out of the cache or not."""
        (self._hits if hit else self._misses).labels(model).inc()

    def released(self, one: Description, reason: str) -> None:
        """Count inputs that went to a worker."""
        self._released.labels(*_labels(one), reason).inc()

    def batch(self, one: Description, told: Mapping[str, Any]) -> None:
        """Count a pass of a model, as the worker tells of it: inputs, seconds, padding."""
        labels = _labels(one)
        self._sizes.labels(*labels).observe(told["inputs"])
        self._passes.labels(*labels).observe(told["seconds"])
        self._padding.labels(*labels).set(told["padding"])

    def text(
        self, one: Description, told: Mapping[str, Any], first_s: float | None, next_s: float | None
    ) -> None:
        """Count a text that was written.

        Args:
            told: what the worker tells of it: `prompt_tokens` and `completion_tokens`.
            first_s: seconds from its arrival to its first token; None where it has none.
            next_s: seconds of each token behind that; None where there is none.
        """
        labels = _labels(one)
        for kind in ("prompt", "completion"):
            self._tokens.labels(*labels, kind).inc(told[f"{kind}_tokens"])
        if first_s is not None:
            self._first_token.labels(*labels).observe(first_s)
        if next_s is not None:
            self._token.labels(*labels).observe(next_s)

    def restarted(self, one: Description) -> None:
        """Count a worker that died, or could not be started again."""
        self._restarts.labels(*_labels(one)).inc()

    def written(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self.registry)


def _labels(one: Description) -> tuple[str, str]:
    return one.name, one.version


def _gauge(
    name: str, what: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> Metric:
    made = GaugeMetricFamily(f"zoo_{name}", what, labels=labels)
    for key, value in values.items():
        made.add_metric(key, value)
    return made
