"""What must hold whatever a command is given."""

import csv
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.faults.fuzz import child, snapshots, traces
from tests.faults.fuzz.child import Outcome
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.snapshots import Snapshot

PASSING = re.compile(r"(^|/)\.(incoming|old)-|\.tmp$")
"""Names of what is on its way to be something."""
SENTENCE = re.compile(r"^[\w.-]+: \S.{6,}$")
NEWS = " parameters ("
"""In what a training says when it begins, in the form of a sentence."""
USAGE = re.compile(r"^(╭|usage: )", re.MULTILINE)
STEERING = re.compile(r"\x1b(?!\[[\d;]*[mAK])|[\x00-\x08\x0b\x0c\x0e-\x1a\x7f-\x9f]")
"""What steers a terminal, other than the colours and bars of ours."""
ENDINGS = {0: "done", 1: "refused", 2: "mistake"}
SPECIAL = (stat.S_IFLNK, stat.S_IFIFO)
BESIDE_WEIGHTS = ("logs", "state", "README.md", "evidence.jsonl", ".lock")
"""What a run's folder may hold before its first checkpoint."""


@dataclass(frozen=True)
class Fault:
    """A property that did not hold."""

    what: str  # "traceback"
    where: str
    """what distinguishes it from another of its kind"""
    detail: str = ""


def ending(command: Command, outcome: Outcome) -> str:
    """How a command ended, in a word."""
    if outcome.code is None:
        return outcome.why_ended
    return ENDINGS.get(outcome.code, "stopped" if _is_stop(command, outcome.code) else "crash")


def faults(
    command: Command, outcome: Outcome, scene: Scene, before: Snapshot, after: Snapshot
) -> Iterator[Fault]:
    """All that did not hold of a case; `before` and `after` are of its folder."""
    err = outcome.err.decode("utf-8", "replace")
    yield from _ended_well(command, outcome, err)
    yield from _said_well(command, outcome, err)
    yield from _left_well(command, outcome, before, after)
    if outcome.code == 0:
        yield from _predicted_all(command, outcome)
    if command.run is not None and os.path.isdir(command.run):  # noqa: PTH112  (a name may be too long)
        place = f"out/{command.run.name}/"
        changed = [path for path in snapshots.differences(before, after) if path.startswith(place)]
        new = {path.removeprefix(place) for path in changed}
        yield from _run_is_whole(command.run, new, outcome, scene.folder / "opening")


def _is_stop(command: Command, code: int) -> bool:
    return command.signal is not None and code in (-command.signal, 128 + command.signal)


def _ended_well(command: Command, outcome: Outcome, err: str) -> Iterator[Fault]:
    trace, stack = traces.find(err), traces.stack(err)
    if outcome.code is None:
        yield Fault(outcome.why_ended, stack.place, f"line {stack.line}")
    elif outcome.code < 0 and not _is_stop(command, outcome.code):
        yield Fault("crash", f"signal {-outcome.code} in {stack.place}", f"line {stack.line}")
    elif trace:
        yield Fault("traceback", f"{trace.place} {trace.said.partition(':')[0]}", str(trace))
    elif outcome.code not in ENDINGS and not _is_stop(command, outcome.code):
        yield Fault("exit code", str(outcome.code), err[-200:])
    if outcome.left_running:
        yield Fault("left running", "a process")


def _said_well(command: Command, outcome: Outcome, err: str) -> Iterator[Fault]:
    if command.stdin is None and outcome.stdin_read:
        yield Fault("read stdin", command.program, f"{outcome.stdin_read} bytes")
    shown = err
    if command.is_terminal:
        shown += outcome.out.decode(command.encoding, "replace")
    if found := STEERING.search(shown):
        line = shown[: found.end()].splitlines()[-1]
        yield Fault("steers the terminal", command.program, repr(line[-120:]))
    if outcome.code == 2 and not USAGE.search(err):
        lines = [line for line in err.splitlines() if line.strip()] or ["nothing"]
        name = lines[-1].partition(":")[0]
        said = [line for line in lines if line.startswith(f"{name}: ") and NEWS not in line]
        if not SENTENCE.match(lines[-1]):
            yield Fault("no sentence", command.program, lines[-1][:200])
        elif len(said) > 1:
            yield Fault("several sentences", command.program, "\n".join(said)[:400])


