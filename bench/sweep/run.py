"""The verb run: measures cases and keeps the results."""

from typing import Any

from bench.cases.args import RunArgs
from bench.cases.case import threads_of
from bench.cases.job import Settings
from bench.measures import MEASURES
from bench.record import store
from bench.record.progress import SweepProgress
from bench.record.results import Result
from bench.sweep import suite, table
from bench.sweep.sweep import Performer, sweep
from tasks.errors import UserError
from zoo.machine import terminal
from zoo.runtimes import check_threads


def run(args: RunArgs) -> list[Result]:
    """Measures, and prints the table of all cases.

    Raises `UserError` for cases that make no sense, and for a file of results that can't be read;
    OSError where it can't be written.
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
    with Performer(settings) as perform, SweepProgress() as progress:
        results = sweep(asked.cases, measures, args.out, perform, progress)
    added = len(store.read(args.out)) - before
    table.show(asked.cases, results)
    old = len(results) - added
    there = f"; {old} were there already" if old > 0 else ""
    terminal.lines(f"{added} results added to {args.out}{there}")
    return results


def cases_of(args: RunArgs) -> suite.Suite:
    """What is asked for, by flags or by a suite."""
    given = {
        "models": args.models,
        "deployments": args.deployments,
        "batch_sizes": args.batch_sizes,
        "lengths": args.lengths,
        "devices": args.device and (args.device,),
        "threads": args.threads and (args.threads,),
        "phases": args.phases,
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
    """The flags win over the suite, and that over what is usual."""
    given: dict[str, Any] = {}
    for name in ("budget_s", "launches"):
        for source in (asked, args):
            if getattr(source, name) is not None:
                given[name] = getattr(source, name)
    return Settings(**given)
