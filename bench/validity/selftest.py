"""The harness measured with what is known: a sleep, a slowdown, the same thing twice, a device.

Rates of right and wrong verdicts are found by repeating it, and over many draws by
`bench.validity.replay`.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.cases import child
from bench.cases.args import SelftestArgs
from bench.measures import memory
from bench.validity import synthetic_targets
from zoo.machine import terminal
from zoo.measure import Arm, ArmFailed, ArmTimes, Comparison, Plan, compare, measure
from zoo.measure.process import Worker, WorkerFailed

CALL_S = 0.01
SLEEP_S, SLEEP_TOLERANCE = 0.02, 0.02
DEVICE_S, DEVICE_TOLERANCE = 0.02, 0.1  # threads that stand for it take time to wake up
OVERHEAD_OF_S, OVERHEAD = 0.005, 0.01
OPINION = {"cpu": 0.02, "cuda": 0.03}
FALSE, FOUND = 0.01, 0.95  # of the verdicts
ALLOCATED, ALLOCATION_TOLERANCE = 1 << 30, 0.05

Found = TypeVar("Found")


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    passed: bool
    found: str


def selftest(args: SelftestArgs) -> list[Check]:
    """Runs all checks, and prints each as it comes."""
    checks = []
    for check in _checks(args):
        terminal.lines(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.found}")
        checks.append(check)
    return checks


def _checks(args: SelftestArgs) -> Iterator[Check]:
    yield _sleep()
    yield _overhead()
    yield _device()
    yield _memory()
    size = synthetic_targets.bytes_for(CALL_S)
    yield _opinion(size)
    if args.device != "cpu":
        yield _opinion_on_gpu(args.device)
    yield from _verdicts(size, args)


def _arm(name: str, function: str, **kwargs: float) -> Arm:
    return Arm(name, f"bench.validity.synthetic_targets:{function}", kwargs, threads=1)


def _sleep() -> Check:
    name = f"a sleep of {1e3 * SLEEP_S:.0f} ms"
    times = _times(_arm("sleep", "sleep", seconds=SLEEP_S))
    off = times.median.value / SLEEP_S - 1
    return Check(name, 0 <= off < SLEEP_TOLERANCE, f"{1e3 * times.median.value:.3f} ms")


def _overhead() -> Check:
    """Check what the stopwatch adds to a call: it measures a call of nothing, one call a sample."""
    with Worker(_arm("nothing", "nothing")) as worker:
        worker.run(1000)
        taken = statistics.median(worker.run(1000).seconds)
    name = f"its own time is below {OVERHEAD:.0%} of a call of {1e3 * OVERHEAD_OF_S:.0f} ms"
    return Check(name, taken < OVERHEAD * OVERHEAD_OF_S, f"{1e6 * taken:.2f} us")


def _device() -> Check:
    """The stopwatch waits for a device; one that nobody waits for looks faster than it can be."""
    waited = _times(_arm("device", "Device", seconds=DEVICE_S, waits=True)).median.value
    with Worker(_arm("unwaited", "Device", seconds=DEVICE_S, waits=False)) as worker:
        unwaited = statistics.median(worker.run(3).seconds)
    off = waited / DEVICE_S - 1
    return Check(
        "a device is waited for",
        0 <= off < DEVICE_TOLERANCE and unwaited < DEVICE_S / 2,
        f"{1e3 * waited:.2f} ms of {1e3 * DEVICE_S:.0f}; not waited for it would be "
        f"{1e3 * unwaited:.2f} ms",
    )


def _memory() -> Check:
    arm = _arm("allocation", "allocation", size=ALLOCATED)
    found = memory.of(arm)
    name = f"{ALLOCATED / 2**30:.0f} GiB that was touched and freed"
    if found.status != "ok":
        return Check(name, True, found.reason)
    peak = found.values["peak"].value
    off = abs(peak / ALLOCATED - 1)
    return Check(name, off < ALLOCATION_TOLERANCE, f"{peak / 2**30:.4f} GiB")


def _opinion(size: int) -> Check:
    kwargs = {"target": "bench.validity.synthetic_targets:work", "kwargs": {"size": size}}
    ratio = child.call("bench.validity.torch_benchmark_check:run", kwargs, threads=1)
    name = f"within {OPINION['cpu']:.0%} of torch.utils.benchmark.Timer"
    return Check(name, abs(ratio - 1) < OPINION["cpu"], f"{ratio:.4f} of its median")


def _opinion_on_gpu(device: str) -> Check:
    """Of a call of matrix products; what the device, or triton, is not there for fails."""
    targets = "bench.validity.synthetic_targets"
    name = f"within {OPINION['cuda']:.0%} of triton.testing.do_bench"
    try:
        asked = {"seconds": CALL_S, "device": device}
        count = child.call(f"{targets}:products_for", asked, threads=1)
        given = {"target": f"{targets}:Products", "kwargs": {"count": count, "device": device}}
        found = {**given, "device": device}
        ratio = child.call("bench.validity.torch_benchmark_check:run", found, threads=1)
    except WorkerFailed as error:
        return Check(name, False, error.failed.reason)
    return Check(name, abs(ratio - 1) < OPINION["cuda"], f"{ratio:.4f} of its median")


def _verdicts(size: int, args: SelftestArgs) -> Iterator[Check]:
    """Check that the same thing twice is never told apart and that a slower one is found; what the
    noise floor says can't be found may be missed, and nothing is ever taken for the contrary."""
    slower = round(size * (1 + args.slowdown))
    same, apart = [], []
    for number in range(args.repeat):  # in turns: the machine is not the same for an hour
        same.append(_against(size, size, args))
        apart.append(_against(size, slower, args))
        if args.repeat > 1:
            terminal.lines(f"{number + 1} of {args.repeat}: {same[-1]}; {apart[-1]}")
    claimed = sum(each.verdict.word in ("faster", "slower") for each in same)
    allowed = math.ceil(FALSE * args.repeat) if args.repeat > 1 else 0
    yield Check("the same twice (A/A)", claimed <= allowed, _told(same))
    contrary = any(each.verdict.word == "faster" for each in apart)
    tellable = [each for each in apart if each.floor is None or each.floor < args.slowdown]
    found = sum(each.verdict.word == "slower" for each in tellable)
    said = f"{_told(apart)}; found in {found} of the {len(tellable)} whose floor was below that"
    right = found >= FOUND * len(tellable)
    yield Check(f"{args.slowdown:.1%} slower", right and not contrary, said)


