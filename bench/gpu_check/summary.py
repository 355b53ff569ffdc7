"""The summary of a check as Markdown: what each part came to, and the numbers that they left."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.experiments import runs
from bench.gpu_check.parts import RANDOM, RESULTS, TRAINING, Part
from bench.record import store
from bench.record.markdown import safe
from bench.record.results import Result
from bench.report import geomeans
from bench.report.data import gather
from bench.sweep import table
from tasks import atomic

if TYPE_CHECKING:
    from bench.gpu_check.check import PartResult

PARTS_HEADER = ("part", "what", "status", "seconds", "of", "what it said last")
TRAINING_HEADER = (
    "epochs",
    "batch",
    "arm",
    "samples/s",
    "zoo / arm",
    "accuracy",
    "wall s",
    "commit",
)


def write(
    path: Path,
    about: Mapping[str, Any],
    parts: Sequence[Part],
    results: Mapping[str, "PartResult"],
) -> None:
    """Write the summary of a check to a Markdown file.

    Args:
        about: what was checked: device, minutes, weights, data, remarks, versions, commit, dirty,
            source.
        results: how each part ended, by its name.
    """
    folder = path.parent
    sections = [
        [f"# GPU check: {safe(about['device'])}", "", _what(about)],
        [f"- {safe(remark)}" for remark in about["remarks"]],
        markdown_table(PARTS_HEADER, [_row(part, results[part.name]) for part in parts]),
        [_left(results.values())],
        _training(runs.read(folder / TRAINING), about),
        _cases(store.read(folder / RESULTS)),
        _compiled(store.read(folder / RESULTS)),
    ]
    text = "\n\n".join("\n".join(section) for section in sections if section)
    atomic.write_text(path, text + "\n")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; special characters in cells are escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(map(safe, row)) + " |" for row in rows]


def _what(about: Mapping[str, Any]) -> str:
    versions = about["versions"]
    named = ", ".join(
        f"{name} {versions[name]}"
        for name in ("python", "torch", "transformers")
        if name in versions
    )
    commit = f"source {about['source'][:12]}"  # a copy without its history has no commit
    if about["commit"]:
        commit = f"commit {about['commit'][:12]}{' (dirty)' if about['dirty'] else ''}, {commit}"
    weights = "random ones of MiniLM's shape" if about["weights"] == RANDOM else about["weights"]
    return safe(
        f"{about['minutes']:g} minutes at {commit}; {named}. Weights: {Path(weights).name}; "
        f"texts: {Path(about['data']).name}."
    )


def _row(part: Part, result: "PartResult") -> tuple[str, ...]:
    took = f"{result.seconds:.0f}", f"{result.limit_s:.0f}"
    return part.name, part.about, result.status, *took, result.said


def _left(results: Iterable["PartResult"]) -> str:
    """Return a line on the parts that had no time, or not enough."""
    left = [each.part for each in results if each.status == "skipped"]
    cut = [each.part for each in results if each.status == "timeout"]
    said = [f"Left for want of time: {', '.join(left) or 'nothing'}."]
    if cut:
        said.append(f"Cut off at their limits, with what they had found kept: {', '.join(cut)}.")
    return " ".join(said)


def _training(results: Sequence[runs.Result], about: Mapping[str, Any]) -> list[str]:
    """Return a table of samples/s and accuracy of every arm; arms of one commit are compared."""
    if not results:
        return []
    keys = ("commit", "epochs", "batch")
    ours: dict[tuple[Any, ...], list[float]] = {}
    for each in results:
        if each["arm"] == "zoo":
            group = tuple(each.get(k) for k in keys)
            ours.setdefault(group, []).append(each["samples_per_second"])
    commits = list(dict.fromkeys(each.get("commit") for each in results))
    rows = []
    for each in sorted(
        results,
        key=lambda one: (
            commits.index(one.get("commit")),
            one["epochs"],
            one["batch"],
            one["arm"] != "zoo",
        ),
    ):
        speed = each["samples_per_second"]
        beside = ours.get(tuple(each.get(k) for k in keys))
        ratio = f"{statistics.median(beside) / speed:.2f}" if beside and speed else "-"
        numbers = (f"{each['epochs']:g}", str(each["batch"]), each["arm"], f"{speed:.1f}")
        last = (ratio, f"{each['accuracy']:.4f}", f"{each['wall_seconds']:.1f}")
        rows.append((*numbers, *last, str(each.get("commit"))[:10]))
    note = ["", "Accuracy from random weights says nothing."] if about["weights"] == RANDOM else []
    return ["## Fine-tuning", "", *markdown_table(TRAINING_HEADER, rows), *note]


def _compiled(results: Sequence[Result]) -> list[str]:
    """Return a table of compiled over eager, as a geometric mean over the cases of each phase."""
    means = geomeans.summaries(gather((), results))
    rows = [
        [
            " ".join(filter(None, (cell.text, cell.remark and f"({cell.remark})")))
            for cell in geomeans.cells(one)
        ]
        for one in means
    ]
    head = [f"## {geomeans.TITLE}", "", *markdown_table(geomeans.HEADER, rows)]
    return [*head, "", geomeans.TEXT] if rows else []


def _cases(results: Sequence[Result]) -> list[str]:
    """Return a table row for each measured case, and a line on how many were not measured."""
    by_case: dict[Any, dict[str, Result]] = {}
    for result in results:
        by_case.setdefault(result.case, {})[result.measure] = result
    if not by_case:
        return []
    tried = {
        case: found
        for case, found in by_case.items()
        if any(result.found.status != "left_out" for result in found.values())
    }
    rows = [table.row(case, found) for case, found in tried.items()]
    left = f"{len(by_case) - len(tried)} of {len(by_case)} cases were left out for want of time."
    lines = ["## Cases", "", *markdown_table(table.HEADER, rows)]
    return lines if len(tried) == len(by_case) else [*lines, "", left]
