"""A picture of the Pareto front: latency against what is lost of the metric, by size."""

from collections.abc import Sequence
from pathlib import Path

from bench.decide.pareto import Limits, OptionCost
from tasks.errors import UserError
from zoo.machine import places
from zoo.machine.plots import new_figure, save

AREA_OF_MB = 4.0  # square points of a marker, per 10^6 bytes on disk
LEAST_AREA = 30.0
FORMATS = (".pdf", ".png", ".svg")
FRONT, BEATEN, LIMIT = "#1f5fa8", "#9aa4af", "#c4432b"


def check(path: Path) -> None:
    """Raises `UserError` where no picture can be written, before all is measured that it shows."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--picture {path}: the name has to end in one of {', '.join(FORMATS)}")
    places.check_file("--picture", path)


def draw(
    path: Path,
    points: Sequence[OptionCost],
    front: Sequence[OptionCost],
    best: OptionCost | None,
    limits: Limits,
    title: str,
) -> None:
    """Writes it, in the format of the file's ending.

    Raises `UserError` where nothing can be written there, and OSError where the disk is full.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = new_figure(7.0, 4.2)
    axes = figure.add_subplot()
    for number, point in enumerate(sorted(points, key=lambda one: one.seconds.value)):
        on_front = point in front
        middle, interval = 1e3 * point.seconds.value, point.seconds.interval
        axes.errorbar(
            middle,
            point.drop,
            xerr=[[middle - 1e3 * interval.low], [1e3 * interval.high - middle]],
            color=FRONT if on_front else BEATEN,
            linewidth=1.2,
            capsize=3,
            zorder=1,
        )
        axes.scatter(
            middle,
            point.drop,
            s=max(LEAST_AREA, AREA_OF_MB * point.size / 1e6),
            color=FRONT if on_front else BEATEN,
            edgecolor="black" if point == best else "white",
            linewidth=1.6 if point == best else 0.6,
            zorder=2,
        )
        label = f"{point.name} (winner)" if point == best else point.name
        above = (8, 10) if number % 2 == 0 else (8, -18)  # neighbours on either side
        axes.annotate(
            label, (middle, point.drop), above, textcoords="offset points", fontsize=8, zorder=3
        )
    if limits.max_drop is not None:
        axes.axhline(limits.max_drop, color=LIMIT, linestyle="--", linewidth=1)
    if limits.p95_s is not None:
        axes.axvline(1e3 * limits.p95_s, color=LIMIT, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.15)
    axes.set_xlabel("milliseconds a call, median with 99% interval")
    axes.set_ylabel("lost of the metric")
    key = "blue lies on the front, area is size on disk"
    if limits.max_drop is not None or limits.p95_s is not None:
        key += ", dashes are the limits"
    axes.set_title(f"{title}\n{key}", fontsize=9, loc="left", parse_math=False)
    save(figure, path, "--picture", dpi=150)
