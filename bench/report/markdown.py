"""The report as Markdown: its tables, the remarks, and the pictures where there are some."""

from collections.abc import Mapping, Sequence

from bench.record.markdown import safe
from bench.report import described, geomeans
from bench.report.chart import Section
from bench.report.columns import Cell, Column, Table, without_number
from bench.report.data import Report, Row


def render(
    report: Report,
    tables: Mapping[str, Table],
    sections: Sequence[Section],
    pictures: Mapping[tuple[str, str], str],
) -> str:
    """Return the report as Markdown.

    Args:
        pictures: the address of the file of each chart that has one, by the title of its group and
            its own name.
    """
    blocks = ["# Benchmark", *map(safe, described.summary(report))]
    for environment in report.environments:
        lines = [f"- {name}: {safe(text)}" for name, text in described.facts(environment)]
        blocks.append("\n".join([f"**{environment.title}**", "", *lines]))
    for table in tables.values():
        blocks += [f"## {safe(table.title)}", _table(table)]
        if table.left_out:
            blocks.append(f"Not measured in any of these cases: {safe(', '.join(table.left_out))}.")
        if table.name == "cases":
            blocks += _geomeans(report)
    notes = report.notes()
    if notes:
        blocks += ["## Remarks", "\n".join(f"- {safe(line)}" for line in notes)]
    for section in sections:
        drawn = [
            f"![{safe(f'{chart.title}: {group.title}')}](<{pictures[group.title, chart.name]}>)"
            for group in section.groups
            for chart in group.charts
            if (group.title, chart.name) in pictures
        ]
        if drawn:
            blocks += [f"## {safe(section.title)}", safe(section.text), *drawn]
    return "\n\n".join(blocks) + "\n"


def _geomeans(report: Report) -> list[str]:
    """Compiled over eager; nothing where there is no such pair."""
    means = geomeans.summaries(report)
    if not means:
        return []
    marks = ["---", "---", *("---:" for _ in geomeans.HEADER[2:])]
    rows = [[_cell(cell) for cell in geomeans.cells(one)] for one in means]
    lines = [f"| {' | '.join(cells)} |" for cells in (geomeans.HEADER, marks, *rows)]
    return [f"## {geomeans.TITLE}", safe(geomeans.TEXT), "\n".join(lines)]


def _table(table: Table) -> str:
    titles = ["model", "deployment", "batch", "length", "status"]
    titles += [column.title for column in table.columns]
    marks = ["---", "---", "---:", "---:", "---", *("---:" for _ in table.columns)]
    rows = [_row(row, table.columns) for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([*map(safe, titles)], marks, *rows))


def _row(row: Row, columns: Sequence[Column]) -> list[str]:
    own = [
        safe(described.subject(row)),
        safe(row.label),
        str(row.case.workload.batch),
        described.length(row),
        row.status if row.status == "ok" else f"**{row.status}**",
    ]
    if why := without_number(row, columns):
        return [*own, f"*{safe(why)}*", *[""] * (len(columns) - 1)]
    return own + [_cell(column.cell(row)) for column in columns]


def _cell(cell: Cell) -> str:
    if cell.is_missing:
        return f"*{safe(cell.text)}*"
    return safe(f"{cell.text} ({cell.remark})" if cell.remark else cell.text)
