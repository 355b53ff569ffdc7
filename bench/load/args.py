"""The flags of `python -m bench load` and of `bench streams`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tasks.bounds import Bounded, Bounds, Count, NotNegative, Positive, Seed, Share, Threads
from tasks.errors import UserError

Resolution = Annotated[float, Bounds(0.005, 1)]


@dataclass(frozen=True)
class LoadArgs(Bounded):
    """What to load, and how. Behind `--` stand flags for `zoo serve`."""

    service: tyro.conf.Positional[str]
    """folder of a checkpoint, whose service is started and stopped; or http://HOST:PORT/predict of
    one that runs"""
    deployments: tuple[str, ...] = ()
    """of ours, each a service of its own; `auto` by default, which is what `decide` chose"""
    peers: tuple[Literal["transformers", "litserve", "ray"], ...] = ()
    """services of other tools beside ours: FastAPI around transformers.pipeline; LitServe with
    batches and Ray Serve with @serve.batch, around tokenizer and model"""
    p99_ms: Positive = 100.0
    """milliseconds within which 99 of 100 requests are to be answered"""
    rate: tuple[Positive, ...] = ()
    """requests a second to try, in this order; by default the highest that is kept is looked for"""
    clients: Count | None = None
    """closed loop instead: so many clients, each waits for its answer"""
    data: str | None = None
    """inputs to send: a folder of splits, a file with texts, a folder of images or sounds; by
    default the test split of the checkpoint's own data"""
    rounds: Count = 3
    """launches of each service, over which the intervals are"""
    seconds: Positive = 10.0
    """of a step that count; where the highest rate is looked for, more if a p99 needs more
    requests"""
    warm_s: NotNegative = 2.0
    """seconds of load before them, left out"""
    minutes: Positive | None = None
    """for everything, kept within 10%: steps get shorter, and what was left out is told"""
    resolution: Resolution = 0.05
    """the highest rate is looked for until it is known within this share"""
    max_failed: Share = 0.001
    """share of answers other than 200 that a rate may have"""
    max_other: Share = 0.02
    """share of answers that may differ from those of the first service, at least one; numbers by
    more than a tenth of their standard deviation"""
    client_processes: Annotated[int, Bounds(1, 64)] = 1
    """that make the requests"""
    timeout_s: Positive = 30.0
    """seconds that an answer is waited for"""
    threads: Threads | None = None
    """of each service's worker; OMP_NUM_THREADS or as many as there are cores by default, shared by
    the workers"""
    peer_workers: Count = 1
    """processes of each peer that have the model, and share the threads; LitServe asks for as many
    as there are cores"""
    peer_batch: Count = 16
    """requests of a batch at most, of the peers that make batches"""
    peer_wait_ms: NotNegative = 5.0
    """milliseconds that these wait for a batch to fill"""
    key_file: Path | None = None
    """file with a key, sent as a bearer token; to a service of ours by default the first that it
    takes"""
    seed: Seed = 0
    """of the arrivals, the inputs, and the order of the services"""
    out: Path = Path("bench-results.jsonl")
    """file of the results, which are added to it"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate and self.clients is not None:
            raise UserError("`clients` is a closed loop, which has no `rate`: give one of them")
        if self.clients is not None and self.clients < self.client_processes:
            raise UserError(
                f"`client_processes` {self.client_processes} are more than the `clients` that they "
                f"share, {self.clients}"
            )
        if self.is_url and (self.peers or self.deployments):
            raise UserError(
                "`peers` and `deployments` are started here: give a checkpoint, not a URL"
            )
        if self.is_url and self.data is None:
            raise UserError(
                "a URL does not say what to send: give `data`, a file with texts or a folder of "
                "images or sounds"
            )

    @property
    def is_url(self) -> bool:
        """Whether the service runs already."""
        return "://" in self.service


@dataclass(frozen=True)
class StreamsArgs(Bounded):
    """What to ask for. Behind `--` stand flags for `zoo serve`."""

    service: tyro.conf.Positional[str]
    """folder of a checkpoint that writes, whose service is started and stopped; or http://HOST:PORT
    of one that runs"""
    streams: Count = 16
    """texts"""
    new_tokens: Count = 64
    """of each text, at most"""
    rounds: Count = 5
    """in which all texts are asked for both ways"""
    deployment: str = "eager"
    """of a service that is started"""
    threads: Threads | None = None
    """of each of the service's workers; OMP_NUM_THREADS or as many as there are cores by default,
    shared by the workers"""
    key_file: Path | None = None
    """file with a key, sent as a bearer token; to a service that is started by default the first
    that it takes"""
