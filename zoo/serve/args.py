"""The flags of the verb serve, and those among them that its models are held to."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tasks.bounds import Bounded, Bounds, Count, CountOrZero, NotNegative, Positive, Share, Threads
from tasks.errors import UserError

Port = Annotated[int, Bounds(0, 65_535)]
MAX_BATCH = 64
"""Inputs that a worker is handed at once, where nothing else was asked for or chosen."""
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
"""As the header Origin has it: no path behind it, and small letters (RFC 6454)."""


@dataclass(frozen=True, kw_only=True)
class Limits(Bounded):
    """What a service takes on, for each of its models."""

    max_queue: Count = 256
    """inputs of a model that wait; more are answered with 429"""
    timeout_s: Positive = 30.0
    """for an answer, or of one that is written as it comes for its first piece, and from each to
    the next; longer is answered with 504, or an error behind the last piece"""
    max_batch: Count | None = None
    """inputs that a worker is handed at once; 64 by default, or what `bench decide` chose for a
    load"""
    max_wait_ms: NotNegative = 0.0
    """that an idle worker waits for more inputs; 0: batches form while it is busy"""
    batch_budget: Positive | None = None
    """tokens, pixels or seconds of a pass, padding included; 16 inputs of usual length by default,
    128 on a GPU"""
    cache_tokens: Count | None = None
    """of a model that writes: texts at once times the longest of them, prompts included, which
    decides how many are written at once; by default what a quarter of the free memory holds, but
    at most 64 of its context"""
    load_s: Positive = 600.0
    """that a worker has to load its model; one that takes longer is taken for dead"""
    max_seconds: Positive = 600.0
    """of a sound: a small file may last days; longer ones are answered with 422"""
    drain_s: NotNegative = 30.0
    """for requests that came before SIGTERM, and for live sounds whose version of a model goes"""

    @property
    def most_at_once(self) -> int:
        """Inputs that a worker is handed at once."""
        return self.max_batch or MAX_BATCH


@dataclass(frozen=True, kw_only=True)
class UpdateArgs(Bounded):
    """What a new version of a model must be like, and where it may come from."""

    model_root: Path | None = None
    """folder of checkpoints, of which one may be named to be served from now on; by default that
    which is served is read anew"""
    watch: Positive | None = None
    """look at the folders that are served, each so many seconds, and serve what is new there"""
    shadow_share: Share = 0.1
    """of the batches, that a new version gets beside the one that answers, before it does"""
    shadow_requests: CountOrZero = 200
    """inputs that are compared"""
    shadow_s: Positive = 60.0
    """that they are waited for; what was compared until then decides"""
    max_disagreement: Share = 0.02
    """of the inputs, that may have another answer from a new version; more, and it is refused"""
    fail_if: tuple[str, ...] = ()
    """refuse a new version that is so: slower, slower:5%, cant_tell"""


@dataclass(frozen=True)
class ServeArgs(UpdateArgs, Limits):
    """Models over HTTP."""

    models: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="CHECKPOINT")]
    """folders of checkpoints; CHECKPOINT=NAME names one in URLs, which is the folder's name else"""
    deployment: str = "auto"
    """what runs it: eager, compile, or an artifact that was exported: onnx, openvino+bf16; auto is
    what `bench decide` chose, else eager"""
    host: str = "127.0.0.1"
    """address to listen on; any other than this machine's own wants `keys`"""
    port: Port = 8080
    """0 takes a free one, and says which"""
    workers: Count | None = None
    """processes of each model; one by default, or what `bench decide` chose for a load"""
    threads: Threads | None = None
    """of the processor, of each worker; all cores, shared by the workers, by default"""
    device: str = "auto"
    """cuda, mps or cpu"""
    cache_mb: NotNegative = 0.0
    """of answers that are kept, for inputs that come again; 0: none"""
    cache_policy: Literal["lru", "lfu"] = "lru"
    """what goes where the cache is full: what was not asked for the longest, or the least often"""
    keys: Path | None = None
    """file of keys, one a line, of which a request brings one (Authorization: Bearer KEY);
    ZOO_SERVE_KEYS in the environment holds them as well, separated by commas"""
    max_body_mb: Positive = 10.0
    """of a request; more are answered with 413"""
    max_in_flight_mb: Positive | None = None
    """of all requests that are being answered; more are answered with 429; an eighth of the memory
    by default"""
    max_connections: Count = 1024
    """that are open at once; more are answered with 503"""
    slow_client_s: Positive = 10.0
    """that a client has to send its request"""
    admin_keys: Path | None = None
    """file of keys for those who may change what is served: v2/repository/models/NAME/load"""
    ready_below: CountOrZero | None = None
    """not ready (v2/health/ready) while so many inputs wait, or more; by default that is not looked
    at"""
    cors: tuple[str, ...] = ()
    """origins of pages that may call it, and open a WebSocket, besides its own:
    https://example.org; * stands for all"""
    ssl_certfile: Path | None = None
    """certificate, for https"""
    ssl_keyfile: Path | None = None
    """its key"""
    write_config: tuple[str, str] | None = None
    """KIND FOLDER: write what serves these models elsewhere, and end; docker, compose, kubernetes,
    kuberay, haproxy or nginx"""
    instances: tuple[str, ...] = ()
    """of which a balancer's `write_config` tells, HOST:PORT each; two on this machine by default"""
    quiet: bool = False
    """write no line for each request"""
    engine: Literal["uvicorn", "ray"] = "uvicorn"
    """uvicorn: one process and its workers; ray: replicas on Ray Serve, on this machine or on the
    cluster of RAY_ADDRESS"""
    replicas: Count = 1
    """of each model on Ray"""
    max_replicas: Count | None = None
    """on Ray: add replicas up to so many while requests wait"""

    @property
    def processes(self) -> int:
        """Processes of each model."""
        return self.workers or 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_in_flight_mb is not None and self.max_in_flight_mb < self.max_body_mb:
            raise UserError(
                f"`max_in_flight_mb` {self.max_in_flight_mb:g} has no room for a request of "
                f"`max_body_mb` {self.max_body_mb:g}, which would never be taken"
            )
        for each in self.cors:
            if each not in ("*", "null") and not ORIGIN.fullmatch(each):
                raise UserError(
                    f"`cors` {each!r} is no origin as a browser names it",
                    hint="https://example.org: scheme, host and port alone, in small letters",
                )
