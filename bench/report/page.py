"""The report as one HTML file that needs nothing else: no network, no fonts, no other files.

All text from results goes through `html.escape`; and a content security policy lets nothing run or
load but the style and the script that are written here, which it names by their sums.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bench.report import described, geomeans, svg
from bench.report.chart import Group, Section
from bench.report.columns import Cell, Column, Table, without_number
from bench.report.commands import reproduce
from bench.report.data import Environment, Report, Row

FOLDER = Path(__file__).parent
OPEN_CHARTS = 12
"""Groups of a section are unfolded until so many charts are."""
BEHIND = ("training", "graphs", "devices")
"""Tables that stand at the end."""
BELOW = {"start": "starts", "load": "loads"}
"""Tables that stand below the charts of a section."""
BAD = ("wrong", "error", "oom")


def render(report: Report, tables: dict[str, Table], sections: Sequence[Section]) -> str:
    """Return the report as one page of HTML."""
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    policy = f"default-src 'none'; style-src {_sum(style)}; script-src {_sum(script)}"
    looks = {name: number for number, name in enumerate(report.deployments)}
    means = geomeans.summaries(report)
    body = [
        _header(report),
        _navigation(tables, sections, bool(means)),
        _find(),
        _table_section(tables["cases"]),
        _geomeans(means),
        _notes(report),
    ]
    for section in sections:
        table = tables.get(BELOW.get(section.name, ""))
        body.append(_section(section, looks, table))
    body += [_table_section(tables[name]) for name in BEHIND if name in tables]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Benchmark: {escape(', '.join(report.sources))}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{''.join(body)}"
        '<div id="tip" class="tip" role="dialog" aria-labelledby="says" '
        'aria-describedby="command" hidden><p id="says"></p>'
        '<code id="command"></code><button class="pinned"type="button"></button>'
        '<span class="hint">click or press Enter to keep this open</span></div>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _sum(text: str) -> str:
    """Return the hash of a text as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _header(report: Report) -> str:
    environments = "".join(map(_environment, report.environments))
    said = "".join(f"<p>{escape(line)}</p>" for line in described.summary(report))
    return (
        f'<header><h1>Benchmark</h1>{said}<div class="environments">{environments}</div></header>\n'
    )


def _environment(environment: Environment) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
        for name, text in described.facts(environment)
    )
    versions = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(version))}</dd>"
        for name, version in environment.versions.items()
    )
    return (
        f'<div class="environment"><h2>{escape(environment.title)}</h2><dl>{facts}</dl>'
        f"<details><summary>all versions</summary><dl>{versions}</dl></details></div>"
    )


def _navigation(tables: dict[str, Table], sections: Sequence[Section], has_means: bool) -> str:
    places = [("cases", tables["cases"].title)]
    places += [("geomeans", geomeans.TITLE)] if has_means else []
    places += [(each.name, each.title) for each in sections]
    places += [(name, tables[name].title) for name in BEHIND if name in tables]
    items = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in places)
    return f'<nav aria-label="sections"><ul>{items}</ul></nav>\n'


def _find() -> str:
    return (
        '<div class="find" hidden><label for="filter">Filter</label>'
        '<input id="filter" type="search" placeholder="onnx batch-8 wrong" autocomplete="off">'
        '<output id="shown" class="quiet" for="filter"></output></div>\n'
    )


def _table_section(table: Table) -> str:
    return f'<section id="{table.name}"><h2>{escape(table.title)}</h2>{_table(table)}</section>\n'


def _table(table: Table) -> str:
    head = "".join(
        f'<th scope="col" title="{escape(column.help)}">{_sorter(column.name, column.title)}</th>'
        for column in table.columns
    )
    body = "".join(_row(row, place, table.columns) for place, row in enumerate(table.rows))
    left_out = ""
    if table.left_out:
        names = ", ".join(table.left_out)
        left_out = f'<p class="quiet">Not measured in any of these cases: {escape(names)}.</p>'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        '<table><thead><tr><th scope="col" class="case">'
        f"{_sorter('model', 'model')} · {_sorter('deployment', 'deployment')}</th>"
        f'<th scope="col">{_sorter("batch", "batch")}</th>'
        f'<th scope="col">{_sorter("length", "length")}</th>'
        f'<th scope="col" class="word">{_sorter("status", "status")}</th>{head}'
        '<th scope="col">reproduce</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>{left_out}"
    )


