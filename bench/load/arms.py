"""What is loaded: services of ours under one deployment each, services of other tools, or one that
runs elsewhere."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases.case import threads_of
from bench.load import service
from bench.load.args import LoadArgs
from bench.load.payloads import Payload
from bench.load.service import Service
from tasks.errors import UserError
from zoo.deploy import winner
from zoo.machine import terminal
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.serve import keys
from zoo.store.checkpoint import Checkpoint

OURS, URL = "zoo", "url"
EAGER, AUTO = "eager", "auto"
READY = "/v2/health/ready"
MODEL = "model"
"""What a checkpoint is called in its service."""
SET_HERE = ("port", "host", "deployment", "threads")
ENCRYPTED = ("ssl_certfile", "ssl_keyfile")
"""Flags of `zoo serve` that the client can't do with."""


@dataclass(frozen=True)
class Peer:
    """A service of another tool."""

    title: str
    module: str
    """of its server"""
    packages: tuple[str, ...]
    batches: bool
    """whether it makes batches"""


PEERS = {
    "transformers": Peer(
        "FastAPI + pipeline",
        "bench.load.peers.fastapi_pipeline",
        ("fastapi", "uvicorn"),
        batches=False,
    ),
    "litserve": Peer("LitServe", "bench.load.peers.litserve_batches", ("litserve",), batches=True),
    "ray": Peer("Ray Serve", "bench.load.peers.ray_batches", ("ray",), batches=True),
}


@dataclass(frozen=True)
class LoadArm:
    """A service that is measured."""

    server: str
    """`OURS`, `URL`, or a key of `PEERS`"""
    model: str
    """folder of the checkpoint; of a service elsewhere its URL"""
    deployment: str = EAGER
    """of ours; peers run the weights as they are"""
    threads: int = 1
    options: tuple[str, ...] = ()
    """further flags that it is started with"""

    @property
    def name(self) -> str:
        """Return what it is called in tables."""
        if self.server == URL:
            return self.model
        if self.server == OURS:
            return " ".join(("zoo", self.deployment, *self.options))
        return " ".join((PEERS[self.server].title, *self.options))

    def words(self, port: int) -> list[str]:
        """Return its command line."""
        common = ["--port", str(port), "--threads", str(self.threads), *self.options]
        if self.server != OURS:
            return [sys.executable, "-m", PEERS[self.server].module, self.model, *common]
        quiet = [] if "--quiet" in self.options else ["--quiet"]
        # any folder may be loaded, also one whose name can't stand in a URL
        own = ["-m", "zoo", "serve", f"{self.model}={MODEL}", "--deployment", self.deployment]
        return [sys.executable, *own, *quiet, *common]

    def key(self) -> str | None:
        """Return a key that a service of ours takes, out of the file that its flags name or of the
        environment, which it shares; None where it wants none, and of other services.

        Raises `UserError` for a file that it would refuse.
        """
        if self.server != OURS:
            return None
        file = flag_of(self.options, "keys")
        found = keys.read_keys(None if file is None else Path(file))
        return found[0].decode() if found else None

    @contextlib.contextmanager
    def running(self, probe: Payload, key: str | None = None) -> Iterator[Service]:
        """Context manager of the service; what is started here ends with it.

        Args:
            probe: the request that it has to answer before it counts as ready.
            key: sent with that request as a bearer token.

        Raises `bench.load.service.ServiceFailed` if it does not start, and `UserError` where nobody
        answers at a URL.
        """
        if self.server == URL:
            yield service.elsewhere(self.model)
            return
        port = service.free_port()
        ready = READY if self.server == OURS else None
        with service.started(self.words(port), port, probe, self.threads, ready, key) as found:
            yield found


