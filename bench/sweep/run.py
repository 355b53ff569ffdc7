"""The verb run: measures cases and keeps the results."""

from collections.abc import Sequence
from typing import Any

from bench.cases.args import RunArgs
from bench.cases.case import Case, threads_of
from bench.cases.job import Settings
from bench.measures import FIRST, MEASURES
from bench.record import store
from bench.record.compare_results import launcher
from bench.record.progress import SweepProgress
from bench.record.results import Result
from bench.sweep import suite, table
from bench.sweep.sweep import LEFT_OUT, Performer, sweep
from tasks.errors import UserError
from zoo.machine import terminal
from zoo.measure.deadline import Deadline
from zoo.runtimes import check_threads


def run(args: RunArgs) -> list[Result]:
    """Measure the cases and print the table of all of them; return the results.

    Raises `UserError` for cases that make no sense, for a file of results that can't be read, and
    for a time that is too short for any case; OSError where the file can't be written.
    """
    asked = cases_of(args)
    settings = settings_of(args, asked)
    measures = [suite.measure_named(name) for name in args.measures] or list(
        asked.measures or MEASURES
    )
    if args.out.is_dir():
        raise UserError(f"--out {args.out} is a folder; give a file")
    if args.out.exists() and not args.out.is_file():  # a sweep reads what it has done already
        raise UserError(
            f"--out {args.out} is a device or a pipe, and results are read again: give a file"
        )
    before = len(store.read(args.out))
    deadline = settings.deadline
    cases = suite.by_value(asked.cases) if deadline.is_set else asked.cases
    with Performer(settings) as perform, SweepProgress() as progress:
        perform.expect(cases)
        try:
            results = sweep(
                cases,
                measures,
                args.out,
                perform,
                progress,
                deadline,
                lambda each: settings.launcher == "fresh" and launcher(each) == "preloaded",
            )
        except KeyboardInterrupt:
            progress.stop()
            _show_what_there_is(cases, args, before)
            raise
    if results and all(each.found.status == LEFT_OUT for each in results):
        raise UserError(
            f"--minutes {args.minutes:g} is too short for one case: {deadline.spent():.0f} s were "
            "spent, and nothing is measured yet"
        )
    added = len(store.read(args.out)) - before
    table.show(asked.cases, results)
    old = len(results) - added
    there = f"; {old} were there already" if old > 0 else ""
    terminal.lines(f"{added} results added to {args.out}{there}")
    if deadline.is_set:
        terminal.lines(left_out(results, deadline))
    return results


def _show_what_there_is(cases: Sequence[Case], args: RunArgs, before: int) -> None:
    """Print the table of the cases that the file has results of; `before` is how many there were
    when the run began."""
    kept = store.read(args.out)
    found = [each for each in kept if each.case in set(cases)]
    if found:
        done = {each.case for each in found}
        table.show([case for case in cases if case in done], found)
    terminal.lines(
        f"stopped: {len(kept) - before} results added to {args.out}; the same command goes on"
    )


def left_out(results: Sequence[Result], deadline: Deadline) -> str:
    """Return a line that says how many cases and measures were left out for lack of time."""
    missing = [each for each in results if each.found.status == LEFT_OUT]
    spent = f"{deadline.spent() / 60:.1f} of {deadline}"
    if not missing:
        return f"{spent} spent, nothing was left out"
    whole = sum(each.measure == FIRST for each in missing)
    parts = [f"{whole} of {len({each.key for each in results})} cases"] * bool(whole)
    parts += [f"some measures of {len(missing) - whole}"] * (len(missing) > whole)
    return (
        f"{spent} spent; left out: {' and '.join(parts)}. The same command with the same --out "
        "goes on with them"
    )


def cases_of(args: RunArgs) -> suite.Suite:
    """Return the cases and measures to run, from the flags or a suite."""
    given = {
        "models": args.models,
        "deployments": args.deployments,
        "batch_sizes": args.batch_sizes,
        "lengths": args.lengths,
        "devices": args.device and (args.device,),
        "threads": args.threads and (args.threads,),
        "phases": args.phases,
        "new_tokens": args.new_tokens,
    }
    check_threads(args.threads)
    axes = {name: suite.axis(name, values) for name, values in given.items() if values}
    if args.suite is not None:
        return suite.read(suite.find(args.suite), threads_of(None), axes)
    if not args.models:
        raise UserError(
            "what to measure? Folders of checkpoints, names of models (minilm, resnet50), or "
            f"--suite {', '.join(suite.names())}"
        )
    return suite.Suite(tuple(suite.cross(**{"threads": [threads_of(None)], **axes})))


def settings_of(args: RunArgs, asked: suite.Suite) -> Settings:
    """Return the settings, where flags win over the suite and the suite over defaults; the time of
    --minutes begins."""
    given: dict[str, Any] = {"launcher": args.launcher, "deadline": Deadline(args.minutes)}
    for source in (asked, args):
        if source.minutes_per_case is not None:
            given["budget_s"] = 60 * source.minutes_per_case
        if source.launches is not None:
            given["launches"] = source.launches
    return Settings(**given)
