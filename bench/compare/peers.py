"""The verb peers: this project beside what a user would run in its place, in one run, interleaved.

Text in, label out, on real texts of the checkpoint's own test split: so tokenizing and reading the
labels belong to the time of each. Labels must agree with those of transformers.pipeline, but for
the share that --max_other allows (quantized programs turn a few).
For fine-tuning see `bench.experiments`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.cases import child
from bench.cases.args import PeersArgs
from bench.cases.case import threads_of
from bench.compare.compare import keep_json
from tasks.errors import UserError
from zoo.deploy.export import ExportSource
from zoo.machine import formatting, terminal
from zoo.measure import Arm, ArmFailed, Outcome, Plan, compare
from zoo.measure.process import WorkerFailed
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

MODULE = "bench.compare.peer_targets"
BASELINE = "transformers.pipeline"


def peers(args: PeersArgs) -> list[Outcome]:
    """Compares at every batch size, and prints a table of each.

    Raises `UserError` for a checkpoint of another task than text classification, or without the
    artifacts that are asked for.
    """
    threads = threads_of(args.threads)
    texts = real_texts(args.checkpoint, max(args.batch_sizes))
    outcomes = []
    with TemporaryDirectory(prefix="zoo-bench-") as folder:
        for size in args.batch_sizes:
            path = Path(folder) / f"{size}.json"
            path.write_text(json.dumps(texts[:size]))
            arms = arms_of(args, path, threads)
            said = labels_of(arms)
            agreed = [arm for arm in arms if agrees(said[BASELINE], said[arm.name], args.max_other)]
            for arm in arms:
                if arm not in agreed:
                    terminal.lines(f"{arm.name}: other labels than {BASELINE}: not timed")
            plan = Plan(launches=args.launches, budget_s=60 * args.minutes)
            terminal.lines(f"batch {size}: timing {len(agreed)} ...")
            outcome = compare(agreed, plan)
            show(outcome, size)
            outcomes.append(outcome)
            if args.out is not None:
                keep_json(args.out, outcome, {"checkpoint": args.checkpoint.name, "batch": size})
    return outcomes


def real_texts(checkpoint: Path, count: int) -> list[str]:
    """Texts of the test split, drawn by a seed. Raises `UserError` where there are none."""
    terminal.quiet_libraries()
    original = ExportSource.open(checkpoint)
    if original.task.name != "text-classification":
        raise UserError(
            f"{checkpoint} is of {original.task.name}; peers are compared on text classification"
        )
    examples, _ = original.examples("test")
    (rows,) = examples.splits.values()
    texts = rows["text"]
    rng = np.random.default_rng(0)
    return [texts[i] for i in rng.choice(len(texts), count, replace=len(texts) < count)]


def arms_of(args: PeersArgs, texts: Path, threads: int) -> list[Arm]:
    """Return the arms of the comparison, the baseline first.

    Raises `UserError` for a deployment that has to be exported before.
    """
    common = {"checkpoint": str(args.checkpoint), "texts": str(texts), "threads": threads}
    arms = [
        Arm(BASELINE, f"{MODULE}:pipeline", common, threads),
        Arm("torch.compile", f"{MODULE}:compiled", common, threads),
    ]
    exported = artifacts.folder_of(args.checkpoint, Deployment("onnx"))
    if (exported / artifacts.MANIFEST).is_file():
        arms.append(
            Arm(
                "onnxruntime",
                f"{MODULE}:onnxruntime",
                {**common, "artifact": str(exported)},
                threads,
            )
        )
    for name in args.deployments:
        wanted = Deployment.parse(name)
        if RUNTIMES[wanted.runtime].artifact:
            artifacts.open_artifact(args.checkpoint, wanted)
        arms.append(Arm(f"zoo {wanted}", f"{MODULE}:zoo", {**common, "deployment": name}, threads))
    return arms


def labels_of(arms: Sequence[Arm]) -> Mapping[str, list[str] | None]:
    """Return the labels that each arm gives; None where it can't run, which is printed."""
    found: dict[str, list[str] | None] = {}
    for arm in arms:
        kwargs = {"function": arm.target.partition(":")[2], "kwargs": dict(arm.kwargs)}
        try:
            found[arm.name] = child.call(f"{MODULE}:labels", kwargs, arm.threads)
        except WorkerFailed as error:
            terminal.lines(f"{arm.name}: {error.failed.reason}")
            found[arm.name] = None
    return found


def agrees(wanted: Sequence[str] | None, found: Sequence[str] | None, most: float) -> bool:
    """Return whether at most a share `most` of the labels differ (but one may always, where `most`
    is above 0)."""
    if wanted is None or found is None:
        return False
    others = sum(a != b for a, b in zip(wanted, found, strict=True))
    return others <= max(int(most > 0), most * len(wanted))


def show(outcome: Outcome, size: int) -> None:
    """Print the table of one batch size."""
    rows = []
    for arm in outcome.recording.arms:
        times = next((each for each in outcome.measured if each.arm == arm.name), None)
        if times is None:
            continue
        cells = [
            arm.name,
            formatting.seconds(times.median),
            f"{size / times.median.value:,.0f} texts/s",
        ]
        one = None if arm.name == BASELINE else outcome.of(arm.name)
        if one is None or isinstance(one, ArmFailed):
            rows.append((*cells, "1", "baseline"))
            continue
        rows.append((*cells, formatting.ratio(one.speedup), str(one.verdict.word)))
    terminal.table(
        ("who", "a call [99%]", "", "times as fast", "verdict"), rows, title=f"batch {size}"
    )
