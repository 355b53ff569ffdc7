"""The command line of the harness: `python -m bench VERB ...`.

Flags as those of a model's verbs (`zoo.cli.verbs`): fields of frozen dataclasses, with - or _
alike. Nothing here imports torch.
"""

import sys
from collections.abc import Sequence
from typing import TypeVar

from tasks.printing import print_lines
from zoo.cli import program
from zoo.cli.program import Program, Verb
from zoo.machine import places

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 0, 2 for a user's mistake, 128 + signal for a stop."""
    return PROGRAM.main(argv)


def parse(verb: str, kind: type[T], arguments: Sequence[str]) -> T:
    """Arguments as an instance of a dataclass; exits as argparse does for --help and errors."""
    return PROGRAM.parse(verb, kind, arguments)


def _run(arguments: Sequence[str]) -> int:
    from bench.cases.args import RunArgs

    args: RunArgs = parse("run", RunArgs, arguments)
    places.check_file("--out", args.out)
    places.check_cache()
    from bench.sweep.run import run

    run(args)
    return 0


def _compare(arguments: Sequence[str]) -> int:
    from bench.cases.args import CompareArgs
    from tasks.errors import UserError
    from zoo.measure.fail_if import VerdictCondition

    args: CompareArgs = parse("compare", CompareArgs, arguments)
    conditions = [VerdictCondition.parse(text) for text in args.fail_if]
    places.check_file("--out", args.out)
    if not args.results:
        from bench.compare.compare import compare

        found = [(name, str(each.verdict.word), each.speedup.value) for name, each in compare(args)]
    elif args.models or len(args.results) != 2:
        raise UserError("--results takes two files, before and after, and no models")
    else:
        from bench.record import compare_results

        pairs = compare_results.compare(*args.results, args.margin)
        found = [(str(pair.case), pair.word, pair.ratio) for pair in pairs]
    failed = [
        f"{name} is {condition}"
        for name, word, speedup in found
        for condition in conditions
        if condition.holds(word, speedup)
    ]
    for line in failed:
        print_lines(f"bench: {line}", file=sys.stderr)
    return 1 if failed else 0


def _selftest(arguments: Sequence[str]) -> int:
    from bench.cases.args import SelftestArgs

    args: SelftestArgs = parse("selftest", SelftestArgs, arguments)
    from bench.validity.selftest import selftest

    return 0 if all(check.passed for check in selftest(args)) else 1


def _replay(arguments: Sequence[str]) -> int:
    from bench.cases.args import ReplayArgs

    args: ReplayArgs = parse("replay", ReplayArgs, arguments)
    places.check_file("--traces", args.traces)
    from bench.validity.replay import run

    run(args)
    return 0


def _decide(arguments: Sequence[str]) -> int:
    from bench.cases.args import DecideArgs

    args: DecideArgs = parse("decide", DecideArgs, arguments)
    places.check_file("--picture", args.picture)
    places.check_cache()
    if args.checkpoint.is_dir():
        places.check_folder("artifacts in", args.checkpoint)
    from bench.decide.search import decide
    from zoo.deploy.export import ContractNotMet

    try:
        decide(args)
    except ContractNotMet as refused:
        return program.fail("bench", str(refused), code=1)
    return 0


def _doctor(arguments: Sequence[str]) -> int:
    from bench.cases.args import DoctorArgs

    args: DoctorArgs = parse("doctor", DoctorArgs, arguments)
    from bench.machine.doctor import doctor

    for finding in doctor(args):
        print_lines(f"{finding.status:<7}  {finding.topic:<14}  {finding.text}")
        if finding.remedy:
            print_lines(f"{'':<25}-> {finding.remedy}")
    return 0


def _which_gpu(arguments: Sequence[str]) -> int:
    from bench.cases.args import WhichGpuArgs

    args: WhichGpuArgs = parse("which_gpu", WhichGpuArgs, arguments)
    places.check_cache()
    from bench.machine.which_gpu import show

    show(args)
    return 0


def _trace(arguments: Sequence[str]) -> int:
    from bench.cases.args import TraceArgs

    args: TraceArgs = parse("trace", TraceArgs, arguments)
    places.check_folder("--out", args.out)
    places.check_cache()
    from bench.machine.trace import trace

    trace(args)
    return 0


def _peers(arguments: Sequence[str]) -> int:
    from bench.cases.args import PeersArgs

    args: PeersArgs = parse("peers", PeersArgs, arguments)
    places.check_file("--out", args.out)
    from bench.compare.peers import peers

    peers(args)
    return 0


def _load(arguments: Sequence[str]) -> int:
    from bench.load.args import LoadArgs

    own, options = _split(arguments)
    args: LoadArgs = parse("load", LoadArgs, own)
    places.check_file("--out", args.out)
    places.check_cache()
    from bench.load.load import load

    load(args, options)
    return 0


