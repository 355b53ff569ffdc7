"""The step that decides the deployment: `bench decide` searches, proves and confirms it."""

from collections.abc import Callable
from pathlib import Path

from tasks.errors import UserError
from zoo.deploy import winner
from zoo.deploy.winner import Winner
from zoo.machine.formatting import duration, milliseconds
from zoo.ship.args import ShipArgs
from zoo.ship.clock import DECIDE_LEAST_S, Clock
from zoo.ship.programs import Ended, Step, run
from zoo.ship.record import Record

PROMISED = 0.95
"""Share of its time that the search is told of: it keeps to that within 10%."""
SHOWN = ("on the test split", "not confirmed", "warning:")
"""Beginnings of the lines of it that are shown."""


class NotShipped(Exception):
    """What was made keeps not to what was asked for, or is worth nothing."""


def step_of(args: ShipArgs, folder: Path, seconds: float) -> Step:
    """Return the command that decides in so many seconds."""
    words = ["decide", str(folder), "--minutes", f"{PROMISED * seconds / 60:.2f}"]
    words += ["--max_drop", f"{args.max_drop:g}"]
    if args.p95_ms is not None:
        words += ["--p95_ms", f"{args.p95_ms:g}"]
    if args.device.startswith("cuda"):
        words += ["--device", args.device]
    if args.max_eval_samples is not None:
        words += ["--max_eval_samples", str(args.max_eval_samples)]
    return Step("bench", (*words, "--export"))


def decide(args: ShipArgs, record: Record, clock: Clock, say: Callable[..., None]) -> Winner:
    """Return the deployment that is served.

    Raises:
        NotShipped: none keeps to what was asked for, or there was no time to find out.
        UserError: the search has failed.
    """
    folder = record.folder
    winner.forget(folder)
    seconds = clock.deciding()
    if seconds < DECIDE_LEAST_S / 2:
        step = step_of(args, folder, DECIDE_LEAST_S * 2)
        raise NotShipped(
            f"not shipped: {duration(clock.left())} are left, too few to prove a deployment in: "
            f"give more `minutes`, or decide by hand: {step}"
        )
    step = step_of(args, folder, seconds)
    say("deployment", f"searched for {duration(seconds)}, proven and timed{_limits(args)}", step)
    ended = run(step, record.place / "deployment.txt", lambda _: _keep(record, clock))
    for line in ended.printed.splitlines():
        if line.startswith(SHOWN):
            say("", line)
    found = winner.read(folder) if ended.code == 0 else None
    if found is None:
        raise _failed(ended, step)
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


def _keep(record: Record, clock: Clock) -> None:
    if clock.spent() - record.spent > 5:
        record.save(clock.spent())


def _failed(ended: Ended, step: Step) -> Exception:
    """What the search's failure is: a contract that nothing keeps, too little time, or a fault."""
    if ended.code < 0 or ended.code >= 128:
        return UserError(f"deciding was stopped by a signal: the same command goes on ({step})")
    if ended.code == 0:
        return NotShipped(f"not shipped: {step} has left no deployment")
    table = "its table is in logs/ship/deployment.txt"
    return NotShipped(f"not shipped: {ended.last} ({table}): ease a limit, or give more `minutes`")
