"""The step that decides the deployment: `bench decide` searches, proves and confirms it."""

import math
import re
import signal
from collections.abc import Callable
from pathlib import Path

from tasks.errors import UserError
from zoo.cli.args import ShipArgs
from zoo.deploy import winner
from zoo.deploy.winner import Winner
from zoo.machine.formatting import duration, milliseconds
from zoo.ship.clock import CARD_S, DECIDE_LEAST_S, Clock
from zoo.ship.programs import Ended, Running, Step, run
from zoo.ship.record import Record

PROMISED = 0.95
"""Share of its time that the search is told of: it keeps to that within 10%."""
LATE = 1.1
"""Share of its time after which it is asked to end ..."""
OVER = 1.5
"""... and after which it is ended, whatever it does."""
NEEDED = re.compile(r"it takes ([\d.]+) minutes at least")
TOO_LITTLE = "did not suffice"
"""In what the search says where its time was over before anything was compared."""
SHOWN = ("on the test split", "not confirmed", "no other deployment is left", "warning:")
"""Beginnings of the lines of it that are shown."""


class NotShipped(Exception):
    """What was made keeps not to what was asked for, or is worth nothing."""


def step_of(args: ShipArgs, folder: Path, seconds: float, rows: int | None) -> Step:
    """Return the command that decides in so many seconds, on so many rows of a split at most."""
    words = ["decide", str(folder), "--minutes", f"{PROMISED * seconds / 60:.2f}"]
    words += ["--max_drop", f"{args.max_drop:g}"]
    if args.p95_ms is not None:
        words += ["--p95_ms", f"{args.p95_ms:g}"]
    if args.device.startswith("cuda"):
        words += ["--device", args.device]
    if rows is not None:
        words += ["--max_eval_samples", str(rows)]
    return Step("bench", (*words, "--export"))


def decide(
    args: ShipArgs, rows: int | None, record: Record, clock: Clock, say: Callable[..., None]
) -> Winner:
    """Return the deployment that is served; see `step_of`.

    Raises:
        NotShipped: none keeps to what was asked for, or there was no time to find out.
        UserError: the search has failed.
    """
    folder = record.folder
    seconds = clock.deciding()
    if seconds < DECIDE_LEAST_S / 2:
        raise NotShipped(
            f"not shipped: {duration(clock.left())} are left, too few to prove a deployment in: "
            f"{_more(clock, DECIDE_LEAST_S)}"
        )
    step = step_of(args, folder, seconds, rows)
    say("deployment", f"searched for {duration(seconds)}, proven and timed{_limits(args)}", step)
    winner.forget(folder)
    began, is_over = clock.spent(), False

    def look(running: Running) -> None:
        nonlocal is_over
        if clock.spent() > began + LATE * seconds:
            running.interrupt()  # it confirms the best so far
        if clock.spent() > began + OVER * seconds:
            is_over = True
            running.stop()
        if clock.spent() - record.spent > 5:
            record.save(clock.spent())

    ended = run(step, record.place / "deployment.txt", look)
    for line in ended.printed.splitlines():
        if line.startswith(SHOWN):
            say("", line)
    found = winner.read(folder)
    if found is None and is_over:
        raise _found_none(clock)
    if found is None or (ended.code not in (0, 128 + signal.SIGINT) and not is_over):
        raise _failed(ended, step, clock)
    return found


def describe(found: Winner) -> str:
    """Return a winner as a line has it."""
    times = f", {found.speedup:.1f} times as fast as eager" if found.speedup is not None else ""
    p95 = f" (p95 {milliseconds(found.p95_s)})" if found.p95_s is not None else ""
    lost = f", loses {found.lost:+.4f} on validation" if found.lost is not None else ""
    sizes = ", ".join(f"{name} {size:g}" for name, size in found.workload.items())
    call = f"{milliseconds(found.seconds)} a call of {sizes}{p95}"
    return f"{found.deployment}: {call}{times}{lost}"


def _limits(args: ShipArgs) -> str:
    p95 = f", p95 at most {args.p95_ms:g} ms" if args.p95_ms is not None else ""
    return f"{p95}, at most {args.max_drop:g} of the metric lost"


def _failed(ended: Ended, step: Step, clock: Clock) -> Exception:
    """What the search's failure is: a contract that nothing keeps, too little time, or a fault."""
    if ended.code == 128 + signal.SIGINT:
        return _found_none(clock)
    if ended.code < 0 or ended.code > 128:
        return UserError(f"deciding was stopped by a signal: the same command goes on ({step})")
    if needed := NEEDED.search(ended.last):
        seconds = 60 * float(needed[1])
        return NotShipped(f"not shipped: {needed[0]} for the deployment: {_more(clock, seconds)}")
    if TOO_LITTLE in ended.last:
        said = "the time did not suffice to make and compare a deployment beside eager"
        return NotShipped(f"not shipped: {said}: {_more(clock, 0)}")
    return NotShipped(
        f"not shipped: {ended.last}: ease a limit, or give more `minutes`; what was measured is in "
        "logs/ship/deployment.txt"
    )


def _found_none(clock: Clock) -> NotShipped:
    return NotShipped(f"not shipped: no deployment was found in the time: {_more(clock, 0)}")


def _more(clock: Clock, seconds: float) -> str:
    """What to do where so many seconds more were needed than there are, or twice the time."""
    enough = max(2 * clock.seconds, clock.spent() + CARD_S + seconds)
    return f"give `minutes` {math.ceil(enough / 60)}, and it goes on from here"