def _streams(arguments: Sequence[str]) -> int:
    from bench.load.args import StreamsArgs

    own, options = _split(arguments)
    args: StreamsArgs = parse("streams", StreamsArgs, own)
    from bench.load.streams import run

    run(args, options)
    return 0


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before and behind `--`."""
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _gpu_check(arguments: Sequence[str]) -> int:
    from bench.gpu_check import wheels

    with wheels.used(arguments):  # first: what reads the flags may be one of them
        from bench.gpu_check.args import GpuCheckArgs

        args: GpuCheckArgs = parse("gpu_check", GpuCheckArgs, arguments)
        if args.out is not None:
            places.check_folder("--out", args.out)
        from bench.gpu_check.check import check

        return check(args)


def _report(arguments: Sequence[str]) -> int:
    from bench.cases.args import ReportArgs

    args: ReportArgs = parse("report", ReportArgs, arguments)
    places.check_file("--out", args.out)
    places.check_file("--markdown", args.markdown)
    if args.pictures is not None:
        places.check_folder("--pictures", args.pictures)
    from bench.report.write import report

    report(args)
    return 0


VERBS = {
    "run": Verb(
        "measure models under deployments and keep the results",
        (
            "run runs/bert_cls --deployments eager onnx --batch_sizes 1 16 --lengths 32 128",
            "run minilm resnet18 --deployments eager compile --measures latency memory",
            "run --suite smoke --out results.jsonl",
            "run --suite cpu --minutes 20 --out cpu.jsonl",
        ),
        _run,
    ),
    "compare": Verb(
        "models or deployments side by side, interleaved, with verdicts",
        (
            "compare runs/bert_cls --deployments eager onnx onnx+int8-dynamic",
            "compare runs/old runs/new --deployments onnx --fail_if slower:3%",
            "compare runs/bert_cls --deployments eager onnx --minutes 3",
            "compare --results before.jsonl after.jsonl",
        ),
        _compare,
    ),
    "decide": Verb(
        "the best deployment of a checkpoint on this machine",
        (
            "decide runs/bert_cls --p95_ms 20 --max_drop 0.005 --memory_mb 500",
            "decide runs/bert_cls --minutes 5 --export --picture front.png",
            "decide runs/bert_cls --p99_ms 50 --rate 200 --minutes 12",
        ),
        _decide,
    ),
    "peers": Verb(
        "beside transformers (pipeline, generate), torch.compile, onnxruntime: text in, answer out",
        (
            "peers runs/bert_cls --deployments eager onnx+int8-dynamic --batch_sizes 1 16",
            "peers runs/gpt_lm --deployments eager onnx --batch_sizes 1 8 --new_tokens 64",
        ),
        _peers,
    ),
    "load": Verb(
        "how many requests a second services hold, ours and those of other tools",
        (
            "load runs/bert_cls --p99_ms 100",
            "load runs/bert_cls --deployments eager onnx+int8-dynamic -- --workers 2",
            "load runs/bert_cls --peers transformers litserve ray --rounds 3",
            "load http://127.0.0.1:8080 --data texts.csv --rate 50 100",
            "load runs/bert_cls --clients 8 --minutes 2",
        ),
        _load,
    ),
    "streams": Verb(
        "how much faster a service writes several texts at once than one after the other",
        (
            "streams runs/gpt --streams 16 --new_tokens 64",
            "streams http://127.0.0.1:8080 --rounds 10",
            "streams runs/gpt -- --workers 2",
        ),
        _streams,
    ),
    "report": Verb(
        "results as a page, as Markdown and as pictures",
        (
            "report results.jsonl --out report.html",
            "report cpu.jsonl gpu.jsonl --markdown report.md --pictures pictures",
        ),
        _report,
    ),
    "trace": Verb(
        "what a case does in its calls, by torch.profiler",
        (
            "trace runs/bert_cls --batch_size 16 --length 128 --out traces",
            "trace minilm --phase training --calls 3",
        ),
        _trace,
    ),
    "doctor": Verb(
        "what this machine grants, its ceilings, its noise floor, and what to mend",
        ("doctor", "doctor --device cuda"),
        _doctor,
    ),
    "which_gpu": Verb(
        "how much memory a model takes, and which GPUs have it; needs none",
        (
            "which_gpu bert-base-uncased --batch_size 32 --length 128",
            "which_gpu runs/bert_cls --phase inference --dtype fp32",
        ),
        _which_gpu,
    ),
    "gpu_check": Verb(
        "everything that needs a GPU, in the minutes that it is there",
        (
            "gpu_check --minutes 8",
            "gpu_check --minutes 8 --wheels wheels --weights minilm-fp16 --out results",
            "gpu_check --device cpu --minutes 3 --out /tmp/check",
        ),
        _gpu_check,
    ),
    "selftest": Verb(
        "the harness on itself: what is known must be measured right",
        ("selftest", "selftest --slowdown 0.05"),
        _selftest,
    ),
    "replay": Verb(
        "how often verdicts are right, on recorded traces",
        (
            "replay minilm resnet18 --traces traces.jsonl",
            "replay --traces bench/results/traces.jsonl",
        ),
        _replay,
    ),
}
PROGRAM = Program("bench", "python -m bench", "Measures how models run on this machine.", VERBS)
