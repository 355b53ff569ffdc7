"""Whether the service lives, and whether it should be given work: two questions, since an
orchestrator restarts what does not live, and only passes by what is not ready."""

from fastapi import APIRouter, Response

from zoo.serve.answers import answer
from zoo.serve.service import Service

LIVE = "/v2/health/live"
READY = "/v2/health/ready"
METRICS = "/metrics"
PROBES = (LIVE, READY, METRICS)
"""What is asked again and again, also of a service that is full."""


def router(service: Service, ready_below: int | None = None) -> APIRouter:
    """Return the routes of health and metrics.

    Args:
        ready_below: not ready while so many inputs wait, or more; None: that is not looked at.
    """
    made = APIRouter()

    @made.get(LIVE)
    async def live() -> Response:
        return answer({"live": True})

    @made.get(READY)
    async def ready() -> Response:
        models = {name: service.is_ready(name) for name in service.models}
        waiting = service.waiting()
        good = all(models.values()) and (ready_below is None or waiting < ready_below)
        said = {"ready": good, "models": models, "waiting": waiting}
        if unfit := service.unfit():
            said["unfit"] = unfit
        return answer(said, 200 if good else 503)

    @made.get(METRICS)
    async def metrics() -> Response:
        return Response(service.metrics.written(), media_type="text/plain; version=0.0.4")

    return made
