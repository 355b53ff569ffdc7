"""What a service counts, in the form that Prometheus reads.

https://prometheus.io/docs/practices/naming
"""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zoo.serve.description import Description

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the times that are told apart."""
INPUTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper bounds of the sizes of batches."""


class Metrics:
    """Counters, gauges and histograms of one service, by model."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def made(kind: type, name: str, what: str, *labels: str, **more: Any) -> Any:
            return kind(f"zoo_{name}", what, labels, registry=self.registry, **more)

        by = "model"
        self._requests = made(Counter, "requests_total", "Requests answered.", by, "route", "code")
        self._seconds = made(
            Histogram, "request_seconds", "From a request to its answer.", by, buckets=SECONDS
        )
        self._in_flight = made(Gauge, "in_flight", "Requests that are being answered.")
        self._queue = made(Gauge, "queue_length", "Inputs that wait for a worker.", by)
        self._streams = made(Gauge, "live_streams", "Sounds heard while they are spoken.", by)
        self._sizes = made(Histogram, "batch_size", "Inputs of a pass.", by, buckets=INPUTS)
        self._passes = made(
            Histogram, "batch_seconds", "Computing time of a pass.", by, buckets=SECONDS
        )
        self._padding = made(Gauge, "padding_share", "Share of the last pass that was padding.", by)
        self._released = made(
            Counter, "batches_released_total", "Why inputs went to a worker.", by, "reason"
        )
        self._restarts = made(Counter, "worker_restarts_total", "Workers that died.", by)
        self._ready = made(Gauge, "workers_ready", "Workers that can answer.", by)
        self._rejected = made(
            Counter, "rejected_total", "Requests that were not answered.", by, "reason"
        )
        self._hits = made(Counter, "cache_hits_total", "Answers out of the cache.", by)
        self._misses = made(Counter, "cache_misses_total", "Answers that were computed.", by)
        self._info = made(
            Gauge, "model_info", "What is served; always 1.", by, "sha256", "deployment"
        )

    def add_model(
        self, one: Description, waiting: Callable[[], int], streams: Callable[[], int]
    ) -> None:
        """Tell of a model from now on.

        Args:
            waiting: gives the length of its queue.
            streams: gives how many sounds are heard while they are spoken.
        """
        self._info.labels(one.name, one.sha256, one.deployment).set(1)
        self._queue.labels(one.name).set_function(waiting)
        self._streams.labels(one.name).set_function(streams)
        self._ready.labels(one.name).set(0)
        for counter in (self._restarts, self._hits, self._misses):
            counter.labels(one.name)

    def replaced(self, old: Description, new: Description) -> None:
        """Tell that another version of a model answers from now on."""
        self._info.remove(old.name, old.sha256, old.deployment)
        self._info.labels(new.name, new.sha256, new.deployment).set(1)

    def began(self) -> None:
        """Count a request that has come."""
        self._in_flight.inc()

    def ended(self, model: str, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered; `model` is empty where it asked for none."""
        self._in_flight.dec()
        self._requests.labels(model, route, code).inc()
        if model:
            self._seconds.labels(model).observe(seconds)

    def released(self, model: str, reason: str) -> None:
        """Count inputs that went to a worker."""
        self._released.labels(model, reason).inc()

    def batch(self, model: str, told: Mapping[str, Any]) -> None:
        """Count a pass of a model, as the worker tells of it: inputs, seconds, padding."""
        self._sizes.labels(model).observe(told["inputs"])
        self._passes.labels(model).observe(told["seconds"])
        self._padding.labels(model).set(told["padding"])

    def rejected(self, name: str, reason: str) -> None:
        """Count a request that was refused."""
        self._rejected.labels(name, reason).inc()

    def restarted(self, model: str) -> None:
        """Count a worker that died."""
        self._restarts.labels(model).inc()

    def workers(self, model: str, ready: int) -> None:
        """Tell how many workers of a model can answer."""
        self._ready.labels(model).set(ready)

    def cached(self, model: str, hit: bool) -> None:
        """Count an answer, out of the cache or not."""
        (self._hits if hit else self._misses).labels(model).inc()

    def written(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self.registry)
