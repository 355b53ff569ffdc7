"""The finalists of a decision as services: which deployment, workers and batches keep a p99 at a
rate of requests, for the least of the processor.

Each is started as `python -m zoo serve` would be, and gets the same arrivals and inputs, in an open
loop (`bench.load`). Those with the fastest calls come first, and one worker before several: when
the time is over, what was not tried is told.
"""

import dataclasses
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import clients, payloads, show
from bench.load.arms import OURS, LoadArm
from bench.load.clients import ClientLost
from bench.load.generator import Job, Target
from bench.load.service import ServiceFailed
from bench.load.step import Limits, Step, length_of
from bench.load.window import step_of
from tasks import atomic
from tasks.errors import UserError, spelled
from zoo.deploy.candidate import Candidate, DeploymentBuilder
from zoo.machine import commands, environment, terminal
from zoo.machine.formatting import NOTHING, significant
from zoo.machine.precision import choose_device
from zoo.measure.deadline import Deadline
from zoo.runtimes import artifacts
from zoo.store import evidence

FINALISTS = 3
"""Deployments that are tried as services, at most."""
BATCHES = (8, 64)
"""Values of `--max_batch` that are tried."""
STEP_S, WARM_S = 8.0, 2.0
SHARE = 0.4
"""Of the time of a decision, that the services get."""
MAX_FAILED = 0.001


@dataclass(frozen=True)
class ServiceSetting:
    """How a service is started."""

    candidate: Candidate
    workers: int
    max_batch: int
    threads: int
    """of each worker"""
    device: str | None = None
    """None: the one that a service takes by itself"""

    @property
    def options(self) -> tuple[str, ...]:
        """Return the flags of `zoo serve`."""
        device = () if self.device is None else ("--device", self.device)
        return ("--workers", str(self.workers), "--max_batch", str(self.max_batch), *device)

    def command(self, checkpoint: Path) -> str:
        """Return the command that starts it, for people."""
        words = ("serve", checkpoint, "--deployment", self.candidate.name, *self.options)
        return commands.python("zoo", *words, "--threads", self.threads)


@dataclass(frozen=True)
class ServiceTried:
    """A service that got the load."""

    setting: ServiceSetting
    step: Step | None
    fault: str = ""
    """why it was not loaded"""

    @property
    def is_kept(self) -> bool:
        """Whether it keeps the p99."""
        return self.step is not None and self.step.is_kept

    @property
    def cost(self) -> float:
        """Seconds of processor time for a request; infinite where it is not known."""
        cpu = None if self.step is None else self.step.service_cpu
        return math.inf if cpu is None else cpu


@dataclass(frozen=True)
class ServiceContract:
    """What a service has to hold."""

    rate: float
    """requests a second"""
    p99_s: float
    data: str | None = None
    """that its inputs are from; that of the training by default"""


def choose(
    contract: ServiceContract,
    builder: DeploymentBuilder,
    finalists: Sequence[Candidate],
    deadline: Deadline,
    ends: float,
) -> ServiceTried | None:
    """Try the finalists as services, print the table, add what was measured to the evidence; return
    the one that keeps the p99 with the least processor time a request, None if none does.

    Args:
        finalists: the fastest first.
        ends: when it has to be over, in seconds of the deadline.

    Ctrl-C ends it: what was tried so far is shown and kept.

    Raises:
        UserError: data without inputs.
        KeyboardInterrupt: after Ctrl-C.
    """
    checkpoint = builder.original.checkpoint
    given = payloads.of_checkpoint(checkpoint, contract.data, 0)
    device = None if builder.device == str(choose_device("auto")) else builder.device
    settings = [dataclasses.replace(each, device=device) for each in settings_of(finalists)]
    terminal.lines(
        f"loading services with {contract.rate:g} requests/s, p99 within "
        f"{1e3 * contract.p99_s:g} ms ... ({deadline.countdown()})"
    )
    tried: list[ServiceTried] = []
    slowest = 0.0
    try:
        with TemporaryDirectory(prefix="zoo-services-", dir=builder.staging) as folder:
            place = Path(folder)
            atomic.write_text(place / "payloads.json", payloads.as_json(given))
            served = serving_folder(checkpoint.folder, finalists, place / "checkpoint")
            for setting in settings:
                began = deadline.spent()
                if tried and began + slowest > ends:
                    break
                name, options = setting.candidate.name, setting.options
                arm = LoadArm(OURS, str(served), name, setting.threads, options)
                tried.append(_tried(setting, arm, contract, given, place / "payloads.json"))
                slowest = max(slowest, deadline.spent() - began)
    finally:
        if tried:
            _show(tried, settings[len(tried) :], contract)
            _record(checkpoint.folder, tried, contract, builder.device)
    kept = [each for each in tried if each.is_kept]
    return min(kept, key=lambda each: (each.cost, each.setting.workers), default=None)


