"""What is printed of a load: a line a step, and a table at the end."""

from collections.abc import Mapping, Sequence

from bench.load.args import LoadArgs
from bench.load.measured import ArmLoad, over_rounds, times_as_many
from bench.load.step import LEAST, Step
from tasks.errors import spelled
from zoo.machine import formatting, terminal
from zoo.machine.formatting import NOTHING, significant
from zoo.measure.intervals import Estimate

GAP = 0.5
"""Cores busy with others from which on a step says so."""


def heading(args: LoadArgs, inputs: int) -> str:
    """Return the line above a load: what is done."""
    how = "the highest rate is looked for"
    if args.clients is not None:
        how = f"closed loop of {args.clients} client{'s' * (args.clients != 1)}"
    elif args.rate:
        how = f"open loop of {', '.join(f'{rate:g}' for rate in args.rate)} requests/s"
    return (
        f"{how}; p99 within {args.p99_ms:g} ms, counted from the intended start; {inputs:,} inputs"
        f"; {args.rounds} round{'s' * (args.rounds != 1)}, one service alive at a time, the others "
        "stopped"
    )


def step(step: Step) -> str:
    """Return the line of a step."""
    load = f"{step.clients} clients" if step.rate is None else f"{significant(step.rate, 3)}/s"
    parts = [f"{load}: {significant(step.answered_per_s, 3)}/s answered"]
    if step.latency:
        parts.append(f"p50 {ms(step.latency['p50'])}, p99 {ms(step.latency['p99'])}")
    others = [
        f"{count:,} x {name}" for name, count in step.statuses.items() if count and name != "200"
    ]
    parts += others
    if step.foreign is not None and step.foreign > GAP:
        parts.append(f"{step.foreign:.1f} cores busy with others")
    if step.rate is not None:
        word = "kept" if step.is_kept else "broken"
        parts.append(f"{word}, ended early" if step.is_cut else word)
    return "  " + "; ".join(parts)


def ms(seconds: float | None) -> str:
    """Return a latency as "12.3 ms"."""
    return NOTHING if seconds is None else f"{significant(1e3 * seconds, 3)} ms"


def table(args: LoadArgs, found: Sequence[ArmLoad]) -> None:
    """Print the table of a load."""
    if args.clients is not None or args.rate:
        _of_steps(found)
    else:
        _of_knees(args, found)
    for one in found:
        if one.fault:
            terminal.lines(spelled(f"{one.arm.name}: {one.fault}"))
    _client(found)


def _of_knees(args: LoadArgs, found: Sequence[ArmLoad]) -> None:
    rows = []
    for one in found:
        if not one.rounds:
            continue
        capacity, tops = one.capacity(), list(one.tops().values())
        times = None if one is found[0] else times_as_many(found[0], one)
        ratio = "1" if one is found[0] else NOTHING if times is None else estimate(times)
        held = estimate(capacity) if one.is_wrong or capacity else _none_kept(one)
        rows.append((one.arm.name, held, ratio, *_costs(one, tops)))
    terminal.table(
        (
            "service",
            f"requests/s at a p99 of {args.p99_ms:g} ms",
            "times as many",
            *COSTS,
        ),
        rows,
        title="in brackets: 95%, Student's t over rounds",
        after_gap=True,
    )
    for one in found:
        _tell_of_searches(args, one)
    tops = [step for one in found for step in one.tops().values()]
    _tell_of_few(min((step.requests for step in tops), default=LEAST))


def _tell_of_searches(args: LoadArgs, one: ArmLoad) -> None:
    """Say what the number of a service is not made of, and where it may be too low."""
    rounds, kept = len(one.searches()), len(one.tops())
    of = f"of {rounds} search{'es' * (rounds != 1)}"
    if short := one.too_short():
        terminal.lines(
            f"{one.arm.name}: {short} {of} ended before the highest rate was known within "
            f"{100 * args.resolution:g}%: it may be higher"
        )
    if none := one.without_rate():
        terminal.lines(f"{one.arm.name}: {none} {of} kept no rate, so there is no mean")
    if kept and (lost := rounds - kept - none):
        terminal.lines(
            f"{one.arm.name}: {lost} {of} ended before a rate was kept, and does not count"
        )


