"""The verb load: how many requests a second services hold, side by side."""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import answers, clients, knee, payloads, process_tree, show
from bench.load.args import LoadArgs
from bench.load.arms import LoadArm, arms_of, key_in
from bench.load.clients import ClientLost, Clients
from bench.load.generator import Job, Target
from bench.load.keep import keep
from bench.load.measured import ArmLoad, Round
from bench.load.payloads import Payload
from bench.load.service import Service, ServiceFailed
from bench.load.step import Limits, Step, length_of
from bench.load.window import step_of
from tasks import atomic
from tasks.errors import UserError, spelled
from zoo.machine import terminal
from zoo.measure.deadline import Deadline
from zoo.store.checkpoint import Checkpoint, open_checkpoint

PROBE_CLIENTS, PROBE_S = 8, 2.0
"""Closed loop that tells about how many requests a second a service makes."""
BEGIN = 0.5
"""Share of that at which the search begins."""
NEAR = 0.9
"""Share of the last round's result at which the search begins in later rounds."""
STEPS = 7
"""Steps that a search takes, about."""
LEAST_S = 2.0
"""Seconds of a step, at the least, however short the time is."""
AGAIN_S = 0.1
"""Seconds after which a request that was refused is sent again."""
CLOSE_S, CLOSING = 5.0, 0.1
"""Seconds that the end of a service and the records take, and the largest share of the time that is
kept back for them."""


def load(args: LoadArgs, options: Sequence[str] = ()) -> list[ArmLoad]:
    """Load the services, print the table, keep the results; return what was measured.

    Args:
        options: flags for `zoo serve`.

    Ctrl-C ends the load: what was measured so far is shown and kept.

    Raises:
        UserError: data, a key or a service that can't be used, or a time too short for anything.
        KeyboardInterrupt: after Ctrl-C.
    """
    deadline = Deadline(args.minutes)
    terminal.quiet_libraries()
    checkpoint = None if args.is_url else open_checkpoint(Path(args.service))
    arms = arms_of(args, checkpoint, options)
    if checkpoint is None:
        given = payloads.of_data(Path(str(args.data)), args.seed)
    else:
        given = payloads.of_checkpoint(checkpoint, args.data, args.seed)
    found = [ArmLoad(arm) for arm in arms]
    with atomic.exit_on_sigterm(), TemporaryDirectory(prefix="zoo-load-") as folder:
        path = Path(folder) / "payloads.json"
        atomic.write_text(path, payloads.as_json(given))
        of_numbers = checkpoint is not None and _predicts_numbers(checkpoint)
        session = Session(args, found, given, path, deadline, of_numbers)
        terminal.lines(show.heading(args, len(given)))
        try:
            session.run()
        except KeyboardInterrupt:
            _close(args, found, checkpoint)
            raise
    _close(args, found, checkpoint)
    if not any(one.steps() for one in found):
        raise UserError("; ".join(f"{one.arm.name}: {one.fault}" for one in found))
    return found


def _close(args: LoadArgs, found: list[ArmLoad], checkpoint: Checkpoint | None) -> None:
    if any(one.steps() for one in found):
        show.table(args, found)
        keep(args, found, checkpoint)


@dataclass
class Session:
    """The rounds of all services, one service at a time."""

    args: LoadArgs
    found: list[ArmLoad]
    payloads: list[Payload]
    path: Path
    """of the file of payloads"""
    deadline: Deadline
    of_numbers: bool = False
    """whether the answers are numbers"""
    wanted: list[str] = field(default_factory=list)
    """answers of the first service that gave some"""
    right: str = ""
    """the name of that service"""

    def __post_init__(self) -> None:
        self.limits = Limits(self.args.p99_ms / 1e3, self.args.max_failed)
        self.key = key_in(self.args.key_file)

    def run(self) -> None:
        """Make the rounds, until all are made or the time is over.

        Raises `UserError` for keys that a service would refuse.
        """
        keys = {one.arm: self.key or one.arm.key() for one in self.found}
        draw = random.Random(f"rounds {self.args.seed}")
        for number in range(self.args.rounds):
            # the first service of the first round says what is right
            order = self.found[1:] if number == 0 else list(self.found)
            draw.shuffle(order)
            order = [self.found[0], *order] if number == 0 else order
            for place, one in enumerate(order):
                if one.fault:
                    continue
                rounds_left = self.args.rounds - number - 1
                sound = [sum(not each.fault for each in some) for some in (order[place:], order)]
                turns = sound[0] + rounds_left * sound[1]
                self._round(one, number, turns, keys[one.arm])

    def _round(self, one: ArmLoad, number: int, turns: int, key: str | None) -> None:
        """Launch a service and load it, with an equal share of the time for all turns to come."""
        closing = min(CLOSE_S, CLOSING * self.deadline.seconds)
        share = max(0.0, self.deadline.left() - closing) / turns
        made = Round(number + 1)
        if self.deadline.is_set and one.rounds and share < (one.rounds[0].start_s or 0) + LEAST_S:
            terminal.lines(f"round {number + 1}: {one.arm.name} is left out, for lack of time")
            return
        terminal.lines(f"round {number + 1}: {one.arm.name} ({self.deadline.countdown()})")
        began = self.deadline.spent()
        ends = began + share
        try:
            with ExitStack() as stack:
                service = stack.enter_context(one.arm.running(self.payloads[0], key))
                made.start_s = service.start_s
                target = Target(service.url, str(self.path), key)
                client = stack.enter_context(clients.started(target, self.args.client_processes))
                if service.tree is not None:
                    made.memory = stack.enter_context(process_tree.watched_memory(service.tree))
                self._must_answer(one, service, client)
                one.rounds.append(made)
                turn = Turn(self, one.arm, service, client, made, ends)
                turn.run(_start_of(one, number))
        except (ServiceFailed, ClientLost, UserError) as error:
            if isinstance(error, UserError) and not any(each.steps() for each in self.found):
                raise  # a URL where nobody answers; one that has gone since leaves what it showed
            one.fault = str(error)
            terminal.lines(spelled(f"{one.arm.name}: {error}"))
        finally:
            made.seconds = self.deadline.spent() - began

    def _must_answer(self, one: ArmLoad, service: Service, client: Clients) -> None:
        """Compare the answers with those of the first service, once; raises `ServiceFailed` where
        it gives none, or others."""
        if one.rounds:
            return
        count = answers.CHECKED if len(self.found) > 1 else answers.TRIED
        seen = client.run(
            Job(0.0, 0.0, clients=2, keep_bodies=count, timeout_s=self.args.timeout_s)
        )
        answered = [body for body in seen.bodies if body]
        if not answered:
            raise ServiceFailed(_why_none(service, seen.statuses))
        if not self.wanted:
            self.wanted, self.right = seen.bodies, one.arm.name
            return
        others, count = answers.differing(self.wanted, seen.bodies, self.of_numbers)
        if not count:
            terminal.lines(f"{one.arm.name}: its answers have nothing that could be compared")
        if others > max(int(self.args.max_other > 0), self.args.max_other * count):
            one.is_wrong = True
            raise ServiceFailed(
                f"{others} of {count} answers are others than those of {self.right}"
            )