def _geomeans(means: Sequence[geomeans.Summary]) -> str:
    """Compiled over eager; nothing where there is no such pair."""
    if not means:
        return ""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in geomeans.HEADER[1:])
    body = ""
    for one in means:
        first, *rest = geomeans.cells(one)
        name = f"<strong>{escape(first.text)}</strong>{escape(first.remark)}"
        body += f'<tr><th scope="row" class="case">{name}</th>{"".join(map(_cell, rest))}</tr>'
    return (
        f'<section id="geomeans"><h2>{geomeans.TITLE}</h2><p class="quiet">{geomeans.TEXT}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{geomeans.TITLE}">'
        f'<table><thead><tr><th scope="col" class="case">{geomeans.HEADER[0]}</th>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div></section>\n"
    )


def _sorter(name: str, title: str) -> str:
    return f'<button type="button" data-sort="{name}">{escape(title)}</button>'


def _row(row: Row, place: int, columns: Sequence[Column]) -> str:
    cells = [(column.name, column.cell(row)) for column in columns]
    case = row.case
    values: dict[str, Any] = {
        "model": f"{case.model} {row.label}",
        "deployment": row.label,
        "batch": case.workload.batch,
        "status": row.status,
    }
    if row.length() is not None:
        values["length"] = row.length()
    values |= {name: cell.number for name, cell in cells if cell.number is not None}
    length = described.length(row)
    measured = "".join(_cell(cell) for _, cell in cells)
    if why := without_number(row, columns):
        measured = (
            f'<td class="missing why" colspan="{len(columns)}"><span>{escape(why)}</span></td>'
        )
    return (
        f'<tr data-row="{row.name}" data-place="{place}" '
        f'data-values="{escape(json.dumps(values))}" '
        f'data-words="{escape(described.words(row))}" '
        f'data-command="{escape(reproduce(case))}">'
        f'<th scope="row" class="case"><strong>{escape(row.label)}</strong>'
        f"{escape(described.subject(row))}</th>"
        f"<td>{case.workload.batch}</td><td>{escape(length)}</td>{_status(row)}"
        f"{measured}"
        f'<td><button type="button" class="command" data-row="{row.name}" '
        f'data-says="{escape(described.title(row))}" '
        f'aria-label="command of {escape(described.title(row))}">command</button></td></tr>'
    )


def _status(row: Row) -> str:
    kind = "ok" if row.status == "ok" else "bad" if row.status in BAD else "doubt"
    return f'<td class="word"><span class="status {kind}">{escape(row.status)}</span></td>'


def _cell(cell: Cell) -> str:
    remark = f"<small>{escape(cell.remark)}</small>" if cell.remark else ""
    missing = ' class="missing"' if cell.is_missing else ""
    return f"<td{missing}>{escape(cell.text)}{remark}</td>"


def _notes(report: Report) -> str:
    lines = report.notes()
    if not lines:
        return ""
    return (
        f'<details class="remarks"><summary>Remarks ({len(lines)})</summary>'
        f"{_list('notes', lines)}</details>\n"
    )


def _list(kind: str, lines: Iterable[str]) -> str:
    return f'<ul class="{kind}">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def _section(section: Section, looks: dict[str, int], table: Table | None) -> str:
    parts = [f'<section id="{section.name}"><h2>{escape(section.title)}</h2>']
    if section.groups:
        parts.append(f'<p class="quiet">{escape(section.text)}</p>')
    else:
        parts.append(f'<p class="quiet">{escape(section.nothing)}</p>')
    drawn, groups = 0, []
    for group in section.groups:
        groups.append(_group(group, looks, drawn < OPEN_CHARTS))
        drawn += len(group.charts)
    single = " single" if all(len(group.charts) == 1 for group in section.groups) else ""
    parts.append(f'<div class="groups{single}">{"".join(groups)}</div>')
    if table is not None:
        parts.append(_table(table))
    return "".join(parts) + "</section>\n"


def _group(group: Group, looks: dict[str, int], is_open: bool) -> str:
    several = len(group.charts) > 1
    figures = "".join(
        f"<figure>{f'<figcaption>{escape(chart.title)}</figcaption>' * several}"
        f"{svg.draw(chart, looks)}</figure>"
        for chart in group.charts
    )
    absent = ""
    if group.absent:
        absent = f'<p class="absent">Not drawn: {escape("; ".join(group.absent))}.</p>'
    return (
        f'<details class="group"{" open" * is_open}><summary>{escape(group.title)}</summary>'
        f"{svg.legend(group.names(), looks)}"
        f'<div class="charts">{figures}</div>{absent}</details>'
    )