def settings_of(finalists: Sequence[Candidate]) -> Iterator[ServiceSetting]:
    """Yield what is tried, in this order: all finalists with one worker that has all cores, then
    with more workers that share them; small batches last."""
    cores = max(1, int(environment.machine(gpu=False)["cores"]))
    counts = sorted({1, cores} | ({cores // 2} if cores > 3 else set()))
    for max_batch in reversed(BATCHES):
        for workers in counts:
            for candidate in finalists[:FINALISTS]:
                yield ServiceSetting(candidate, workers, max_batch, max(1, cores // workers))


def serving_folder(checkpoint: Path, finalists: Sequence[Candidate], place: Path) -> Path:
    """Return a folder with the files of a checkpoint, and the programs of candidates that are not
    in place yet: hard links, as a checkpoint may not lead elsewhere; copies where there can't be
    any."""
    place.mkdir()
    for path in checkpoint.iterdir():
        if path.is_file():
            _link(path, place / path.name)
    for each in finalists:
        if each.artifact is not None:
            program = artifacts.folder_of(place, each.deployment)
            shutil.copytree(each.artifact.folder, program, copy_function=_link)
    return place


def _link(path: str | Path, to: str | Path) -> None:
    try:
        os.link(path, to)
    except OSError:
        shutil.copy2(path, to)


def _tried(
    setting: ServiceSetting,
    arm: LoadArm,
    contract: ServiceContract,
    given: Sequence[payloads.Payload],
    path: Path,
) -> ServiceTried:
    limits = Limits(contract.p99_s, MAX_FAILED)
    job = Job(
        length_of(contract.rate, STEP_S),
        WARM_S,
        contract.rate,
        limit_s=contract.p99_s,
        most_late=0.01,
    )
    try:
        with ExitStack() as stack:
            key = arm.key()
            service = stack.enter_context(arm.running(given[0], key))
            client = stack.enter_context(clients.started(Target(service.url, str(path), key)))
            step = step_of(service, client, job, limits)
            if not step.is_kept and step.is_disturbed:  # others had the machine: once more
                terminal.lines(f"  {arm.name}: {show.step(step).strip()}")
                step = step_of(service, client, job, limits)
    except (ServiceFailed, ClientLost) as error:
        terminal.lines(spelled(f"  {arm.name}: {error}"))
        return ServiceTried(setting, None, str(error))
    terminal.lines(f"  {arm.name}: {show.step(step).strip()}")
    return ServiceTried(setting, step)


def _show(
    tried: Sequence[ServiceTried], left: Sequence[ServiceSetting], contract: ServiceContract
) -> None:
    rows = []
    for each in tried:
        setting, step = each.setting, each.step
        if step is None:
            cells = [NOTHING, NOTHING, each.fault]
        else:
            cores = None if step.service_cpu is None else contract.rate * step.service_cpu
            cells = [
                show.ms(step.p99_of_all),
                NOTHING if cores is None else significant(cores, 2),
                "kept" if step.is_kept else "broken",
            ]
        rows.append((setting.candidate.name, str(setting.workers), str(setting.max_batch), *cells))
    terminal.table(
        ("deployment", "workers", "max_batch", "p99", "cores", ""),
        rows,
        title=f"{contract.rate:g} requests/s, p99 within {1e3 * contract.p99_s:g} ms:",
        after_gap=True,
    )
    if left:
        terminal.lines(f"{len(left)} further settings were not tried, for lack of time")


def _record(
    checkpoint: Path, tried: Sequence[ServiceTried], contract: ServiceContract, device: str
) -> None:
    """Add the p99 and the processor time of each service that was loaded to the evidence."""
    run, source, facts = uuid.uuid4().hex, evidence.subject_digest(checkpoint), []
    for each in tried:
        step, setting = each.step, each.setting
        if step is None or step.is_cut:
            continue
        artifact = setting.candidate.artifact
        work = {"requests_per_s": contract.rate, "options": " ".join(setting.options)}
        for name, value in (("p99", step.p99_of_all), ("cpu_per_request", step.service_cpu)):
            if value is not None:
                facts.append(
                    evidence.fact(
                        "load",
                        name,
                        value,
                        "s",
                        n=step.requests,
                        subject=source if artifact is None else artifact.digest,
                        run=run,
                        deployment=setting.candidate.name,
                        device=device,
                        threads=setting.threads,
                        workload=work,
                    )
                )
    evidence.append(checkpoint, facts)


def contract_of(
    rate: float | None, p99_ms: float | None, data: str | None
) -> ServiceContract | None:
    """Return the contract that flags ask for; None where they ask for none.

    Raises `UserError` where one of the two is missing.
    """
    if rate is None and p99_ms is None:
        return None
    if rate is None or p99_ms is None:
        raise UserError("`p99_ms` goes with `rate`: so many requests a second within so much time")
    return ServiceContract(rate, p99_ms / 1e3, data)
