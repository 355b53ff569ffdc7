"""The service that a command asks for: its models, found and checked, and its limits."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import UserError, spelled
from tasks.paths import expanded
from tasks.printing import print_lines
from zoo.deploy import winner
from zoo.deploy.winner import Winner
from zoo.machine import environment
from zoo.serve import keys
from zoo.serve.args import ServeArgs
from zoo.serve.cache import AnswerCache
from zoo.serve.description import AUTO, EAGER, Description, describe, describe_weights
from zoo.serve.engine.app import AppSettings
from zoo.serve.service import Service

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that stands in a URL as it is."""
MEMORY_SHARE = 1 / 8
"""Of the memory, for the bodies of requests. A body is there several times over: as it came, as an
input, on its way to a worker, and decoded there."""
OTHERS = re.compile(r"[^A-Za-z0-9._-]+")


def described(args: ServeArgs) -> list[Description]:
    """Return the models of a command. Raises `UserError` for those that can't be served."""
    return [one for one, _ in with_choices(args)]


def with_choices(args: ServeArgs) -> list[tuple[Description, Winner | None]]:
    """Return the models of a command, each with what `decide` chose for it where that is taken.
    Raises `UserError` as `described` does."""
    if not args.models:
        raise UserError("which checkpoint? zoo serve FOLDER, as a fine-tune leaves it", "models")
    found = [_described(word, args.deployment) for word in args.models]
    names = [one.name for one, _ in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two models are called {twice}: name one, CHECKPOINT=NAME", "models")
    return found


def prepared(args: ServeArgs, request_keys: Sequence[bytes]) -> tuple[Service, AppSettings]:
    """Return the service of a command, and how its application answers.

    Args:
        request_keys: what `keys.read_keys` has read; a pipe can be read once only.

    Raises `UserError` for models that can't be served, and settings that can't be.
    """
    found = with_choices(args)
    models = [one for one, _ in found]
    if len(found) == 1 and args.engine == "uvicorn":
        args = _suited(args, *found[0])
    threads = threads_of(args, args.processes * len(models))
    settings = AppSettings(
        max_body=int(args.max_body_mb * 2**20),
        slow_client_s=args.slow_client_s,
        max_in_flight=max_in_flight(args),
        keys=request_keys,
        ready_below=args.ready_below,
        cors=args.cors,
        admin_keys=keys.read_keys(args.admin_keys, "admin_keys", variable=None),
        updates=_updates(args),
    )
    service = Service(models, args, args.processes, args.device, threads)
    if args.cache_mb:
        service.cache = AnswerCache(int(args.cache_mb * 2**20), args.cache_policy)
    return service, settings


def _suited(args: ServeArgs, model: Description, chosen: Winner | None) -> ServeArgs:
    """Return settings with the workers and batches that `decide` chose for a load, where none were
    given, and say so. It has measured one model that has the machine to itself, on as many cores.
    """
    if chosen is None or chosen.workers is None or chosen.max_batch is None:
        return args
    if args.workers is not None and args.max_batch is not None:
        return args
    rate, p99_s = chosen.limits.get("rate"), chosen.limits.get("p99_s")
    load = f" for {rate:g} requests/s at a p99 of {1e3 * p99_s:g} ms" if rate and p99_s else ""
    told = f"{model.name}: decide chose workers {chosen.workers}, max_batch {chosen.max_batch}"
    cores, here = chosen.machine.get("cores"), environment.machine(gpu=False)["cores"]
    if cores != here:
        print_lines(f"{told}{load} on {cores} cores; here are {here}, and it is not taken")
        return args
    suited = dataclasses.replace(
        args,
        workers=args.workers or chosen.workers,
        max_batch=args.max_batch or chosen.max_batch,
    )
    print_lines(f"{told}{load}; taken: {suited.workers} and {suited.max_batch}")
    return suited


def threads_of(args: ServeArgs, workers: int) -> int:
    """Return the threads of each of so many workers: as asked, else their share of the cores that
    this process may use."""
    return args.threads or max(1, int(environment.machine(gpu=False)["cores"]) // workers)


def max_in_flight(args: ServeArgs) -> int:
    """Return how many bytes of requests are answered at once: as asked, else a share of the memory
    that this process may use."""
    if args.max_in_flight_mb is not None:
        return int(args.max_in_flight_mb * 2**20)
    granted = environment.machine(gpu=False)["memory_bytes"]
    return int(max(granted * MEMORY_SHARE, args.max_body_mb * 2**20))


def _updates(args: ServeArgs) -> ServeArgs:
    """Return the settings of updates, whose folder is there. Raises `UserError` where it is not."""
    if args.model_root is None:
        return args
    root = expanded(args.model_root)
    if not root.is_dir():
        raise UserError(f"`model_root` {args.model_root}: there is no such folder")
    return dataclasses.replace(args, model_root=root)


def _described(word: str, deployment: str) -> tuple[Description, Winner | None]:
    """Return the description of a model that was given as CHECKPOINT or CHECKPOINT=NAME, and what
    `decide` chose for it where that is asked for."""
    folder, name = expanded(word), ""
    if not folder.exists() and "=" in word:
        path, _, name = word.rpartition("=")
        folder = expanded(path)
    name = name or _name_of(folder)
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} can't stand in a URL as it is: letters, digits and . _ - can",
            "models",
            f"name it, {folder}=NAME",
        )
    weights = describe_weights(str(folder), name)
    if weights is not None:
        if deployment not in (AUTO, EAGER):
            raise UserError(f"{folder} are weights, and `deployment` is for a checkpoint")
        return weights, None
    chosen = _chosen(folder, name) if deployment == AUTO else None
    if deployment == AUTO:
        deployment = EAGER if chosen is None else chosen.deployment
    return describe(folder, name, deployment), chosen


def _name_of(folder: Path) -> str:
    """Return the name of a folder; what can't stand in a URL is a hyphen, which is told."""
    given = folder.resolve().name
    name = OTHERS.sub("-", given).strip("-._")
    if not name or name == given:
        return given
    print_lines(f"{folder} is served as {name}; CHECKPOINT=NAME names it otherwise")
    return name


def _chosen(folder: Path, name: str) -> Winner | None:
    """Return what `decide` chose for a checkpoint; a choice that no longer holds is told."""
    try:
        return winner.read(folder)
    except UserError as error:
        print_lines(f"{name}: eager, since {spelled(str(error))}")
        return None
