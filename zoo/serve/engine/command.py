"""The verb serve: checkpoints in, a service out, until it is told to stop."""

import errno
import socket
import ssl
from typing import TYPE_CHECKING

from tasks.errors import UserError
from zoo.serve import connections, keys, logs
from zoo.serve.args import ServeArgs
from zoo.serve.engine import prepare, server
from zoo.serve.engine.app import AppSettings, create_app
from zoo.serve.service import Service

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 2048
"""Connections that the system holds before they are taken."""


def serve(args: ServeArgs) -> int:
    """Serve models until a signal; return the exit code.

    Raises `UserError` for models that can't be served, a port in use, and settings that can't be.
    """
    if args.instances:
        raise UserError("`instances` goes with `write_config`, which tells a balancer of them")
    request_keys = keys.read_keys(args.keys)
    keys.must_be_guarded(args.host, request_keys)
    if args.engine == "ray":
        _must_suit_ray(args)
        from zoo.serve.engine import ray_engine

        return ray_engine.run(args, prepare.described(args))
    _must_encrypt(args)
    service, settings = prepare.prepared(args, request_keys)
    with listening(args.host, args.port) as listener, logs.written(args.quiet):
        return server.run(service, _configuration(args, service, settings), listener)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, and will listen.

    Raises `UserError` for a port in use or not allowed, and an address that is none of this
    machine's.
    """
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise UserError(f"`host` {host}: {getattr(error, 'strerror', error)}") from None
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"`port` {port} is in use at {host}", hint="give another one, or 0 for a free one"
            ) from None
        setting = "port" if error.errno == errno.EACCES else "host"
        raise UserError(f"`{setting}` {host}:{port}: {error.strerror}") from None
    return made


def _must_suit_ray(args: ServeArgs) -> None:
    """Raises `UserError` for settings that would not hold on Ray."""
    if args.admin_keys or args.watch:
        raise UserError(
            "`admin_keys` and `watch` are for the engine uvicorn: on Ray each replica would go "
            "its own way"
        )
    if args.ssl_certfile or args.ssl_keyfile:
        raise UserError(
            "`ssl_certfile` is for the engine uvicorn: Ray's proxies speak plain HTTP",
            hint="end TLS at a balancer before them",
        )


def _must_encrypt(args: ServeArgs) -> None:
    """Raises `UserError` for a certificate or key that can't be used."""
    if args.ssl_certfile is None and args.ssl_keyfile is None:
        return
    if args.ssl_certfile is None:
        raise UserError("`ssl_keyfile` goes with `ssl_certfile`")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            args.ssl_certfile, args.ssl_keyfile
        )
    except OSError as error:  # ssl.SSLError is one
        raise UserError(f"`ssl_certfile` {args.ssl_certfile}: {error.strerror or error}") from None


def _configuration(args: ServeArgs, service: Service, settings: AppSettings) -> "uvicorn.Config":
    import uvicorn

    return uvicorn.Config(
        create_app(service, settings),
        http=connections.protocol(args.slow_client_s, args.max_connections),
        ws="websockets-sansio",
        ws_max_size=settings.max_body,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(args.drain_s)),
        ssl_certfile=args.ssl_certfile,
        ssl_keyfile=args.ssl_keyfile,
    )
