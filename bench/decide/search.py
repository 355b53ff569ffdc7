"""The verb decide: the best deployment of a checkpoint on this machine, under what is asked for.

Every deployment is made and proven, and its metric measured on the validation split; those that are
left are timed by successive halving, the finalists compared with eager fp32, interleaved, and their
memory taken. The winner is confirmed once on the test split. Where all others fall out, eager fp32
is timed by itself, and wins if it keeps to the limits.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.cases import child
from bench.cases.args import DecideArgs
from bench.cases.case import threads_of
from bench.decide import evidence, options, picture, services, table, token_times
from bench.decide.pareto import Limits, OptionCost, front, winner
from bench.decide.services import ServiceContract, ServiceSetting
from bench.decide.successive_halving import Halved, halve
from bench.decide.token_times import TokenTimes
from bench.measures import memory
from bench.record.results import Value
from bench.sweep import suite
from tasks.errors import UserError, spelled
from zoo.deploy import export, golden
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder
from zoo.deploy.chosen import confirm, say_what_rows_show, stop_after
from zoo.deploy.export import ContractNotMet, ExportSource
from zoo.machine import terminal
from zoo.machine.precision import choose_device
from zoo.measure import Arm, MeasurementInterrupted, Outcome, Plan, compare, measure
from zoo.measure.deadline import Deadline, OutOfTime
from zoo.measure.process import Worker, WorkerFailed
from zoo.measure.workload import Generate, Workload
from zoo.quantization import calibration
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store.checkpoint import MANIFEST
from zoo.store.evidence import subject_digest

MAKING, HALVING = 0.45, 0.15
"""Shares of the time: until the first is spent options are made, the second goes to the rounds of
halving, and what is left to the finalists and to confirming the winner."""
LEAST_S = 5.0
"""Seconds that the times of two options take at the least."""
WARM_S = 2.0
"""Seconds for which a process is warmed up and timed in a launch, at the least."""
ALONE = "no other deployment is left: eager fp32 is timed by itself, and wins for want of others"
"""Said where all others fell out; `zoo.ship` shows the line."""


def decide(args: DecideArgs) -> OptionCost:
    """Search, print the table, and add what was measured to the evidence; return the winner.

    Ctrl-C ends the search: the table is that of what was found so far, and the best of it is
    confirmed as it would have been at the end. While services are loaded it ends all: what was
    tried of them is shown, and nothing is confirmed.

    Raises:
        UserError: a damaged checkpoint, data that can't be read, limits that make no sense, or less
            time than the least there is takes.
        ContractNotMet: none meets what was asked for, or the winner fails on the test split.
        KeyboardInterrupt: after Ctrl-C, once the best so far was shown.
    """
    deadline = Deadline(args.minutes)
    contract = services.contract_of(args.rate, args.p99_ms, args.data)
    limits, threads = limits_of(args), threads_of(args.threads)
    if not (args.checkpoint / MANIFEST).is_file():
        raise UserError(f"{args.checkpoint} holds no {MANIFEST}, so it is no checkpoint of ours")
    if args.picture is not None:
        picture.check(args.picture)
    device = _device(args.device)
    wanted = options.asked(args.deployments, device)
    terminal.quiet_libraries()
    original = _program(args.checkpoint)
    validation = original.samples("validation", args.data, args.max_eval_samples)
    say_what_rows_show(original.task.primary, len(validation.features), args.max_drop)
    workload = calibration.workload(original, validation, args.batch_size, args.length)
    _must_write(args, workload, original.checkpoint.entry.name)
    title = f"{args.checkpoint}: {original.task.primary.name} lost on validation; {workload}"
    with artifacts.workshop(args.checkpoint) as staging:
        inputs = staging / "inputs.npz"
        np.savez(inputs, **calibration.draw(original, workload))  # type: ignore[arg-type]
        where = (original, staging, validation, threads, device)
        builder = DeploymentBuilder(*where, workload=workload)
        make = options.maker(builder, args.data, args.max_drop)
        search = Search(builder, deadline, inputs, threads)
        if contract is not None:
            search.kept_back = services.SHARE * deadline.seconds
        try:
            search.make_all(make, wanted, args.max_drop)
            search.time_all()
        except KeyboardInterrupt:
            search.stopped = True
        best = winner(search.points, limits)
        found = (search.found, search.halved, search.points)
        table.show(*found, limits, best, title, search.looks)
        search.keep(workload, threads)
        if args.picture is not None and search.points:
            points = search.points
            picture.draw(args.picture, points, front(points), best, limits, str(args.checkpoint))
            terminal.lines(f"picture: {args.picture}")
        with stop_after(search.stopped, best.name if best else None, search.first_look()):
            if best is None:
                raise ContractNotMet(search.why_none())
            if contract is not None and not search.stopped:
                best = search.serve(contract, limits, args.checkpoint)
            _settle(args, search, search.named(best.name), workload, threads)
    return best


@dataclass
class Search:
    """What is looked for, and what was found so far: a search that is stopped shows that."""

    builder: DeploymentBuilder
    deadline: Deadline
    inputs: Path
    threads: int
    found: list[Candidate] = field(default_factory=list)
    halved: Halved = field(default_factory=Halved)
    points: list[OptionCost] = field(default_factory=list)
    stopped: bool = False
    reserve: float = 0.0
    """seconds that confirming the winner may take: twice what the baseline took to be made, as both
    are evaluated then"""
    tokens: dict[str, TokenTimes] = field(default_factory=dict)
    """how soon each finalist writes, by name"""
    looks: dict[str, float] = field(default_factory=dict)
    """seconds of a call in the rounds of halving, by name"""
    kept_back: float = 0.0
    """seconds that finalists get as services, behind all else but the confirmation"""
    service: ServiceSetting | None = None
    """the one that serves best, where that was asked for"""

    def named(self, name: str) -> Candidate:
        """Return the candidate of that name."""
        return next(each for each in self.found if each.name == name)

    def make_all(
        self,
        make: Callable[[Deployment], Candidate],
        wanted: Sequence[Deployment],
        max_drop: float,
    ) -> None:
        """Make them one by one, until the time for it is over; what is not made by then says so.

        Raises `UserError` if the time is too short to go on after the first one, the baseline.
        """
        late = f"not made within {MAKING:.0%} of {self.deadline}"
        for deployment in wanted:
            began = self.deadline.spent()
            made = Candidate(deployment, fault=late, late=True)
            if not self.found:
                terminal.lines(f"{deployment} ... ({self.deadline.countdown()})")
                made = make(deployment)
                self.reserve = 2 * (self.deadline.spent() - began) + self.kept_back
                self._must_be_enough()
            elif began < MAKING * self.deadline.seconds:
                terminal.lines(f"{deployment} ... ({self.deadline.countdown()})")
                with contextlib.suppress(OutOfTime), self.deadline.cut(MAKING):
                    made = make(deployment)
            if not made.fault and made.drop is not None and made.drop.value > max_drop:
                made.fault = f"loses {made.drop}"
            self.found.append(made)

    def _must_be_enough(self) -> None:
        took = self.deadline.spent()
        least = took + 1.5 * self.reserve + LEAST_S  # one other is made, and the winner confirmed
        if least > self.deadline.seconds:
            raise UserError(
                f"`minutes` {self.deadline.seconds / 60:.2g} is too short: eager fp32 took "
                f"{took:.0f} s to open, to prove and to evaluate, and with one other deployment, "
                f"their times and the confirmation it takes {Deadline.enough(least)} minutes at "
                "least: give more, or fewer `max_eval_samples`"
            )

    def time_all(self) -> None:
        """Time those that are sound: first a little, by halving, then the finalists, or the
        baseline by itself where it is the only one.

        Raises KeyboardInterrupt on Ctrl-C, once what was measured until then is taken.
        """
        sound = {each.name: each for each in self.found if not each.fault}
        if BASELINE not in sound:
            raise UserError(f"eager fp32, which all are compared with: {self.found[0].fault}")
        arms = {
            name: self.builder.arm(one, self.inputs, self.threads) for name, one in sound.items()
        }
        drops = {each.name: each.drop.value for each in sound.values() if each.drop}
        terminal.lines(f"timing {len(arms)} deployments ... ({self.deadline.countdown()})")
        self.halved = _halved(list(arms.values()), drops, self.deadline, self.looks)
        finalists = [BASELINE, *(name for name in self.halved.left if name != BASELINE)]
        if len(finalists) < 2:
            if not self._lacked_time():
                self._time_alone(arms[BASELINE])
            return
        finalists, sizes = self._sizes(finalists, arms)
        self._time_tokens([arms[name] for name in finalists])
        plan = plan_of(self.deadline, self.reserve)
        terminal.lines(f"comparing {', '.join(finalists)} ... ({self.deadline.countdown()})")

        def tell(launches: int) -> None:
            terminal.lines(
                f"  {launches} of at least {plan.launches} ({self.deadline.countdown()})"
            )

        started = self.deadline.bound(Worker)
        compared = [arms[name] for name in finalists]
        try:
            self._take(compare(compared, plan, start=started, tell=tell), sizes)
        except MeasurementInterrupted as stop:
            self._take(stop.outcome, sizes)
            raise

    def _time_alone(self, arm: Arm) -> None:
        terminal.lines(f"{ALONE} ({self.deadline.countdown()})")
        _, sizes = self._sizes([arm.name], {arm.name: arm})
        self._time_tokens([arm])
        left = self.deadline.left() - self.reserve
        seconds = max(0.0, min(HALVING * self.deadline.seconds, left))
        plan = Plan(budget_s=seconds, deadline_s=seconds)
        try:
            self._take(measure([arm], plan, start=self.deadline.bound(Worker)), sizes)
        except MeasurementInterrupted as stop:
            self._take(stop.outcome, sizes)
            raise

    @property
    def _is_writing(self) -> bool:
        return isinstance(self.builder.workload, Generate)

    def _lacked_time(self) -> bool:
        return any(each.late for each in self.found) or self.deadline.left() <= self.reserve

    def _sizes(
        self, finalists: Sequence[str], arms: Mapping[str, Arm]
    ) -> tuple[list[str], dict[str, Mapping[str, Value]]]:
        """Return the finalists for which there is time, at least two, and the memory of each.

        What the first takes to load tells how many there may be: each is loaded once for its
        memory and in two launches to be timed, where it writes in one more for its tokens, and the
        baseline in two more, for the noise floor.
        """
        sizes: dict[str, Mapping[str, Value]] = {}
        room = len(finalists)
        for name in finalists:
            if len(sizes) >= room:
                self.named(name).fault = f"not compared within {self.deadline}"
                continue
            began = self.deadline.spent()
            try:
                found = memory.of(arms[name], max(1.0, self.deadline.left() / 4)).values
            except WorkerFailed as error:  # it may be timed, though
                terminal.lines(f"the memory of {name} is not known: {error.failed.reason}")
                found = {}
            size = memory.size_on_disk(arms[name].kwargs)
            sizes[name] = {"size_on_disk": Value(size or 0, "bytes"), **found}
            if len(sizes) == 1:
                took = self.deadline.spent() - began
                times = 3 if self._is_writing else 2
                timed = times * (took + WARM_S)
                left = self.deadline.left() - self.reserve - timed
                room = max(2, int((left + took) / (took + timed)))
        return list(sizes), sizes

    def _time_tokens(self, arms: Sequence[Arm]) -> None:
        """Time how soon each finalist writes, one after the other, where they write."""
        if not self._is_writing:
            return
        left = max(0.0, self.deadline.left() - self.reserve)
        terminal.lines(f"timing tokens ... ({self.deadline.countdown()})")
        for arm in arms:
            seconds = token_times.SHARE * left / len(arms)
            try:
                timeout = max(1.0, self.deadline.left() / 4)
                self.tokens[arm.name] = token_times.measure(arm, seconds, timeout)
            except WorkerFailed as error:  # the times of its calls may be known, though
                terminal.lines(f"the tokens of {arm.name} are not timed: {error.failed.reason}")

    def _take(self, outcome: Outcome, sizes: Mapping[str, Mapping[str, Value]]) -> None:
        for name in sizes:
            self.named(name).take_times(outcome)
        timed = [self.named(each.arm) for each in outcome.measured]
        self.points = [
            dataclasses.replace(
                _point(one, sizes[one.name], self.builder.device), tokens=self.tokens.get(one.name)
            )
            for one in timed
        ]

    def keep(self, workload: Workload, threads: int) -> None:
        """Add the times of those that were compared to the evidence."""
        timed = [self.named(point.name) for point in self.points]
        if timed:
            evidence.record(self.builder, timed, self.tokens, workload, threads)

    def serve(self, contract: ServiceContract, limits: Limits, checkpoint: Path) -> OptionCost:
        """Return the option that serves best, of those within the limits; print how it is started.

        Raises `ContractNotMet` where none keeps its p99 at the rate.
        """
        within = [point for point in self.points if not limits.broken_by(point)]
        within.sort(key=lambda point: point.seconds.value)
        finalists = [self.named(point.name) for point in within]
        ends = self.deadline.seconds - (self.reserve - self.kept_back)
        best = services.choose(contract, self.builder, finalists, self.deadline, ends)
        if best is None:
            raise ContractNotMet(
                f"no service keeps a p99 of {1e3 * contract.p99_s:g} ms at {contract.rate:g} "
                "requests/s: `bench load` says how many each holds"
            )
        self.service = best.setting
        terminal.lines(f"serves best: {best.setting.command(checkpoint)}")
        return next(point for point in within if point.name == best.setting.candidate.name)

    def why_none(self) -> str:
        """Return why there is no winner."""
        if self.points:
            return "none of them meets what was asked for"
        if self._lacked_time():
            return (
                f"{self.deadline} did not suffice to make and compare another deployment: give "
                "more `minutes`, or name fewer `deployments`"
            )
        return f"eager fp32 is all that is left, and it can't be timed: {self.found[0].fault}"

    def first_look(self) -> str:
        """Return in words the fastest in the rounds of halving, which nothing confirms; empty if
        there was none."""
        if self.points or not self.looks:
            return ""
        name = min(self.looks, key=lambda each: self.looks[each])
        return f"{name}, {1e3 * self.looks[name]:.2f} ms at a first look"


def _settle(
    args: DecideArgs,
    search: Search,
    chosen: Candidate,
    workload: Workload,
    threads: int,
) -> None:
    """Confirm the winner on the test split, name it, and leave its artifact where asked; what is
    served by default is then recorded, with golden inputs for its self-test."""
    builder, original = search.builder, search.builder.original
    module = original.checkpoint.entry.module
    command = options.command(chosen, module, args.checkpoint, builder.device)
    terminal.lines(f"winner: {chosen.name}", f"  {command}")
    runner, subject = builder.runner(chosen), subject_digest(args.checkpoint)
    if chosen.name != BASELINE:
        confirmed = confirm(original, runner, args.data, args.max_eval_samples, args.max_drop)
        if chosen.artifact is not None:
            if not args.export:
                terminal.lines(spelled("its program is not kept: `export` leaves it, for `serve`"))
                return
            assert chosen.proof and chosen.drop
            lost = [(builder.validation, chosen.drop), *([confirmed] if confirmed else [])]
            metric = original.task.primary
            found = (chosen.artifact, chosen.proof, args.checkpoint, metric, lost)
            chosen.artifact = export.commit_artifact(*found, device=builder.device)
            subject = chosen.artifact.digest
    golden.leave(original, runner, subject, args.data)
    if chosen.artifact is not None:
        terminal.lines(f"{chosen.artifact.folder}")
    limits: dict[str, float | None] = dataclasses.asdict(limits_of(args))
    if search.service is not None:
        limits |= {"rate": args.rate, "p99_s": args.p99_ms and args.p99_ms / 1e3}
    evidence.record_winner(builder, chosen, workload, threads, limits, search.service)


def _program(folder: Path) -> ExportSource:
    """Return a checkpoint to decide on. Raises `UserError` for one whose network is a table."""
    original = ExportSource.open(folder)
    if formats := original.network.file_formats:
        raise UserError(
            f"{folder} is of {original.checkpoint.entry.name}, a table and no program: there is no "
            "deployment to decide on",
            hint=f"export it to {' or '.join(formats)}",
        )
    return original


def _must_write(args: DecideArgs, workload: Workload, model: str) -> None:
    """Raise `UserError` where tokens are limited of a model that writes no text."""
    given = [name for name in ("ttft_ms", "tpot_ms") if getattr(args, name) is not None]
    if given and not isinstance(workload, Generate):
        raise UserError(f"`{given[0]}` is of models that write texts, and not of {model}")


def _device(name: str) -> str:
    """Return the device that is asked for. Raises `UserError` where it is not there, or is none
    that deployments are decided on."""
    if suite.device_named(name).partition(":")[0] not in options.USUAL:
        raise UserError(f"--device {name}: decide knows {' and '.join(options.USUAL)}")
    return str(choose_device(name))


def limits_of(args: DecideArgs) -> Limits:
    """Return the limits that were asked for, in seconds and bytes."""
    return Limits(
        None if args.p95_ms is None else args.p95_ms / 1e3,
        args.max_drop,
        None if args.memory_mb is None else args.memory_mb * 1e6,
        None if args.ttft_ms is None else args.ttft_ms / 1e3,
        None if args.tpot_ms is None else args.tpot_ms / 1e3,
    )


def _halved(
    arms: Sequence[Arm], drops: Mapping[str, float], deadline: Deadline, looks: dict[str, float]
) -> Halved:
    """Return the finalists. Their times are a first look: forks give it, as no verdict rests on
    it."""
    with child.preloader(deadline.left) as preloader:
        start = deadline.bound(preloader)

        def tell(text: str) -> None:
            terminal.lines(f"  {text} ({deadline.countdown()})")

        return halve(arms, drops, HALVING * deadline.seconds, start, looks, tell)


def plan_of(deadline: Deadline, reserve: float) -> Plan:
    """Return how long to compare the finalists: for the time left, without the `reserve` in
    seconds, which confirming the winner takes."""
    left = max(0.0, deadline.left() - reserve)
    return Plan(budget_s=left, deadline_s=left)


def _point(candidate: Candidate, found: Mapping[str, Value], device: str) -> OptionCost:
    """Return what a candidate costs; `found` is its memory, of which that of the device counts."""
    assert candidate.drop is not None and candidate.times is not None
    peak = found.get("peak" if device == "cpu" else "gpu_allocated")
    candidate.memory = None if peak is None else peak.value
    p95 = candidate.times.percentiles.get("p95")
    return OptionCost(
        candidate.name,
        candidate.drop.value,
        candidate.times.median,
        None if p95 is None else p95.value,
        candidate.memory,
        found["size_on_disk"].value,
        candidate.compared.speedup if candidate.compared else None,
    )
