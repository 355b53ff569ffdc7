"""The verb ship: from data to a service, a step at a time."""

import os
import sys
from pathlib import Path, PurePath
from typing import Any

from tasks.errors import UserError
from tasks.paths import expanded, is_file, is_folder
from tasks.printing import print_lines
from zoo.cli.args import ShipArgs
from zoo.deploy import winner
from zoo.machine import places, terminal
from zoo.ship import choose, deciding, judge, training
from zoo.ship.choose import Choice
from zoo.ship.clock import Clock
from zoo.ship.deciding import NotShipped
from zoo.ship.look import Look, look
from zoo.ship.programs import Step, run
from zoo.ship.record import Record, alone
from zoo.store import evidence

WIDTH = 11
"""Of the names of steps."""


def ship(args: ShipArgs) -> int:
    """Take the steps; return the exit code, where no service is started: 0.

    Raises:
        UserError: the data, a setting or the machine has a fault.
        NotShipped: the result is worth nothing, or keeps not to what was asked for.
    """
    clock = Clock(args.minutes)
    folder = expanded(args.output_dir or Path("runs") / _name(args))
    places.check_folder("`output_dir`", folder)
    _must_lie_apart(folder, args)
    before = Record.open(folder)  # says where the folder is another run's
    terminal.quiet_libraries()
    asked = choose.asked_entry(args)
    of_model = choose.kind_of_entry(asked[0], args) if asked else None
    if args.data != "embedded" and of_model not in ("boxes", "masks", "table"):
        of_model = None  # but any table can be read as one, and a folder have boxes and masks
    seen = look(args, of_model, before.asked.get("limits") if before.is_begun else None)
    choice = choose.choose(args, seen)
    with alone(folder):
        record = Record.open(folder)
        record.must_be(_asked(args, seen, choice))
        clock.before = record.spent
        # before any program runs: one that is killed at once must leave a folder that is known
        record.save(clock.spent())
        if record.is_begun:
            done = f"{', '.join(record.steps)} is done" if record.steps else "training was begun"
            _say("again", f"goes on in {folder}, where {done}; {clock}")
        try:
            _steps(args, seen, choice, record, clock)
        finally:
            record.save(clock.spent())
    _say("ready", f"{folder}; {clock}", *_next(folder, args))
    return _serve(folder, args) if args.serve else 0


def _steps(args: ShipArgs, seen: Look, choice: Choice, record: Record, clock: Clock) -> None:
    _say("data", seen.describe())
    for reason in seen.reasons:
        _say("", reason)
    _say("model", f"{choice.entry.name}: {choice.reason}")
    _train(args, seen, choice, record, clock)
    _judge(seen, record, clock)
    _decide(args, seen, record, clock)
    _card(record, clock)


def _train(args: ShipArgs, seen: Look, choice: Choice, record: Record, clock: Clock) -> None:
    done = record.steps.get("training", {})
    is_whole = not done.get("cut") or done.get("minutes", 0.0) >= args.minutes
    if done and done.get("digest") == _digest(record.folder) and is_whole:
        return
    cut = training.train(args, seen, choice, record, clock, _say)
    digest = _digest(record.folder)
    _finish(record, clock, "training", digest=digest, minutes=args.minutes, cut=cut)


def _judge(seen: Look, record: Record, clock: Clock) -> None:
    """Raise `NotShipped` for a checkpoint that knows nothing."""
    found = judge.worth(record.folder, seen.task.primary)
    if found is None:
        raise NotShipped(
            f"not shipped: {seen.task.primary.name} is undefined, as the rows are too few or it "
            "answers the same to each: more `minutes` or more rows may help, or another `model`"
        )
    _say("worth", f"{found}; {clock}")
    if not found.is_any:
        raise NotShipped(found.refusal(seen.rows["train"]))


def _decide(args: ShipArgs, seen: Look, record: Record, clock: Clock) -> None:
    limits = {"p95_ms": args.p95_ms, "max_drop": args.max_drop, "device": args.device}
    done = record.steps.get("deployment", {})
    known = _winner(record.folder) if done.get("limits") == limits else None
    if known is not None:
        _say("deployment", deciding.describe(known))
        return
    record.steps.pop("card", None)
    found = deciding.decide(args, seen.limits["max_eval_samples"], record, clock, _say)
    _say("", deciding.describe(found))
    _finish(record, clock, "deployment", limits=limits)


def _winner(folder: Path) -> "winner.Winner | None":
    """The winner that was left; None where it has to be decided anew."""
    try:
        return winner.read(folder)
    except UserError:  # its program or the weights are others by now
        return None


def _card(record: Record, clock: Clock) -> None:
    card = record.folder / "README.md"
    if "card" in record.steps and card.is_file():
        return
    step = Step("tools.cards", (str(record.folder),))
    _say("card", f"{card}, rendered from what was measured", step)
    ended = run(step, record.place / "card.txt")
    if ended.code:
        raise UserError(f"the card: {ended.last}")
    _finish(record, clock, "card")


def _finish(record: Record, clock: Clock, step: str, **found: Any) -> None:
    record.done(step, **found)
    record.save(clock.spent())
    _say("", str(clock))


def _asked(args: ShipArgs, seen: Look, choice: Choice) -> dict[str, Any]:
    """What a training depends on: with another one it would be another run."""
    return {
        "data": seen.examples.fingerprint,
        "model": choice.entry.name,
        "weights": choice.words[1] if choice.words else None,
        "columns": [args.text_column, args.label_column],
        "limits": dict(seen.limits),
        "seed": args.seed,
    }


def _digest(folder: Path) -> str | None:
    """The digest of the weights in a folder; None where there are none."""
    try:
        return evidence.subject_digest(folder)
    except UserError:
        return None


def _name(args: ShipArgs) -> str:
    """What a run is called: as its data, or as the model whose own data they are."""
    if args.data == "embedded":
        return PurePath(args.model or "embedded").name
    path = expanded(args.data)
    if path.name in ("", ".."):
        path = path.resolve()
    return (path.stem if is_file(path) else path.name) or "shipped"


def _must_lie_apart(folder: Path, args: ShipArgs) -> None:
    """Raise `UserError` where the pictures and tables of the run would be data the next time."""
    data = expanded(args.data)
    if args.data == "embedded" or not is_folder(data):
        return
    if folder.resolve().is_relative_to(data.resolve()):
        raise UserError(
            f"`output_dir` {folder} lies inside of the data, {data}: name a folder outside of it"
        )


def _next(folder: Path, args: ShipArgs) -> tuple[Step, ...]:
    """The command that serves what was made."""
    port = () if args.port == type(args).port else ("--port", str(args.port))
    return (Step("zoo", ("serve", str(folder), *port)),)


def _serve(folder: Path, args: ShipArgs) -> int:
    """Become the service: this process is replaced by it."""
    (step,) = _next(folder, args)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", step.module, *step.words])


def _say(topic: str, text: str, *steps: Step) -> None:
    """Print a choice, and below it the command that does it alone."""
    print_lines(f"{topic:<{WIDTH}} {text}", *(f"{'':<{WIDTH}}   {step}" for step in steps))
    sys.stdout.flush()
