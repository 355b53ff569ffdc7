"""Charts as SVG for the page: drawn here, coloured by style.css, woken by script.js.

Every text that comes from results is escaped. A point is a `g.point` that names its row; a series
is a `g.series` with a look: a colour and a shape, so that nobody has to tell deployments by colour.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from bench.report.chart import Axis, Chart, ChartPoint, Guide, Scale, Series
from zoo.machine.formatting import tick

WIDTH, HEIGHT = 400, 290
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 26, 40
COLOURS = 8
LETTER = 6.0  # width of one at an axis, about
ROW = 13.0  # height of a line of text
CAP = 3.0  # half the width of an error bar's end


def _circle(x: float, y: float, r: float) -> str:
    return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"


def _square(x: float, y: float, r: float) -> str:
    return f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z"


def _diamond(x: float, y: float, r: float) -> str:
    return f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"


def _triangle(x: float, y: float, r: float) -> str:
    return f"M{x:.1f} {y - r:.1f}l{r} {1.8 * r:.1f}h{-2 * r}z"


def _fallen(x: float, y: float, r: float) -> str:
    return f"M{x:.1f} {y + r:.1f}l{r} {-1.8 * r:.1f}h{-2 * r}z"


def _cross(x: float, y: float, r: float) -> str:
    a = r / 2
    return (
        f"M{x - a:.1f} {y - r:.1f}h{2 * a}v{a}h{a}v{2 * a}h{-a}v{a}h{-2 * a}v{-a}h{-a}v{-2 * a}"
        f"h{a}z"
    )


SHAPES: tuple[tuple[Callable[[float, float, float], str], float], ...] = (
    (_circle, 4.6),
    (_square, 4.2),
    (_diamond, 5.8),
    (_triangle, 5.4),
    (_fallen, 5.4),
    (_cross, 5.2),
)
"""With half its size, so that all look equally large. Six beside eight colours: 24 looks."""


def colour_class(look: int) -> str:
    """The class of a look's colour in style.css."""
    return f"c{look % COLOURS}"


def mark(look: int, x: float, y: float) -> str:
    """The path of a look's shape about a place."""
    shape, radius = SHAPES[look % len(SHAPES)]
    return shape(x, y, radius)


def legend(names: Sequence[str], looks: Mapping[str, int]) -> str:
    """A list of deployments with their looks."""
    items = "".join(
        f'<li><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">'
        f'<path class="mark {colour_class(looks[name])}" d="{mark(looks[name], 7, 7)}"/></svg>'
        f"{escape(name)}</li>"
        for name in sorted(names, key=looks.__getitem__)
    )
    return f'<ul class="legend">{items}</ul>'


def draw(chart: Chart, looks: Mapping[str, int]) -> str:
    """An `svg` element.

    Args:
        looks: of each deployment a number.
    """
    x = Scale.fit(chart.xs(), chart.x, LEFT, WIDTH - RIGHT)
    y = Scale.fit(chart.ys(), chart.y, HEIGHT - BOTTOM, TOP)
    first = chart.points()[0]
    lines, labels = _guides(chart.guides, x, y)
    parts = [
        _axes(chart, x, y),
        *lines,
        *(_series(each, looks[each.name], x, y, first) for each in chart.series),
        *labels,  # above all, so that no line is drawn through them
    ]
    label = escape(f"{chart.title}: {chart.y.title} over {chart.x.title}")
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _axes(chart: Chart, x: Scale, y: Scale) -> str:
    parts = []
    taken = -1e9
    for value in _ticks(chart.x, x):
        place, text = x(value), tick(value)
        half = LETTER * len(text) / 2
        if place - half < taken:
            continue
        taken = place + half + LETTER
        parts.append(f'<path class="grid" d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(_text(place, HEIGHT - BOTTOM + 15, text, "middle"))
    for value in _ticks(chart.y, y):
        place = y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, place + 4, tick(value), "end"))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 8, chart.x.title, "end", "title"))
    parts.append(_text(4, 13, chart.y.title, "start", "title"))
    return "".join(parts)


def _ticks(axis: Axis, scale: Scale) -> list[float]:
    return list(axis.marks) or scale.ticks()


def _guides(guides: Sequence[Guide], x: Scale, y: Scale) -> tuple[list[str], list[str]]:
    """Return the lines, and their labels."""
    parts: list[str] = []
    labels: list[str] = []
    heights: list[float] = []
    for guide in sorted(guides, key=lambda each: -max(y for _, y in each.line)):
        rows = escape(" ".join(guide.rows))
        parts.append(f'<path class="guide" data-rows="{rows}" d="{_path(guide.line, x, y)}"/>')
        if guide.label:
            level = guide.line[0][1] == guide.line[-1][1]
            place = y(guide.line[-1][1]) - 4 if level else y(guide.line[0][1]) - 10
            while any(abs(place - other) < ROW for other in heights):
                place += 1
            heights.append(place)
            where = (WIDTH - RIGHT - 2, "end") if level else (LEFT + 6, "start")
            labels.append(_text(where[0], place, guide.label, where[1], "note"))
    return parts, labels


def _series(series: Series, look: int, x: Scale, y: Scale, first: ChartPoint) -> str:
    parts = []
    if series.line:
        dashed = " dashed" if series.is_dashed else ""
        rows = escape(" ".join(dict.fromkeys(point.row for point in series.points)))
        parts.append(
            f'<path class="line{dashed}" data-rows="{rows}" d="{_path(series.line, x, y)}"/>'
        )
    parts += [_point(point, look, x, y, point is first) for point in series.points]
    return f'<g class="series {colour_class(look)}">{"".join(parts)}</g>'


def _point(point: ChartPoint, look: int, x: Scale, y: Scale, is_first: bool) -> str:
    across, up = x(point.x), y(point.y)
    bars = ""
    if point.x_ends:
        low, high = map(x, point.x_ends)
        bars += f"M{low:.1f} {up:.1f}H{high:.1f}"
        caps = [x(end) for end in point.x_ends if x.low <= end <= x.high]
        bars += "".join(f"M{end:.1f} {up - CAP:.1f}v{2 * CAP}" for end in caps)
    if point.y_ends:
        low, high = map(y, point.y_ends)
        bars += f"M{across:.1f} {low:.1f}V{high:.1f}"
        caps = [y(end) for end in point.y_ends if y.low <= end <= y.high]
        bars += "".join(f"M{across - CAP:.1f} {end:.1f}h{2 * CAP}" for end in caps)
    drawn = f'<path class="bar" d="{bars}"/>' if bars else ""
    hollow = " hollow" if point.is_hollow else ""
    says = escape("\n".join(point.says))
    return (
        f'<g class="point" role="button" tabindex="{0 if is_first else -1}" data-row="{point.row}" '
        f'data-x="{across:.1f}" data-y="{up:.1f}" aria-label="{says}"><title>{says}</title>{drawn}'
        f'<path class="mark{hollow}" d="{mark(look, across, up)}"/></g>'
    )


def _path(line: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
