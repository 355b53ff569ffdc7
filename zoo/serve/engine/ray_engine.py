"""The same application on Ray Serve: replicas on one machine or many, as many as the load wants.

Each replica is the whole application of one model, with its queue and its workers; Ray's proxies
hand requests to the replica that has fewest (power of two choices). Several models are an
application each, under `/NAME`. https://docs.ray.io/en/latest/serve
"""

import dataclasses
import logging
import os
import signal
import threading
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.serve import keys
from zoo.serve.args import ServeArgs
from zoo.serve.description import Description
from zoo.serve.engine.app import create_app
from zoo.serve.engine.prepare import prepared, threads_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application, Deployment

IMPORT_PATH = "zoo.serve.engine.ray_engine:build"
"""What a config of Ray Serve names to make an application."""
NEVER_SENT = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Ray tells its makers of each cluster unless it is told not to."""
DEPLOYMENT = "Replica"


@dataclasses.dataclass(frozen=True)
class Plan:
    """One application of Ray Serve: a model, and how many replicas of it."""

    name: str
    route_prefix: str
    args: Mapping[str, Any]
    """fields of `ServeArgs` that are not their defaults, as JSON"""
    options: Mapping[str, Any]
    """of the deployment, as Ray's config has them"""


def plans(args: ServeArgs, models: Sequence[Description]) -> list[Plan]:
    """Return the applications that serve models with the settings of a command."""
    threads = threads_of(args, args.processes * args.replicas * len(models))
    found = []
    for one in models:
        own = dataclasses.replace(
            args, models=(f"{one.folder.resolve()}={one.name}",), threads=threads
        )
        found.append(
            Plan(
                one.name,
                "/" if len(models) == 1 else f"/{one.name}",
                written(own),
                _options(own),
            )
        )
    return found


def _options(args: ServeArgs) -> dict[str, Any]:
    """Return how a deployment runs: a replica is full when its own queue is, and where there may be
    more of them, one is added when more than a batch waits for each."""
    assert args.threads is not None
    wanted: dict[str, Any] = {
        "max_ongoing_requests": args.max_queue + args.most_at_once * args.processes,
        "graceful_shutdown_timeout_s": max(1.0, args.drain_s),
        "ray_actor_options": {"num_cpus": args.processes * args.threads}
        | ({"num_gpus": 1} if args.device.startswith("cuda") else {}),
    }
    if args.max_replicas is None:
        return wanted | {"num_replicas": args.replicas}
    return wanted | {
        "autoscaling_config": {
            "min_replicas": args.replicas,
            "max_replicas": args.max_replicas,
            "target_ongoing_requests": args.most_at_once * args.processes,
        }
    }


def config(args: ServeArgs, models: Sequence[Description]) -> str:
    """Return the config that `serve deploy` takes, in YAML."""
    content = {
        "proxy_location": "EveryNode",
        "http_options": {"host": args.host, "port": args.port},
        "applications": [
            {
                "name": plan.name,
                "route_prefix": plan.route_prefix,
                "import_path": IMPORT_PATH,
                "args": dict(plan.args),
                "deployments": [{"name": DEPLOYMENT, **plan.options}],
            }
            for plan in plans(args, models)
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def build(given: Mapping[str, Any]) -> "Application":
    """Return the application that the arguments of a config describe; Ray calls it."""
    return _deployment(read(given)).bind()


def _deployment(args: ServeArgs) -> "Deployment":
    from ray import serve

    def app() -> "FastAPI":
        service, settings = prepared(args, keys.read_keys(args.keys))
        return create_app(service, dataclasses.replace(settings, waits_until_ready=True))

    made: Any = serve.deployment(serve.ingress(app)(), name=DEPLOYMENT)
    deployment: Deployment = made
    return deployment


def run(args: ServeArgs, models: Sequence[Description]) -> int:
    """Serve on Ray until a signal: on the cluster of RAY_ADDRESS, else on one of its own.

    Raises `UserError` where Ray can't be reached, or a model can't be served.
    """
    os.environ.update(NEVER_SENT)
    import ray
    from ray import serve

    stop = threading.Event()
    numbers: list[int] = []

    def note(signum: int, _: Any) -> None:
        numbers.append(signum)
        stop.set()

    found = {}
    try:
        _connect()
        for number in (signal.SIGTERM, signal.SIGINT):  # Ray has set its own, which ends at once
            found[number] = signal.signal(number, note)
        serve.start(http_options={"host": args.host, "port": args.port})
        for plan in plans(args, models):
            deployment = _deployment(read(plan.args)).options(**plan.options)
            try:
                serve.run(deployment.bind(), name=plan.name, route_prefix=plan.route_prefix)
            except RuntimeError as error:
                raise UserError(f"{plan.name} can't be served on Ray: {_first(error)}") from None
            where = "" if plan.route_prefix == "/" else plan.route_prefix
            print_lines(f"ready: http://{args.host}:{args.port}{where}")
        stop.wait()
        for plan in plans(args, models):
            serve.delete(plan.name)
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)
        if ray.is_initialized():
            if "RAY_ADDRESS" not in os.environ:
                serve.shutdown()
            ray.shutdown()
    return 128 + signal.SIGINT if numbers[:1] == [signal.SIGINT] else 0


def _connect() -> None:
    import ray

    try:
        ray.init(
            address=os.environ.get("RAY_ADDRESS"),
            include_dashboard=None if "RAY_ADDRESS" in os.environ else False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"Ray can't be reached: {_first(error)}") from None


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def written(args: ServeArgs) -> dict[str, Any]:
    """Return the fields of a command that are not their defaults, as JSON."""
    found = {}
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if value != field.default:
            found[field.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def read(given: Mapping[str, Any]) -> ServeArgs:
    """Return the command that `written` has written, or a person.

    Raises `UserError` for a field that there is not.
    """
    kinds = typing.get_type_hints(ServeArgs)
    unknown = [name for name in given if name not in kinds]
    if unknown:
        raise UserError(f"no setting {unknown[0]!r} of a service")
    found: dict[str, Any] = {}
    for name, value in given.items():
        of_path = value is not None and Path in (kinds[name], *typing.get_args(kinds[name]))
        found[name] = Path(value) if of_path else tuple(value) if type(value) is list else value
    return ServeArgs(**found)