@dataclass
class Turn:
    """A service that is alive, and the load it gets."""

    session: Session
    arm: LoadArm
    service: Service
    client: Clients
    made: Round
    ends: float
    """by the deadline's clock"""
    is_behind: bool = False
    """whether requests of the last step may still be waiting in the service"""

    def run(self, start: float | None) -> None:
        """Make the steps: those that were asked for, or those of a search.

        Args:
            start: rate at which the search begins; None: it is found by a closed loop.
        """
        args = self.session.args
        if args.clients is not None:
            self.made.steps.append(self._step(None, args.clients))
        elif args.rate:
            for place, rate in enumerate(args.rate):
                if self.made.steps and not self._has_time():
                    left = ", ".join(f"{each:g}/s" for each in args.rate[place:])
                    terminal.lines(f"  left out, for lack of time: {left}")
                    return
                self.made.steps.append(self._step(rate))
        else:
            factor = knee.FIRST if start is None else knee.LATER
            begin = BEGIN * self._about() if start is None else start
            self.made.knee = knee.Knee()  # now: a search that is broken off was one, too
            knee.search(
                self._kept_step, begin, args.resolution, factor, self._has_time, self.made.knee
            )

    def _about(self) -> float:
        """Return about how many requests a second the service makes."""
        seen = self.client.run(
            Job(PROBE_S, 0.5, clients=PROBE_CLIENTS, timeout_s=self.session.args.timeout_s)
        )
        return max(knee.LOWEST, seen.requests / seen.spent)

    def _kept_step(self, rate: float) -> Step:
        """Make a step; one that was broken while others took the machine is made again, once."""
        step = self._step(rate)
        self.made.steps.append(step)
        if not step.is_kept and step.is_disturbed and self._has_time():
            step = self._step(rate)
            self.made.steps.append(step)
        return step

    def _has_time(self) -> bool:
        deadline = self.session.deadline
        return not deadline.is_set or deadline.spent() + self._seconds() < self.ends

    def _seconds(self) -> float:
        """Return how long a step is at the least: shorter than asked where time is short."""
        args, deadline = self.session.args, self.session.deadline
        if not deadline.is_set:
            return args.seconds
        return max(LEAST_S, min(args.seconds, (self.ends - deadline.spent()) / STEPS))

    def _step(self, rate: float | None, count: int | None = None) -> Step:
        """Make one window of load and say what it showed."""
        args, session = self.session.args, self.session
        if self.is_behind:
            self._wait_for_rest()
        seconds = self._seconds()
        searches = not args.rate and count is None
        if rate is not None and searches and not session.deadline.is_set:
            seconds = length_of(rate, seconds)
        job = Job(
            seconds,
            min(args.warm_s, seconds),
            rate,
            count or 1,
            seed=1000 * args.seed + self.made.number,
            limit_s=session.limits.p99_s,
            most_late=0.01 if searches else None,
            timeout_s=args.timeout_s,
        )
        step = step_of(self.service, self.client, job, session.limits)
        terminal.lines(show.step(step))
        self.is_behind = not step.is_kept
        return step

    def _wait_for_rest(self) -> None:
        """Wait until what was left of the last step is done: a request is answered with 200 behind
        it. One that is refused, as the queue is still full, is sent again."""
        timeout = self.session.args.timeout_s
        job = Job(0.0, 0.0, clients=1, keep_bodies=1, timeout_s=timeout)
        ends = time.monotonic() + timeout
        while "200" not in self.client.run(job).statuses and time.monotonic() < ends:
            time.sleep(AGAIN_S)


def _predicts_numbers(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint answers with numbers, and with no labels."""
    return getattr(checkpoint.task, "problem_type", None) == "regression"


def _start_of(one: ArmLoad, number: int) -> float | None:
    """Return the rate at which a later search begins: near the last result."""
    tops = one.tops()
    return NEAR * (tops[max(tops)].rate or 0.0) if number and tops else None


def _why_none(service: Service, statuses: dict[str, int]) -> str:
    told = ", ".join(f"{count} x {name}" for name, count in sorted(statuses.items()))
    return f"no request to {service.url} was answered with 200 ({told or 'none was answered'})"
