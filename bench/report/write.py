"""The verb report: results as a page, as Markdown and as pictures."""

import os
from pathlib import Path

from bench.cases.args import ReportArgs
from bench.record import store
from bench.report import (
    columns,
    data,
    described,
    loads,
    markdown,
    page,
    pictures,
    roofline,
    start_charts,
    sweeps,
    trade_offs,
)
from bench.report.chart import Section
from bench.report.data import Report
from tasks.errors import UserError
from zoo.machine import output_file, places, terminal


def report(args: ReportArgs) -> Report:
    """Reads results and writes what is asked for.

    Raises `UserError` for files that hold no results, and for places that can't be written to;
    OSError where the disk is full.
    """
    found = read(args.results)
    for flag, path in (("--out", args.out), ("--markdown", args.markdown)):
        places.check_file(flag, path)
    if args.pictures is not None and args.pictures.exists() and not args.pictures.is_dir():
        raise UserError(f"--pictures {args.pictures} is a file; give a folder")
    try:
        _write_all(args, found)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise UserError(f"{error.filename} can't be written: {error.strerror}") from None
    return found


def _write_all(args: ReportArgs, report: Report) -> None:
    tables, sections = columns.tables(report), sections_of(report)
    _write(args.out, "--out", page.render(report, tables, sections))
    terminal.lines(f"{args.out}: {described.count(len(report.all), 'case')}")
    drawn: dict[tuple[str, str], Path] = {}
    if args.pictures is not None:
        looks = {name: number for number, name in enumerate(report.deployments)}
        groups = [group for section in sections for group in section.groups]
        drawn = pictures.draw(args.pictures, groups, looks)
        terminal.lines(f"{args.pictures}: {described.count(len(drawn), 'picture')}")
    if args.markdown is not None:
        begin = args.markdown.parent
        addresses = {
            chart: Path(os.path.relpath(path, begin)).as_posix() for chart, path in drawn.items()
        }
        _write(args.markdown, "--markdown", markdown.render(report, tables, sections, addresses))
        terminal.lines(str(args.markdown))


def read(paths: tuple[Path, ...]) -> Report:
    """Return the results of files as a report. Raises `UserError` where there are none."""
    if not paths:
        raise UserError("what to report on? Files of results, as bench run writes them")
    results = []
    for path in dict.fromkeys(paths):
        if not path.is_file():
            raise UserError(f"{path}: there is no such file")
        own = store.read(path)
        if not own:
            raise UserError(f"{path} holds no results")
        results += own
    return data.gather([path.name for path in dict.fromkeys(paths)], results)


def sections_of(report: Report) -> list[Section]:
    """Return all sections with charts, in the order of the page."""
    return [
        *([loads.section(report)] if report.loads else []),
        trade_offs.section(report),
        *(sweeps.section(report, sweep) for sweep in sweeps.SWEEPS),
        start_charts.section(report),
        roofline.section(report),
    ]


def _write(path: Path, flag: str, text: str) -> None:
    with output_file.replacing_text(path, flag) as file:
        file.write(text)
