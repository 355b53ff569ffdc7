"""Ray Serve with `@serve.batch`, around a tokenizer and a model of transformers."""

import asyncio
import os
import signal
import sys
import threading
from typing import Any

from bench.load.peers.pipeline import BatchClassifier, PeerFlags, answer, flags

BATCHES_UNDER_WAY = 8
"""Requests that a replica is given, in batches: Ray's own limit of 5 would never fill one."""
QUIET = {"enable_access_log": False}
"""No line for each request: no other service writes one."""


def main() -> int:
    """Serve until SIGTERM."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # else it tells its makers
    import ray
    from ray import serve

    given = flags(str(__doc__))

    @serve.deployment(
        num_replicas=given.workers,
        max_ongoing_requests=BATCHES_UNDER_WAY * given.batch,
        logging_config=QUIET,
    )
    class Predict:
        def __init__(self, given: PeerFlags) -> None:
            self.classify = BatchClassifier(given)

        @serve.batch(  # type: ignore[untyped-decorator]
            max_batch_size=given.batch, batch_wait_timeout_s=given.wait_ms / 1e3
        )
        async def handle(self, texts: list[str]) -> list[dict[str, Any]]:
            # in a thread: requests of the next batch come in meanwhile
            return await asyncio.to_thread(self.classify, texts)

        async def __call__(self, request: Any) -> dict[str, Any]:
            content = await request.json()
            return answer(await self.handle(content["input"]))

    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": given.port}, logging_config=QUIET)
    serve.run(Predict.bind(given), route_prefix="/predict")  # type: ignore[attr-defined]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())  # now: Ray has set one of its own
    ended.wait()
    serve.shutdown()
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