def _told(comparisons: Sequence[Comparison]) -> str:
    """The comparison, or of several how often each verdict came, and their noise floors."""
    floors = sorted(each.floor for each in comparisons if each.floor is not None)
    floor = f"; noise floor {statistics.median(floors):.1%}" if floors else ""
    if len(comparisons) == 1:
        return f"{comparisons[0]}{floor}"
    words = Counter(str(each.verdict.word) for each in comparisons)
    ends = f" ({floors[0]:.1%} to {floors[-1]:.1%})" if floors else ""
    return ", ".join(f"{word} {n}" for word, n in words.most_common()) + floor + ends


def _against(size: int, other: int, args: SelftestArgs) -> Comparison:
    arms = [_arm("a", "work", size=size), _arm("b", "work", size=other)]
    plan = Plan(launches=args.launches, budget_s=60 * args.minutes, target_halfwidth=0.01)
    return _found(lambda: compare(arms, plan).of("b"))


def _times(arm: Arm) -> ArmTimes:
    return _found(lambda: measure([arm], Plan(launches=2, budget_s=5.0)).times(arm.name))


def _found(ask: Callable[[], Found | ArmFailed]) -> Found:
    found = ask()
    if isinstance(found, ArmFailed):  # targets of ours, which cannot
        raise RuntimeError(f"{found.arm}: {found.reason}")
    return found
