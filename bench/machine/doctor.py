"""The verb doctor: what `python -m zoo doctor` says, and what only measuring tells of a machine."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cases import child
from bench.cases.args import DoctorArgs
from bench.cases.case import threads_of
from bench.measures import ceilings
from bench.validity import synthetic_targets
from zoo.cli import doctor as installation
from zoo.cli.doctor import DoctorFinding
from zoo.machine.cores import granted_cores
from zoo.machine.environment import machine
from zoo.measure import Arm, ArmFailed, Plan, noise_floor
from zoo.measure.process import WorkerFailed
from zoo.measure.usage import read
from zoo.measure.verdicts import Floor

LOOK_S = 2.0
CALL_S = 0.01
GPU_LAUNCH_S = 9.0  # two processes that import PyTorch and open CUDA, and their blocks
GRANTED = 0.9  # of a core, below which it is not ours alone
FOREIGN = 0.1  # cores
FLOOR = 0.02
CPU = Path("/sys/devices/system/cpu")
CGROUP = Path("/sys/fs/cgroup/cpu.max")


def doctor(args: DoctorArgs) -> Iterator[DoctorFinding]:
    """Yield the findings one by one; takes about a minute."""
    yield from installation.doctor()
    threads = threads_of(args.threads)
    yield _foreign()
    yield _granted(threads)
    yield from _settings()
    yield from _ceilings(args.device, threads)
    yield _floor(args)


def _foreign() -> DoctorFinding:
    """Return how busy other processes keep the machine while this one is idle."""
    before = read()
    time.sleep(LOOK_S)
    foreign = before.until(read()).foreign
    if foreign is None:
        return DoctorFinding("other load", "ok", "not readable here")
    text = f"{foreign:.2f} cores are busy with other processes or taken by the hypervisor"
    if foreign < FOREIGN:
        return DoctorFinding("other load", "ok", text)
    return DoctorFinding("other load", "warn", text, "stop them, or expect wide intervals")


def _granted(threads: int) -> DoctorFinding:
    """Return how much processor time `threads` busy threads get per second."""
    cores = granted_cores(threads, LOOK_S)
    text = f"{threads} threads get {cores:.2f} cores"
    if cores >= GRANTED * threads:
        return DoctorFinding("cores granted", "ok", text)
    return DoctorFinding(
        "cores granted", "warn", text, f"measure with --threads {max(1, int(cores))}"
    )


def _settings() -> Iterator[DoctorFinding]:
    """Yield the settings that make clocks and quotas vary, as far as Linux reports them."""
    governors = {path.read_text().strip() for path in CPU.glob("cpu*/cpufreq/scaling_governor")}
    if governors - {"performance"}:
        text = f"governor {', '.join(sorted(governors))}"
        yield DoctorFinding("clock", "warn", text, "cpupower frequency-set --governor performance")
    if (boost := CPU / "cpufreq" / "boost").is_file() and boost.read_text().strip() == "1":
        text = "boost is on: the clock depends on how warm it is"
        yield DoctorFinding("boost", "warn", text, f"echo 0 > {boost}, as root")
    if (smt := CPU / "smt" / "active").is_file() and smt.read_text().strip() == "1":
        cores = machine(gpu=False)["cores"]
        text = f"simultaneous multithreading: {cores} logical cores share fewer real ones"
        yield DoctorFinding("SMT", "ok", text)
    if CGROUP.is_file():
        quota, period = CGROUP.read_text().split()
        if quota != "max":
            cores_allowed = int(quota) / int(period)
            text = f"the container may use {cores_allowed:.1f} of {os.cpu_count()} cores"
            yield DoctorFinding(
                "quota", "warn", text, "a quota stops all threads at once: bind cores"
            )


def _ceilings(device: str, threads: int) -> Iterator[DoctorFinding]:
    try:
        found = ceilings.find(device, threads)
    except WorkerFailed as error:
        yield DoctorFinding("ceilings", "warn", error.failed.reason)
        return
    rates = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in found.flops.items())
    where = f"{threads} threads" if device == "cpu" else device
    yield DoctorFinding("GEMM", "ok", f"{rates} GFLOP/s (int8: GOP/s), {where}")
    for name, said in found.failed.items():
        yield DoctorFinding("GEMM", "warn", f"no product in {name}: {said}")
    yield DoctorFinding("copy", "ok", f"{found.bytes / 1e9:.1f} GB/s, read and written")


def _floor(args: DoctorArgs) -> DoctorFinding:
    """Return the noise floor of a call that computes 10 ms on the device (of the processor: on one
    core), from the same call in two processes."""
    try:
        arm = _arm(args.device)
    except WorkerFailed as error:
        return DoctorFinding("noise floor", "warn", error.failed.reason)
    return floor_finding(noise_floor(arm, plan_of(60 * args.minutes, args.device)), args)


def _arm(device: str) -> Arm:
    """Return the arm for the noise floor. Raises `WorkerFailed` if the device cannot be used."""
    targets = "bench.validity.synthetic_targets"
    if device == "cpu":
        size = synthetic_targets.bytes_for(CALL_S)
        return Arm("work", f"{targets}:work", {"size": size}, threads=1)
    # asked in a process of its own: what has opened CUDA disturbs whom it measures
    count = child.call(f"{targets}:products_for", {"seconds": CALL_S, "device": device}, threads=1)
    return Arm("products", f"{targets}:Products", {"count": count, "device": device}, threads=1)


def plan_of(budget_s: float, device: str = "cpu") -> Plan:
    """Return a plan to measure a noise floor within `budget_s` seconds.

    The floor rests on launches: by Student's t, two say next to nothing, ten a lot. So each is kept
    as short as its blocks allow, and there are as many as the time allows.
    """
    least = Plan.launches if device == "cpu" else int(budget_s / GPU_LAUNCH_S)
    return Plan(
        launches=max(2, min(Plan.launches, least)),
        budget_s=budget_s,
        target_halfwidth=FLOOR / 2,
        block_s=0.05,
        min_rounds=4,
        warm_up_s=min(10.0, budget_s / 10),
    )


def floor_finding(found: Floor | ArmFailed, args: DoctorArgs) -> DoctorFinding:
    """Return what a noise floor means, and why it is high: different launches, or few of them."""
    if isinstance(found, ArmFailed):
        return DoctorFinding("noise floor", "warn", found.reason)
    floor = found.found(found.launches)
    told = f"{floor:.1%}" if floor < 1 else "more than 100%"
    text = (
        f"{told} for a call of {1e3 * CALL_S:.0f} ms on {args.device}: a difference of this "
        f"size is found in 95 of 100 comparisons; two processes of the same differ by "
        f"{found.spread:.1%}, seen in {found.launches} launches"
    )
    if floor <= FLOOR:
        return DoctorFinding("noise floor", "ok", text)
    if found.spread <= FLOOR:
        return DoctorFinding("noise floor", "warn", text, "more launches: more --minutes")
    return DoctorFinding("noise floor", "warn", text, "a quieter machine, or more --minutes")
