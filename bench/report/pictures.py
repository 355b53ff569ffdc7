"""The charts as PNG files, for what shows no SVG of ours."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.report.chart import Chart, Group, Scale, Series
from zoo.machine.formatting import tick
from zoo.machine.plots import new_figure, save, tidy

COLOURS = (
    "#0b62c4", "#c2410c", "#04785a", "#8a2bd1", "#8f6200", "#be185d", "#0e7490", "#4b5563",
)  # fmt: skip
"""The colours of style.css on light paper."""
MARKERS = "osD^vP"
QUIET = "#57606a"
DPI = 150


def draw(
    folder: Path, groups: Iterable[Group], looks: Mapping[str, int]
) -> dict[tuple[str, str], Path]:
    """Writes a file for each chart; the files by the title of the group and the chart's name.

    Raises OSError where they can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[tuple[str, str], Path] = {}
    for group in groups:
        for chart in group.charts:
            alike = sum(name == chart.name for _, name in written)
            path = folder / f"{chart.name}{f'-{alike + 1}' if alike else ''}.png"
            save(_figure(chart, group.title, looks), path, "--pictures", DPI)
            written[group.title, chart.name] = path
    return written


def _figure(chart: Chart, title: str, looks: Mapping[str, int]) -> Any:
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for guide in chart.guides:
        xs, ys = zip(*guide.line, strict=True)
        axes.plot(xs, ys, color=QUIET, linestyle=":", linewidth=1, zorder=1)
        if guide.label:
            level = ys[0] == ys[-1]
            axes.annotate(
                guide.label,
                (xs[-1], ys[-1]) if level else (xs[0], ys[0]),
                (0, 4),
                textcoords="offset points",
                ha="right" if level else "left",
                fontsize=8,
                color=QUIET,
            )
    labelled: set[str] = set()
    for series in chart.series:
        _draw_series(axes, series, looks[series.name], series.name not in labelled)
        labelled.add(series.name)
    _settle(axes, chart)
    figure.suptitle(f"{chart.title}\n{title}", x=0.01, ha="left", fontsize=9, parse_math=False)
    legend = figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a "$" in a name is a dollar
    return figure


def _draw_series(axes: Any, series: Series, look: int, is_labelled: bool) -> None:
    colour = COLOURS[look % len(COLOURS)]
    marker = MARKERS[look % len(MARKERS)]
    if series.line:
        xs, ys = zip(*series.line, strict=True)
        style = "--" if series.is_dashed else "-"
        axes.plot(xs, ys, color=colour, linestyle=style, linewidth=1.4, zorder=2)
    for i, point in enumerate(series.points):
        axes.errorbar(
            point.x,
            point.y,
            xerr=_reach(point.x, point.x_ends),
            yerr=_reach(point.y, point.y_ends),
            fmt=marker,
            color=colour,
            markerfacecolor="white" if point.is_hollow else colour,
            markersize=6,
            capsize=3,
            linewidth=1.2,
            zorder=3,
            label=series.name if is_labelled and i == 0 else None,
        )


def _reach(value: float, ends: tuple[float, float] | None) -> list[list[float]] | None:
    """Return how far the ends of an interval lie below and above a value, as matplotlib takes error
    bars."""
    if ends is None:
        return None
    return [[max(0.0, value - ends[0])], [max(0.0, ends[1] - value)]]


def _settle(axes: Any, chart: Chart) -> None:
    for axis, values, set_scale, set_limit, own in (
        (chart.x, chart.xs(), axes.set_xscale, axes.set_xlim, axes.xaxis),
        (chart.y, chart.ys(), axes.set_yscale, axes.set_ylim, axes.yaxis),
    ):
        scale = Scale.fit(values, axis, 0, 1)
        set_scale("log" if axis.log else "linear")
        set_limit(scale.low, scale.high)
        places = axis.marks or scale.ticks()
        own.set_ticks(places, [tick(value) for value in places])
        own.set_ticks([], minor=True)
    axes.set(xlabel=chart.x.title, ylabel=chart.y.title)
    tidy(axes)
