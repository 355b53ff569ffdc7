"""The process that makes the requests: `python -m bench.load.generator`, driven by lines of JSON.

The first line on standard input says where to and what (`Target`), each further one is a window of
load (`Job`); each is answered by a line on standard output. Imports the standard library only, so
that it starts at once and holds little memory.
"""

import asyncio
import base64
import contextlib
import dataclasses
import functools
import importlib.util
import json
import math
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench.load.http_client import Pool, request_bytes

GRACE_S = 10.0
"""Seconds that answers are waited for behind the last request of a window, at the least."""
LEAD_S = 0.02
"""Seconds from the begin of a window to its first possible request."""
SENT_LATE_SHARE = 0.99
clock = time.monotonic
"""Seconds; those of a loop may tick in milliseconds."""
REST_S = 0.05
"""Seconds that a client of a closed loop waits where it had no answer."""


@dataclass(frozen=True)
class Target:
    """Where requests go, and what they carry."""

    url: str
    payloads: str
    """a file of JSON: a list of [content type, body in base64]"""
    key: str | None = None
    """bearer token"""
    connections: int = 512
    """open at once, at most"""


@dataclass(frozen=True)
class Job:
    """A window of load: a warm-up that is left out, then the seconds that count."""

    seconds: float
    warm_s: float
    rate: float | None = None
    """requests a second, as a Poisson process; None: closed loop"""
    clients: int = 1
    """of a closed loop: each sends its next request when its last one is answered"""
    seed: int = 0
    """of the gaps between requests and of the order of the payloads"""
    limit_s: float | None = None
    """latency above which a request is late"""
    most_late: float | None = None
    """share of late requests, failed ones among them, above which the window ends at once; None:
    it always goes on to its end"""
    counted: int | None = None
    """requests that this is a share of: those of all processes that share the load; None: those
    of this one"""
    timeout_s: float = 30.0
    """after which nobody waits for an answer any more"""
    keep_bodies: int = 0
    """send the first so many payloads once, in their order, and return the bodies of the answers"""


