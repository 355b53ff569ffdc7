"""Runs a service on the event loop: says when it is ready, and drains it on a signal."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator

import uvicorn

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.machine.formatting import duration
from zoo.serve.service import Service
from zoo.serve.worker_process import WorkerDied, WorkerUnfit


class Server(uvicorn.Server):
    """Uvicorn's, which on SIGTERM or Ctrl-C takes no more, and ends when all is answered; a second
    Ctrl-C ends it at once. The signal is not raised again: what stands around it can end too."""

    signum: int | None = None

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, have live sounds end with their last texts, and wait for all answers."""
        for server in self.servers:
            server.close()
        ending = asyncio.create_task(self.service.end_streams())
        while not ending.done() and not self.force_exit:
            await asyncio.sleep(0.05)
        ending.cancel()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals inside the context."""
        loop = asyncio.get_running_loop()

        def stop(signum: int) -> None:
            self.force_exit = self.should_exit and signum == signal.SIGINT
            self.should_exit, self.signum = True, signum

        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop, signum)
        try:
            yield
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)


def run(service: Service, config: uvicorn.Config, listener: socket.socket) -> int:
    """Serve on a socket until a signal; return the exit code.

    Raises `UserError` where a model can't be loaded.
    """
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_run(service, config, listener))


async def _run(service: Service, config: uvicorn.Config, listener: socket.socket) -> int:
    server = Server(config, service)
    announced = asyncio.create_task(_announce(service, server, listener))
    await server.serve(sockets=[listener])
    if not announced.done():
        announced.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await announced
    if server.signum == signal.SIGINT:
        return 128 + signal.SIGINT
    return 0


async def _announce(service: Service, server: Server, listener: socket.socket) -> None:
    """Say where the service is, and when it is ready; end it where it can't be."""
    began = time.monotonic()
    scheme = "https" if server.config.ssl_certfile else "http"
    host, port = listener.getsockname()[:2]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    for one in service.models.values():
        print_lines(f"{one.name}: {one.folder}, {one.deployment}, sha256 {one.version}")
    try:
        await service.wait_ready()
    except WorkerUnfit as error:  # it serves on: whoever asks for its health is told
        print_lines(f"not ready: {url}: {error}")
        return
    except WorkerDied as error:
        server.should_exit = True
        raise UserError(f"a model can't be served: {error}") from None
    except UserError:
        server.should_exit = True
        raise
    print_lines(f"ready after {duration(time.monotonic() - began)}: {url}")