def _left_well(
    command: Command, outcome: Outcome, before: Snapshot, after: Snapshot
) -> Iterator[Fault]:
    for path in snapshots.differences(before, after):
        place, _, below = path.partition("/")
        is_killed = outcome.code is None or outcome.code < 0
        if place == "in" and not _may_write(command, below):
            yield Fault("input touched", _kind_of(path), path)
        elif (
            _was_replaced(before.get(path), after.get(path))
            and _was_replaced(before.get(path), after.get(_aside(command, path)))
            and not _of_run(command, path)  # the files of a run's folder are the run's own
        ):
            yield Fault("replaced", command.program, f"{path} was a link or a pipe")
        elif path in before and not (
            _is_longer(before[path], after.get(path, ()))
            or _is_longer(before[path], after.get(_aside(command, path), ()))
        ):
            yield Fault("lines lost", _kind_of(path), path)
        elif is_killed:
            continue  # who is killed leaves what he was at
        elif PASSING.search(path) and path in after and place != "cache":
            if _was_there(command, path, before):
                continue  # planted, and gone aside with the run it lay in
            yield Fault("left behind", _kind_of(path), path)
        elif place in ("cwd", "tmp") and below and not _may_write(command, path):
            yield Fault("left in a folder of others", _kind_of(path), path)
        elif place == "out" and below and outcome.code != 0 and not _of_run(command, path):
            yield Fault("partial output", _kind_of(path), path)


def _aside(command: Command, path: str) -> str:
    """Where a file of a run lies that was moved aside for a new one: run/x as run.1/x."""
    if command.run is None:
        return path
    name = command.run.name
    return path.replace(f"out/{name}/", f"out/{name}.1/", 1)


def _was_there(command: Command, path: str, before: Snapshot) -> bool:
    """Whether a file of a run that was moved aside lay there before: run.1/x as run/x."""
    if command.run is None:
        return False
    name = command.run.name
    return path.replace(f"out/{name}.1/", f"out/{name}/", 1) in before


def _was_replaced(before: tuple[object, ...] | None, after: tuple[object, ...] | None) -> bool:
    """Whether a link or a pipe is gone; files are replaced by right."""
    return before is not None and before[0] in SPECIAL and (after or (None,))[0] != before[0]


def _is_longer(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    """Whether a file that may only be added to has been added to; others are not looked at."""
    old, new = before[-1:], after[-1:]
    if not old or not isinstance(old[0], bytes):
        return True
    return bool(new) and isinstance(new[0], bytes) and new[0].startswith(old[0])


def _may_write(command: Command, path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in command.writes)


def _of_run(command: Command, path: str) -> bool:
    return command.run is not None and path.startswith(f"out/{command.run.name}")


def _kind_of(path: str) -> str:
    """A path without what differs from case to case."""
    name = re.sub(r"\.incoming-\w+", ".incoming-*", path)
    return re.sub(r"\d+|tmp\w{8}", "*", name)


def _predicted_all(command: Command, outcome: Outcome) -> Iterator[Fault]:
    if command.rows is None:
        return
    if command.output is None:
        found = outcome.out.count(b"\n")
    elif command.output.is_file():
        found = _rows(command.output)
    else:
        yield Fault("no output", command.program, str(command.output))
        return
    if found is None:
        yield Fault("no output", command.program, f"{command.output.name} is another kind of file")
    elif found != command.rows:
        kind = "fewer predictions" if found < command.rows else "more predictions"
        yield Fault(kind, command.program, f"{found} of {command.rows}")


def _rows(path: Path) -> int | None:
    """The predictions in a file; None where it is not what its name says."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet

        try:
            return pyarrow.parquet.read_metadata(path).num_rows
        except pyarrow.ArrowException:
            return None
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if kind == ".csv":
        csv.field_size_limit(2**31 - 1)  # a text may be long
        return len(list(csv.reader(io.StringIO(text, newline="")))) - 1
    return text.count("\n")


def _run_is_whole(run: Path, new: set[str], outcome: Outcome, log: Path) -> Iterator[Fault]:
    """What lies where a checkpoint was to be is a whole one, or nobody takes it for one."""
    for state in run.glob("state/step-*"):
        if f"state/{state.name}" in new and not (state / "progress.json").is_file():
            yield Fault("partial output", "a state without its progress.json", state.name)
    at_root = {name for name in new if "/" not in name} - {*BESIDE_WEIGHTS}
    if outcome.code == 0 or at_root:
        try:
            child.call(lambda: _open(run), log)
        except RuntimeError as error:
            yield Fault("partial output", "a checkpoint that does not open", str(error)[-300:])


def _open(run: Path) -> None:
    from zoo.store.checkpoint import open_checkpoint

    open_checkpoint(run)