@dataclass
class Seen:
    """What a window has shown, its warm-up left out. Times in seconds."""

    latencies: list[float] = field(default_factory=list)
    """of answers with status 200, from the intended start"""
    statuses: dict[str, int] = field(default_factory=dict)
    """requests by the status of their answer; "none" where there was none"""
    wall: float = 0.0
    """length of the part that counts"""
    requests: int = 0
    """sent in all, the warm-up included"""
    cpu: float = 0.0
    """processor time of this process, the warm-up included"""
    spent: float = 0.0
    """from begin to end, the warm-up and the wait for the last answers included"""
    sent_late: float = 0.0
    """99 of 100 requests were sent at most so long behind their intended start"""
    stopped: bool = False
    """ended early: too many were late"""
    bodies: list[str] = field(default_factory=list)


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the moments of a Poisson process, in seconds. The same seed gives the same gaps,
    scaled by the rate."""
    draw, moments, now = random.Random(f"arrivals {seed}"), [], 0.0
    while (now := now + draw.expovariate(1.0) / rate) < seconds:
        moments.append(now)
    return moments


def counted(job: Job) -> int:
    """Return how many requests of an open loop count: those behind the warm-up."""
    if job.rate is None:
        return 0
    moments = arrivals(job.rate, job.warm_s + job.seconds, job.seed)
    return sum(moment >= job.warm_s for moment in moments)


class Order:
    """The payloads, each once in a random order, again and again."""

    def __init__(self, count: int, seed: int, in_order: bool = False) -> None:
        """A seed gives the same order always; `in_order` that of the file."""
        self._draw, self._count, self._in_order = random.Random(f"order {seed}"), count, in_order
        self._left: list[int] = []

    def next(self) -> int:
        """Return the place of the next payload."""
        if not self._left:
            self._left = list(range(self._count))
            if self._in_order:
                self._left.reverse()
            else:
                self._draw.shuffle(self._left)
        return self._left.pop()


class Window:
    """A window of load that is under way."""

    def __init__(self, job: Job, pool: Pool, payloads: list[bytes]) -> None:
        self.job, self.pool, self.payloads = job, pool, payloads
        self.loop = asyncio.get_running_loop()
        self.order = Order(len(payloads), job.seed, in_order=bool(job.keep_bodies))
        self.seen = Seen()
        self.bodies: dict[int, str] = {}
        self.late: list[float] = []
        self.under_way = self.not_in_time = 0
        self.is_over = False
        self.moments: list[float] = []
        self.allowed = math.inf
        self.all_answered = asyncio.Event()
        self.begin = 0.0

    async def run(self) -> Seen:
        """Make the load, and return what it showed."""
        cpu, began = time.process_time(), time.perf_counter()
        self.begin = clock()
        if self.job.rate is None:
            await self._closed()
        else:
            self.begin += LEAD_S
            await self._open(self.job.rate)
        seen = self.seen
        seen.cpu, seen.spent = time.process_time() - cpu, time.perf_counter() - began
        seen.wall = seen.wall or self.job.seconds
        if self.late:
            self.late.sort()
            seen.sent_late = self.late[math.ceil(SENT_LATE_SHARE * len(self.late)) - 1]
        seen.bodies = [self.bodies[place] for place in sorted(self.bodies)]
        return seen

    async def _open(self, rate: float) -> None:
        job = self.job
        self.moments = arrivals(rate, job.warm_s + job.seconds, job.seed)
        if job.most_late is not None:
            of = counted(job) if job.counted is None else job.counted
            self.allowed = math.floor(job.most_late * of)
        if self.moments:
            self.loop.call_later(LEAD_S + self.moments[0], self._fire, 0)
            wait = job.warm_s + job.seconds + max(GRACE_S, job.timeout_s)
            await self._wait(wait)
        self._end()

    def _fire(self, number: int) -> None:
        """Send a request of the open loop, and plan the next: by its own moment, not by when this
        one was sent."""
        while not self.is_over:
            moment = self.moments[number]
            self._send(self.begin + moment, moment >= self.job.warm_s, self.order.next())
            number += 1
            if number == len(self.moments):
                self.moments = []
                return
            rest = self.begin + self.moments[number] - clock()
            if rest > 0:
                self.loop.call_later(rest, self._fire, number)
                return

    def _send(self, intended: float, counts: bool, place: int) -> None:
        self.under_way += 1
        self.seen.requests += 1
        now = clock()
        if counts:
            self.late.append(max(0.0, now - intended))
        intended = min(intended, now)  # a loop whose clock ticks in milliseconds may be early
        done = functools.partial(self._take, intended, counts, place)
        self.pool.send(self.payloads[place], done)

    def _take(self, intended: float, counts: bool, place: int, status: int, body: bytes) -> None:
        self.under_way -= 1
        if self.is_over:
            return
        latency = clock() - intended
        if counts:
            self._count(status, latency)
        if self.job.keep_bodies:
            self.bodies[place] = body.decode("utf-8", "replace") if status == 200 else ""
        if not self.under_way and not self.moments:
            self.all_answered.set()

    def _count(self, status: int, latency: float) -> None:
        seen, limit = self.seen, self.job.limit_s
        if latency > self.job.timeout_s:
            status = 0
        name = str(status) if status else "none"
        seen.statuses[name] = seen.statuses.get(name, 0) + 1
        if status == 200:
            seen.latencies.append(latency)
        if status != 200 or (limit is not None and latency > limit):
            self.not_in_time += 1
            if self.not_in_time > self.allowed:
                seen.stopped = True
                self.all_answered.set()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.all_answered.wait()
        except TimeoutError:
            return

    def _end(self) -> None:
        """What is not answered now has no answer; of a window that ended early nothing is said."""
        self.is_over = True
        if self.seen.stopped:
            self.seen.wall = max(1e-9, clock() - self.begin - self.job.warm_s)
            self.seen.wall = min(self.seen.wall, self.job.seconds)
        else:
            unanswered = len(self.late) - sum(self.seen.statuses.values())
            if unanswered:
                self.seen.statuses["none"] = self.seen.statuses.get("none", 0) + unanswered

    async def _closed(self) -> None:
        job = self.job
        tasks = [self.loop.create_task(self._client()) for _ in range(job.clients)]
        wait = None if job.keep_bodies else job.warm_s + job.seconds + job.timeout_s
        await asyncio.wait(tasks, timeout=wait)
        for task in tasks:
            task.cancel()
        self.seen.wall = max(1e-9, clock() - self.begin - job.warm_s)
        self._end()

    async def _client(self) -> None:
        """Send one request after the other until the time is over or, where bodies are kept, every
        payload was sent."""
        job, most = self.job, min(self.job.keep_bodies, len(self.payloads))
        while (self.seen.requests < most) if most else (self._elapsed() < job.seconds):
            answered: asyncio.Future[tuple[int, bytes]] = self.loop.create_future()
            place, now, counts = self.order.next(), clock(), self._elapsed() >= 0
            self.under_way += 1
            self.seen.requests += 1
            if counts:
                self.late.append(0.0)
            self.pool.send(self.payloads[place], functools.partial(_settle, answered))
            status, body = 0, b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(job.timeout_s):
                    status, body = await answered
            self._take(now, counts, place, status, body)
            if status == 0 and most:
                return
            if status == 0:
                await asyncio.sleep(REST_S)  # a service that is gone refuses at once

    def _elapsed(self) -> float:
        return clock() - self.begin - self.job.warm_s


def _settle(answered: "asyncio.Future[tuple[int, bytes]]", status: int, body: bytes) -> None:
    if not answered.done():
        answered.set_result((status, body))


def new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it is installed, which takes a third less of the processor."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    return cast(asyncio.AbstractEventLoop, uvloop.new_event_loop())


async def window(target: Target, payloads: list[bytes], job: Job) -> Seen:
    """Make one window of load with connections of its own."""
    pool = Pool(target.url, target.connections, bool(job.keep_bodies))
    try:
        return await Window(job, pool, payloads).run()
    finally:
        await pool.close()


def read_payloads(target: Target) -> list[bytes]:
    """Return the requests as they go over the wire."""
    content = json.loads(Path(target.payloads).read_text(encoding="utf-8"))
    return [
        request_bytes(target.url, base64.b64decode(body), content_type, target.key)
        for content_type, body in content
    ]


def main() -> int:
    """Answer lines of JSON until standard input ends."""
    target, payloads = None, list[bytes]()
    # with PYTHONUNBUFFERED that of Python loses what the system does not take at once
    output = open(sys.stdout.fileno(), "wb", closefd=False)  # noqa: SIM115
    for line in sys.stdin:
        told: dict[str, Any] = json.loads(line)
        if target is None or "url" in told:
            target = Target(**told)
            payloads = read_payloads(target)
            answer: dict[str, Any] = {"payloads": len(payloads)}
        else:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                seen = runner.run(window(target, payloads, Job(**told)))
            answer = dataclasses.asdict(seen)
        output.write(json.dumps(answer).encode() + b"\n")
        output.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
