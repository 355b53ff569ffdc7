"""The verb serve: checkpoints in, a service out, until it is told to stop."""

import errno
import os
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.deploy import winner
from zoo.serve import connections, keys, logs, server
from zoo.serve.app import AppSettings, create_app
from zoo.serve.args import ServeArgs
from zoo.serve.description import AUTO, Description, describe
from zoo.serve.service import Limits, Service

if TYPE_CHECKING:
    import uvicorn

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that stands in a URL as it is."""
BACKLOG = 2048
"""Connections that the system holds before they are taken."""


def serve(args: ServeArgs) -> int:
    """Serve models until a signal; return the exit code.

    Raises `UserError` for models that can't be served, a port in use, and settings that can't be.
    """
    if args.instances:
        raise UserError("`instances` goes with `write_config`, which tells a balancer of them")
    keys.must_be_guarded(args.host, keys.read_keys(args.keys))
    _must_encrypt(args)
    if args.engine == "ray":
        from zoo.serve import ray_engine

        return ray_engine.run(args, described(args))
    service, settings = prepared(args)
    with listening(args.host, args.port) as listener, logs.written(args.quiet):
        return server.run(service, _configuration(args, service, settings), listener)


def described(args: ServeArgs) -> list[Description]:
    """Return the models of a command. Raises `UserError` for those that can't be served."""
    if not args.models:
        raise UserError("which checkpoint? zoo serve FOLDER, as a fine-tune leaves it", "models")
    found = [_described(word, args.deployment) for word in args.models]
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two models are called {twice}: name one, CHECKPOINT=NAME", "models")
    return found


def prepared(args: ServeArgs) -> tuple[Service, AppSettings]:
    """Return the service of a command, and how its application answers.

    Raises `UserError` for models that can't be served, and settings that can't be.
    """
    models = described(args)
    limits = Limits(
        args.max_queue, args.max_batch, args.max_wait_ms, args.timeout_s, args.batch_budget
    )
    threads = args.threads or max(1, (os.cpu_count() or 1) // (args.workers * len(models)))
    settings = AppSettings(
        max_body=int(args.max_body_mb * 2**20),
        slow_client_s=args.slow_client_s,
        keys=keys.read_keys(args.keys),
        ready_below=args.ready_below,
        cors=args.cors,
    )
    return Service(models, limits, args.workers, args.device, threads), settings


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


def _described(word: str, deployment: str) -> Description:
    """Return the description of a model that was given as CHECKPOINT or CHECKPOINT=NAME."""
    folder, name = Path(word).expanduser(), ""
    if not folder.exists() and "=" in word:
        path, _, name = word.rpartition("=")
        folder = Path(path).expanduser()
    name = name or folder.resolve().name
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} can't stand in a URL as it is: letters, digits and . _ - can",
            "models",
            f"name it, {word}=NAME",
        )
    return describe(folder, name, _chosen(folder, name) if deployment == AUTO else deployment)


def _chosen(folder: Path, name: str) -> str:
    """Return the deployment that `decide` chose for a checkpoint, else eager; a choice that no
    longer holds is told."""
    try:
        found = winner.read(folder)
    except UserError as error:
        print_lines(f"{name}: eager, since {spelled(str(error))}")
        return "eager"
    return "eager" if found is None else found.deployment


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
        http=connections.protocol(args.slow_client_s),
        ws="websockets-sansio",
        ws_max_size=settings.max_body,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=args.max_connections,
        timeout_graceful_shutdown=max(1, round(args.drain_s)),
        ssl_certfile=args.ssl_certfile,
        ssl_keyfile=args.ssl_keyfile,
    )
