"""The verb trace: what a case does in its calls, by torch.profiler, in a run of its own.

The folder holds a trace for TensorBoard with torch-tb-profiler (`tensorboard --logdir`), and the
same as trace.json for a browser (chrome://tracing, ui.perfetto.dev). Profiled calls are slower than
others: no time of theirs is a result.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.cases import child
from bench.cases.args import TraceArgs
from bench.cases.case import Case, threads_of
from bench.cases.job import Settings
from bench.cases.prepare import Preparation
from bench.sweep import suite
from tasks.errors import UserError
from zoo.machine import terminal
from zoo.measure.process import WorkerFailed
from zoo.runtimes.deployment import Deployment

TRACED = ("eager", "compile", "pt2", "aoti", "torchscript", "torchao")
"""Runtimes whose operators torch.profiler sees."""
WARM_UP = 5
COSTLIEST = 10
CALL = "a call"
NAME = "trace.json"


def trace(args: TraceArgs) -> Path:
    """Profile a case, print the costliest operators, and return the folder of the traces.

    Raises `UserError` for a case that makes no sense, cannot run, or that the profiler cannot
    see.
    """
    model, device = suite.model_named(args.model), suite.device_named(args.device)
    threads = threads_of(args.threads)
    sizes = ([args.batch_size], [args.length], [device], [threads], [args.phase])
    new_tokens = [args.new_tokens] if args.new_tokens else []
    (case,) = suite.cross([model], [args.deployment], *sizes, new_tokens)
    runtime = Deployment.parse(case.deployment).runtime
    if runtime not in TRACED:
        raise UserError(f"torch.profiler sees nothing of {runtime}; traced are {', '.join(TRACED)}")
    if args.calls < 1:
        raise UserError(f"--calls {args.calls}: at least 1")
    args.out.mkdir(parents=True, exist_ok=True)
    settings = Settings()
    with TemporaryDirectory(prefix="zoo-bench-") as folder:
        try:
            arm = Preparation(Path(folder), settings.timeout_s).of(case).arm(case)
            told = child.ask(
                "bench.machine.trace:run",
                arm,
                settings.timeout_s,
                calls=args.calls,
                folder=str(args.out.resolve()),
            )
        except WorkerFailed as error:
            raise UserError(f"{case} can't be traced: {error.failed.reason}") from None
    show(case, told)
    terminal.lines("", f"tensorboard --logdir {args.out}", f"{args.out / NAME}")
    return args.out


def show(case: Case, told: Mapping[str, Any]) -> None:
    """Print the costliest operators, and how much the device waited."""
    total = sum(each["seconds"] for each in told["operators"]) or 1.0
    rows = [
        (
            each["name"],
            str(each["count"]),
            f"{1e3 * each['seconds'] / told['calls']:.3f} ms",
            f"{each['seconds'] / total:.1%}",
        )
        for each in told["operators"][:COSTLIEST]
    ]
    terminal.table(
        ("operator", "times", "its own time a call", "of all"),
        rows,
        title=f"{case}: {told['calls']} calls",
    )
    terminal.lines(f"the {told['device']} waited {told['waited']:.1%} of the time")


def run(target: str, kwargs: Mapping[str, Any], calls: int, folder: str) -> dict[str, Any]:
    """In a process of its own: write the traces; return all operators, the costliest first, with
    the seconds of each alone, and the share of the time in which none ran on the device."""
    import torch
    from torch.profiler import ProfilerActivity, profile, record_function

    _, call, wait = child.load(target, kwargs)
    for _ in range(WARM_UP):
        call()
    wait()
    gpu = str(kwargs["device"]).startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities, record_shapes=True) as profiler:
        began = time.perf_counter()
        for _ in range(calls):
            with record_function(CALL):
                call()
        wait()
        wall = time.perf_counter() - began
    traces = Path(folder)
    torch.profiler.tensorboard_trace_handler(folder)(profiler)
    newest = max(traces.glob("*.pt.trace.json"), key=lambda path: path.stat().st_mtime)
    shutil.copyfile(newest, traces / NAME)
    operators = [
        {
            "name": each.key,
            "count": each.count,
            "seconds": (each.self_device_time_total if gpu else each.self_cpu_time_total) / 1e6,
        }
        for each in profiler.key_averages()
        if each.key != CALL
    ]
    operators.sort(key=lambda each: -float(each["seconds"]))
    busy = sum(float(each["seconds"]) for each in operators)
    return {
        "operators": [each for each in operators if each["seconds"]],
        "calls": calls,
        "waited": max(0.0, 1 - busy / wall),
        "device": "GPU" if gpu else "processor's calling thread",
        "wall": wall,
    }
