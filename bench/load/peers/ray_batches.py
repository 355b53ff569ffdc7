"""Ray Serve around `transformers.pipeline`, one replica, with `@serve.batch`."""

import signal
import sys
import threading
from typing import Any

from bench.load.peers.pipeline import Classifier, PeerFlags, answer, flags

BATCHES_UNDER_WAY = 8
"""Requests that a replica is given, in batches: Ray's own limit of 5 would never fill one."""


def main() -> int:
    """Serve until SIGTERM."""
    import ray
    from ray import serve

    given = flags(str(__doc__))

    @serve.deployment(num_replicas=1, max_ongoing_requests=BATCHES_UNDER_WAY * given.batch)
    class Predict:
        def __init__(self, given: PeerFlags) -> None:
            self.classify, self.most = Classifier(given), given.batch

        @serve.batch(  # type: ignore[untyped-decorator]
            max_batch_size=given.batch, batch_wait_timeout_s=given.wait_ms / 1e3
        )
        async def handle(self, texts: list[str]) -> list[dict[str, Any]]:
            return self.classify(texts, self.most)

        async def __call__(self, request: Any) -> dict[str, Any]:
            content = await request.json()
            return answer(await self.handle(content["input"]))

    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": given.port})
    serve.run(Predict.bind(given), route_prefix="/predict")  # type: ignore[attr-defined]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())  # now: Ray has set one of its own
    ended.wait()
    serve.shutdown()
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
