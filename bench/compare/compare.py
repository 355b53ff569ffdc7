"""The verb compare: models or deployments side by side, interleaved in one run, with verdicts.

The first one is the baseline. What is wrong gets no time: correct or no number.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import child
from bench.cases.args import CompareArgs
from bench.cases.case import Case, threads_of
from bench.cases.child import Start
from bench.cases.job import Settings
from bench.cases.prepare import Preparation
from bench.measures import latency, parity
from bench.sweep import suite
from tasks.atomic import write_json
from tasks.errors import UserError
from zoo.machine import formatting, terminal
from zoo.measure import (
    Arm,
    ArmFailed,
    ArmTimes,
    Comparison,
    MeasurementInterrupted,
    Outcome,
    Plan,
)
from zoo.measure import compare as compare_arms
from zoo.measure.deadline import Deadline
from zoo.measure.process import Worker, WorkerFailed
from zoo.store import append_only, evidence


@dataclass(frozen=True)
class Live:
    """The outcome of a comparison that was measured now."""

    cases: tuple[Case, ...]
    refused: dict[Case, ArmFailed]
    """those that were not timed, and why"""
    outcome: Outcome

    def of(self, case: Case) -> Comparison | ArmFailed:
        """A candidate against the baseline."""
        return self.refused.get(case) or self.outcome.of(str(case))

    def times(self, case: Case) -> ArmTimes | ArmFailed:
        """Return the times of a case, or why it has none."""
        return self.refused.get(case) or self.outcome.times(str(case))


def compare(args: CompareArgs) -> list[tuple[str, Comparison]]:
    """Compares, prints the table, and keeps the raw samples where --out says; gives the candidates.

    Raises `UserError` for cases that make no sense, and for a baseline that can't be timed, and
    KeyboardInterrupt on Ctrl-C, once the table of the times until then was shown.
    """
    cases = cases_of(args)
    deadline = Deadline(args.minutes)
    settings = Settings(deadline=deadline)
    with (
        tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder,
        child.preloader(deadline.left) as preloader,
    ):
        start = deadline.bound(preloader)
        preparation = Preparation(Path(folder), settings.timeout_s, start)
        arms, refused = correct(cases, preparation, settings, start)
        if cases[0] in refused:
            late = "" if deadline.left() else f"--minutes {args.minutes:g} is too short: "
            raise UserError(f"{late}the baseline can't be timed: {refused[cases[0]].reason}")
        if len(arms) < 2:
            reasons = "; ".join(f"{each.arm}: {each.reason}" for each in refused.values())
            raise UserError(f"nothing is left to compare with the baseline: {reasons}")
        plan = plan_of(args, deadline)
        few = "what those take" if plan.deadline_s is None else "fewer of them"
        terminal.lines(
            f"timing {len(arms)} arms and the baseline again, in at least {plan.launches} "
            f"processes each, for about {plan.budget_s:.0f} s or {few} ..."
        )

        def tell(launches: int) -> None:
            terminal.lines(f"  {launches} of at least {plan.launches} ({deadline.countdown()})")

        launch = start if args.launcher == "preloaded" else deadline.bound(Worker)
        stopped = False
        try:
            outcome = compare_arms(arms, plan, margin=args.margin, start=launch, tell=tell)
        except MeasurementInterrupted as stop:
            outcome, stopped = stop.outcome, True
    if stopped and not outcome.compared:
        raise KeyboardInterrupt
    if not outcome.compared and not deadline.left():
        raise UserError(
            f"--minutes {args.minutes:g} is too short for one launch of {len(arms)} arms and the "
            f"baseline again: {deadline.spent():.0f} s were spent"
        )
    found = Live(tuple(cases), refused, outcome)
    show(found)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        keep(found, args.out)
        terminal.lines(f"raw samples: {args.out}")
    if stopped:
        terminal.lines("stopped: these are the times until then")
        raise KeyboardInterrupt
    return [(each.candidate, each) for each in outcome.compared]


def plan_of(args: CompareArgs, deadline: Deadline) -> Plan:
    """How long to time. Raises `UserError` where the time for everything is spent already."""
    if not deadline.is_set:
        return Plan(launches=args.launches)
    left = deadline.left()
    if not left:
        raise UserError(
            f"--minutes {args.minutes:g}: it took {deadline.spent():.0f} s to see that the outputs "
            "are right, and nothing was timed yet: give more"
        )
    return Plan(launches=args.launches, budget_s=left, deadline_s=left)


def cases_of(args: CompareArgs) -> list[Case]:
    """Every model with every deployment, the baseline first."""
    threads = threads_of(args.threads)
    cases = list(
        suite.cross(
            [suite.model_named(model) for model in args.models],
            args.deployments,
            [args.batch_size],
            [args.length],
            [suite.device_named(args.device)],
            [threads],
            [args.phase],
            [args.new_tokens] if args.new_tokens else [],
        )
    )
    cases = list(dict.fromkeys(cases))
    if len(cases) < 2:
        raise UserError(
            "a comparison needs two: more --deployments (the first is the baseline), or a second "
            "model"
        )
    return cases


def correct(
    cases: Sequence[Case], preparation: Preparation, settings: Settings, start: Start = Worker
) -> tuple[list[Arm], dict[Case, ArmFailed]]:
    """The arms of the cases whose outputs agree with eager fp32, and why the others are none."""
    arms, refused = [], {}
    for case in cases:
        terminal.lines(f"{case} ...")
        try:
            job = preparation.of(case).job(case, settings, start=start)
            found = parity.measure(job)
        except WorkerFailed as error:
            refused[case] = error.failed
            continue
        if found.status == "ok":
            arms.append(job.arm)
        else:
            refused[case] = ArmFailed(str(case), "error", f"WRONG: {found.reason}")
    return arms, refused


def show(live: Live) -> None:
    """The table, and below it the noise floor and what is to be known of the numbers."""
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for case in live.cases:
        times = live.times(case)
        if isinstance(times, ArmFailed):
            rows.append((str(case), "-", "-", "-", times.status, times.reason))
            continue
        p95 = formatting.seconds(times.percentiles.get("p95"), bare=True)
        rows.append((str(case), formatting.seconds(times.median), p95, *verdict_cells(live, case)))
        notes += [f"{case}: {said}" for said in (*latency.notes(times), *times.violations)]
    terminal.table(("case", "a call [99%]", "p95", "times as fast", "verdict", ""), rows)
    floor = live.outcome.floor
    if floor is not None and floor.launches > 1:
        terminal.lines(
            f"noise floor: the baseline in a second process; a difference of "
            f"{floor.found(floor.launches):.1%} is found in 95 of 100 such comparisons"
        )
    if notes:
        terminal.lines(*dict.fromkeys(notes))


def verdict_cells(live: Live, case: Case) -> tuple[str, str, str]:
    """Ratio, verdict, and why or what would tell."""
    if case == live.cases[0]:
        return "1", "baseline", ""
    one = live.of(case)
    if isinstance(one, ArmFailed):
        return "-", one.status, one.reason
    verdict = one.verdict
    more = ""
    if verdict.word == "can't tell":
        told = verdict.more_seconds
        if told is not None:
            more = f"; --minutes {(live.outcome.recording.seconds + told) / 60:.2g} would tell"
    return formatting.ratio(one.speedup), verdict.word, verdict.why + more


def keep(live: Live, path: Path) -> None:
    """Writes everything, the raw samples included, as JSON. Raises OSError where it can't."""
    cases = [case.to_json() for case in live.cases]
    refused = {str(case): each.as_json() for case, each in live.refused.items()}
    write_json(path, described(live.outcome, {"cases": cases, "refused": refused}))


def keep_json(path: Path, outcome: Outcome, more: Mapping[str, Any]) -> None:
    """Adds an outcome as a line of JSON, without the raw samples."""
    content = described(outcome, more)
    del content["recording"]
    append_only.append(path, json.dumps(content, allow_nan=False) + "\n")


def described(outcome: Outcome, more: Mapping[str, Any]) -> dict[str, Any]:
    """An outcome as plain data, with where and how it was found."""
    return {
        **more,
        **outcome.as_json(),
        "recording": latency.raw(outcome.recording),
        **evidence.origin(),
    }
