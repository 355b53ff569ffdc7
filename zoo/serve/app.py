"""The application: a service's routes behind what every request passes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import zoo
from zoo.serve import health, plain
from zoo.serve.access import Access, AccessMiddleware
from zoo.serve.service import Service

OPEN_PATHS = (health.LIVE, health.READY, "/")
"""What needs no key: whether it lives, and the page, which asks for one."""


@dataclass(frozen=True)
class AppSettings:
    """How an application answers, whatever it serves."""

    max_body: int = 10 * 2**20
    """bytes of a request"""
    slow_client_s: float = 10.0
    """that a client has to send its request"""
    keys: Sequence[bytes] = ()
    """of which a request brings one; none: it needs none"""
    ready_below: int | None = None
    """see `zoo.serve.health.router`"""
    cors: Sequence[str] = ()
    """origins whose pages may call it"""


def create_app(service: Service, settings: AppSettings | None = None) -> FastAPI:
    """Return the application of a service, which it starts and stops."""
    settings = settings or AppSettings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(title="zoo", version=zoo.__version__, lifespan=lifespan)
    app.include_router(health.router(service, settings.ready_below))
    app.include_router(plain.router(service))
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "x-model-sha256", "retry-after"],
        )
    access = Access(settings.max_body, settings.slow_client_s, settings.keys, OPEN_PATHS)
    app.add_middleware(AccessMiddleware, access=access, metrics=service.metrics)
    return app