def _tell_of_few(fewest: int) -> None:
    if fewest < LEAST:
        terminal.lines(
            spelled(
                f"a step had {fewest:,} requests: a p99 wants {LEAST} or more, so give more "
                "`seconds`, or `minutes` where they are set"
            )
        )


def _none_kept(one: ArmLoad) -> str:
    """Return what stands where there is no mean of rates that were kept."""
    if one.tops():
        return NOTHING
    lowest = min((step.rate for step in one.steps() if step.rate), default=None)
    return NOTHING if lowest is None else f"none kept, not even {significant(lowest, 3)}"


COSTS = ("p50", "p99", "rounds", "CPU a request", "memory at start, end, peak", "energy a request")


def _costs(one: ArmLoad, steps: Sequence[Step]) -> tuple[str, ...]:
    return (
        ms(mean([step.latency.get("p50") for step in steps])),
        ms(mean([step.p99_of_all for step in steps])),
        str(len(steps)),
        ms(mean([step.service_cpu for step in steps])),
        memory(one),
        _energy(mean([step.joules for step in steps])),
    )


def _of_steps(found: Sequence[ArmLoad]) -> None:
    rows = []
    for one in found:
        loads = dict.fromkeys(step.rate for step in one.steps())
        for rate in loads:
            steps = one.at(rate)
            kept = sum(step.is_kept for step in steps)
            clients = steps[0].clients
            rows.append(
                (
                    one.arm.name,
                    f"{clients} clients" if rate is None else f"{rate:g}/s",
                    estimate(over_rounds([step.answered_per_s for step in steps], len(steps))),
                    _of(steps, "p50"),
                    _of(steps, "p99"),
                    f"{kept} of {len(steps)}",
                    _statuses(steps),
                    ms(mean([step.service_cpu for step in steps])),
                    memory(one),
                )
            )
    header = (
        *("service", "load", "answered/s", "p50", "p99 of those answered", "rounds kept"),
        *("answers", "CPU a request", "memory at start, end, peak"),
    )
    title = "in brackets: 95%, Student's t over rounds"
    terminal.table(header, rows, title=title, after_gap=True)
    _tell_of_few(min(step.requests for one in found for step in one.steps()))


def _of(steps: Sequence[Step], name: str) -> str:
    values = [step.latency[name] for step in steps if name in step.latency]
    found = over_rounds(values, len(values))
    if found is None:
        return NOTHING
    if len(values) == 1:
        return ms(found.value)
    return formatting.seconds(found)


def _statuses(steps: Sequence[Step]) -> str:
    total: dict[str, int] = {}
    for step in steps:
        for name, count in step.statuses.items():
            total[name] = total.get(name, 0) + count
    return ", ".join(f"{count:,} x {name}" for name, count in total.items() if count)


def estimate(found: Estimate | None) -> str:
    """Return a number with its interval: "134 [120, 149]"; a single round has none."""
    if found is None:
        return NOTHING
    value, interval = significant(found.value, 3), found.interval
    if interval.low == interval.high:
        return value
    return f"{value} [{significant(interval.low, 3)}, {significant(interval.high, 3)}]"


def memory(one: ArmLoad) -> str:
    """Return the PSS of a service's processes when it was ready, at the end, and at most."""
    seen = [each.memory for each in one.rounds if each.memory.first]
    if not seen:
        return NOTHING
    sizes: Mapping[str, list[int]] = {
        name: [getattr(each, name) or 0 for each in seen] for name in ("first", "last", "peak")
    }
    return ", ".join(formatting.size(max(each), "MB", 0) for each in sizes.values())


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the numbers that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _energy(joules: float | None) -> str:
    return NOTHING if joules is None else f"{significant(joules, 3)} J"


def _client(found: Sequence[ArmLoad]) -> None:
    """Print what the client took: it shares the cores with services that run here."""
    steps = [step for one in found for step in one.steps() if step.is_kept or step.rate is None]
    cpu, cores = (
        mean([step.client_cpu for step in steps]),
        mean([step.client_cores for step in steps]),
    )
    if cpu is None or cores is None:
        return
    late = max(step.sent_late for step in steps)
    terminal.lines(
        f"the client took {significant(1e3 * cpu, 2)} ms of a core a request, "
        f"{significant(cores, 2)} cores; 99% of requests were sent within {ms(late)} of their time"
    )