def arms_of(args: LoadArgs, checkpoint: Checkpoint | None, options: Sequence[str]) -> list[LoadArm]:
    """Return what is to be loaded, the first one being what others are compared with: ours in the
    order of the deployments, then the peers. A peer that is not installed is left out, after a line
    that says so.

    Args:
        checkpoint: that is served; None where the service runs elsewhere.
        options: flags for `zoo serve`.

    Raises `UserError` for a deployment that has to be exported before, options that a URL or the
    harness itself has no room for, and peers of another task than the classification of texts by
    one label.
    """
    check_options(options, is_url=checkpoint is None)
    if checkpoint is None:
        return [LoadArm(URL, args.service)]
    if args.peers:
        _must_suit_peers(args, checkpoint)
    folder = str(Path(args.service).absolute())
    threads = worker_threads(args.threads, options)
    arms = [
        LoadArm(OURS, folder, _checked(checkpoint.folder, name), threads, tuple(options))
        for name in args.deployments or (AUTO,)
    ]
    batches = ("--batch", str(args.peer_batch), "--wait_ms", f"{args.peer_wait_ms:g}")
    workers = ("--workers", str(args.peer_workers)) if args.peer_workers > 1 else ()
    shared = args.threads or max(1, threads_of(None) // args.peer_workers)
    for name in args.peers:
        peer = PEERS[name]
        absent = [each for each in peer.packages if importlib.util.find_spec(each) is None]
        if absent:
            terminal.lines(
                f"{peer.title} is left out: {', '.join(absent)} not installed "
                "(pip install -c constraints.txt -e '.[peers]')"
            )
            continue
        own = (*workers, *(batches if peer.batches else ()))
        arms.append(LoadArm(name, folder, EAGER, shared, own))
    return list(dict.fromkeys(arms))


def check_options(options: Sequence[str], is_url: bool) -> None:
    """Raise `UserError` for flags for `zoo serve` that a URL or the load itself has no room for."""
    if is_url and options:
        raise UserError("flags behind -- are for `zoo serve`, which a URL does not start")
    for flag, _ in flags_of(options):
        if flag in SET_HERE:
            raise UserError(f"--{flag} behind --: the load sets it itself")
        if flag in ENCRYPTED:
            raise UserError(f"--{flag} behind --: the load speaks no TLS")


def worker_threads(asked: int | None, options: Sequence[str]) -> int:
    """Return the threads of each worker: what is asked for, or an equal share of all."""
    return asked or max(1, threads_of(None) // workers_of(options))


def key_in(path: Path | None) -> str | None:
    """Return the key in a file. Raises `UserError` for a file that can't be read or is empty."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"`key_file` {path} can't be read: {error}") from None
    if not lines:
        raise UserError(f"`key_file` {path} is empty")
    return lines[0]


def _must_suit_peers(args: LoadArgs, checkpoint: Checkpoint) -> None:
    """Raises `UserError` for a checkpoint whose answers peers don't give."""
    what, several = checkpoint.task.name, "multi_label_classification"
    if what == "text-classification":
        if getattr(checkpoint.task, "problem_type", None) != several:
            return
        what = "text classification by several labels"
    raise UserError(
        f"{args.service} is of {what}; `peers` are compared on text classification by one label"
    )


def workers_of(options: Sequence[str]) -> int:
    """Return how many workers flags of `zoo serve` ask for."""
    value = flag_of(options, "workers") or ""
    return int(value) if value.isdecimal() and int(value) else 1


def flag_of(options: Sequence[str], name: str) -> str | None:
    """Return what flags of `zoo serve` say of a setting; None where they don't."""
    return next((value for flag, value in flags_of(options) if flag == name), None)


def flags_of(options: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the settings that words of a command line name, each with the word behind it or
    behind its `=`; None where there is none."""
    found = []
    for place, word in enumerate(options):
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            behind = options[place + 1] if place + 1 < len(options) else None
            found.append((flag.replace("-", "_"), value if equals else behind))
    return found


def _checked(folder: Path, name: str) -> str:
    """Return a deployment as it is written; for auto the one that `decide` chose, else eager, as
    `zoo serve` does. Raises `UserError` where its program is not there."""
    if name == AUTO:
        found = winner.read(folder)
        return EAGER if found is None else found.deployment
    deployment = Deployment.parse(name)
    if RUNTIMES[deployment.runtime].artifact:
        artifacts.open_artifact(folder, deployment)
    return str(deployment)
