"""The application: a service's routes behind what every request passes."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException

from zoo.serve import health, repository
from zoo.serve.access import Access, AccessMiddleware
from zoo.serve.answers import answer
from zoo.serve.args import UpdateArgs
from zoo.serve.page import routes as page
from zoo.serve.protocols import (
    docs,
    hub_api,
    open_inference,
    openai,
    plain,
    realtime,
    websocket,
)
from zoo.serve.service import Service
from zoo.serve.update import Updater

OPEN_PATHS = (health.LIVE, health.READY, *page.open_paths(), docs.PATH, f"{docs.PATH}/")
"""What needs no key: whether it lives, and the pages, which ask for one."""
LONGEST_PATH = 100
"""Characters of a path that an answer repeats."""
PROTOCOLS = (plain, websocket, realtime, hub_api, open_inference, openai)


@dataclass(frozen=True)
class AppSettings:
    """How an application answers, whatever it serves."""

    max_body: int = 10 * 2**20
    """bytes of a request"""
    slow_client_s: float = 10.0
    """that a client has to send its request"""
    max_in_flight: float = math.inf
    """bytes of all requests that are being answered"""
    keys: Sequence[bytes] = ()
    """of which a request brings one; none: it needs none"""
    ready_below: int | None = None
    """see `zoo.serve.health.router`"""
    cors: Sequence[str] = ()
    """origins whose pages may call it, and open a WebSocket"""
    waits_until_ready: bool = False
    """start only when each model has a worker that is ready, or not at all"""
    admin_keys: Sequence[bytes] = ()
    """of those who may change what is served; none: nobody may"""
    updates: UpdateArgs = field(default_factory=UpdateArgs)
    """what a new version of a model must be like"""


def create_app(service: Service, settings: AppSettings | None = None) -> FastAPI:
    """Return the application of a service, which it starts and stops."""
    settings = settings or AppSettings()
    updater = Updater(service, settings.updates)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        updater.start()
        try:
            if settings.waits_until_ready:
                await service.wait_ready()
            yield
        finally:
            await updater.stop()
            await service.stop()

    app = FastAPI(title="zoo", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(HTTPException, _no_route)
    app.include_router(health.router(service, settings.ready_below))
    app.include_router(page.router(service))
    app.include_router(docs.router())
    app.include_router(repository.router(updater, settings.admin_keys))
    for protocol in PROTOCOLS:
        app.include_router(protocol.router(service))
    access = Access(
        settings.max_body,
        settings.slow_client_s,
        settings.max_in_flight,
        (*settings.keys, *settings.admin_keys) if settings.keys else (),
        OPEN_PATHS,
        settings.cors,
        {f"{openai.PREFIX}/": openai.refused},
        health.PROBES,
    )
    app.add_middleware(AccessMiddleware, access=access, metrics=service.metrics)
    if settings.cors:  # outermost: a preflight has no key, and a page may read a refusal
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "x-model-sha256", "x-cache", "retry-after"],
        )
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer a path that is not there, or has another method."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path[:LONGEST_PATH]}"
    said = answer({"error": f"{what}: {error.detail.lower()}"}, error.status_code)
    said.headers.update(error.headers or {})
    return said
