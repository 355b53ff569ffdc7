"""What the comparisons share: their command line, the file of their results, and how a model's
verbs run in processes of their own."""

import dataclasses
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tasks.bounds import Bounded, Seed
from tasks.errors import UserError
from tasks.metrics.intervals import t_half_width
from tasks.printing import print_lines
from zoo.cli import program
from zoo.machine import places
from zoo.store import append_only

LEVEL = 0.95

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Args(Bounded):
    """The flags of every comparison."""

    seeds: tuple[Seed, ...] = (1, 2, 3)
    """of the rounds: in each, every arm runs once"""
    output: Path | None = None
    """jsonl file that results are added to; what it has already is not run again"""


A = TypeVar("A", bound=Args)


def main(
    name: str,
    about: str | None,
    kind: type[A],
    run: Callable[[A], object],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a comparison as a program; return the exit code, 2 for a user's mistake.

    Args:
        name: the module's name, as `python -m` takes it.
        about: the module's docstring, which --help shows.
    """

    def guarded() -> int:
        args = parse(name, about, kind, sys.argv[1:] if argv is None else argv)
        places.check_file("--output", args.output)
        run(args)
        return 0

    return program.guarded(name.rpartition(".")[2], guarded, "give the same command again")


def parse(name: str, about: str | None, kind: type[A], words: Sequence[str]) -> A:
    """Parse command-line arguments into flags; exit as argparse does for --help and errors."""
    takes_more = any(field.name == "flags" for field in dataclasses.fields(kind))
    end = list(words).index("--flags") if takes_more and "--flags" in words else len(words)
    args: A = program.parse_flags(
        kind, words[:end], prog=f"python -m {name}", description=about or ""
    )
    if end == len(words):
        return args
    return dataclasses.replace(args, flags=tuple(words[end + 1 :]))  # type: ignore[call-arg]


def read(output: Path | None) -> list[Result]:
    """Return the results in a file; empty if there is no file.

    Raises `UserError` for a line that is not a result.
    """
    if output is None or not output.exists():
        return []
    results = []
    for number, line in enumerate(output.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            results.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise UserError(
                f"--output {output}, line {number}: no result of a comparison; give another file"
            ) from None
    return results


def add(output: Path | None, result: Result, shown: Sequence[str]) -> None:
    """Print the fields `shown` of a result, and append the whole result to the file."""
    print_lines(json.dumps({name: result[name] for name in shown if name in result}))
    if output is not None:
        append_only.append(output, json.dumps(result) + "\n")


def complete(
    output: Path | None,
    settings: Result,
    keys: Iterable[Result],
    run: Callable[[Result], Result],
    shown: Sequence[str],
) -> list[Result]:
    """Return the file's results with the same settings, and those of all missing `keys`, which are
    run and added to the file."""
    results = [each for each in read(output) if settings.items() <= each.items()]
    for key in keys:
        if not any(key.items() <= each.items() for each in results):
            results.append(run(key))
            add(output, results[-1], (*key, *shown))
    return results


def zoo(words: Sequence[str]) -> None:
    """Run `python -m WORDS` in a process of its own.

    Raises `UserError` with the command's message for a user's mistake, SystemExit if it failed.
    """
    ran = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    if ran.returncode == 2:
        raise UserError((ran.stderr.strip().splitlines() or [shlex.join(words)])[-1])
    if ran.returncode:
        raise SystemExit(f"python -m {shlex.join(words)} failed:\n{ran.stderr[-3000:]}")


def flags_of(values: Mapping[str, Any]) -> list[str]:
    """Return values by name as command-line arguments."""
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Return mean, low and high of Student's interval of independent values (Student 1908); low and
    high are nan for fewer than two values."""
    mean, half = statistics.fmean(values), t_half_width(values, level)
    return mean, mean - half, mean + half
