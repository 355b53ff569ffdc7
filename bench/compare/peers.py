"""The verb peers: this project beside what a user would run in its place, in one run, interleaved.

Text in, answer out, on real texts of the checkpoint's own test split: so tokenizing and reading the
answers belong to the time of each. Labels must agree with those of transformers.pipeline, but for
the share that --max_other allows (quantized programs turn a few). Of a model that writes, texts
must be those of transformers.generate, greedy or with the beams it was trained for: of one that
goes on with texts so many new tokens behind the beginnings of real ones.
For fine-tuning see `bench.experiments`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.cases import child
from bench.cases.args import PeersArgs
from bench.cases.case import threads_of
from bench.compare.compare import keep_json
from tasks.base import Generates, OfText
from tasks.errors import UserError
from tasks.writes import Writes
from zoo.deploy.export import ExportSource
from zoo.machine import formatting, terminal
from zoo.measure import Arm, ArmFailed, Outcome, Plan, compare
from zoo.measure.process import WorkerFailed
from zoo.measure.workload import NEW_TOKENS
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

MODULE = "bench.compare.peer_targets"
CLASSIFIES = "text-classification"
OTHER_LABELS = 0.02
"""Share of labels that may differ by default."""
PROMPT_TOKENS = 32
"""Of the beginning of a real text that is gone on with, at most."""


@dataclass(frozen=True)
class Rivals:
    """What ours is compared with, and on what."""

    baseline: str
    """as users know it; its answers are the right ones"""
    function: str
    """of `bench.compare.peer_targets`, which makes the baseline's call"""
    texts: Sequence[str]
    max_other: float
    """share of answers that may differ"""
    options: Mapping[str, Any] = field(default_factory=dict)
    """further arguments of the baseline"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """how ours writes, as `predict` takes them"""
    new_tokens: int | None = None
    """of each text, where that is settled"""


def peers(args: PeersArgs) -> list[Outcome]:
    """Compares at every batch size, and prints a table of each.

    Raises `UserError` for a checkpoint of another task, or without the artifacts that are asked
    for, and where nothing answers as the baseline does.
    """
    threads = threads_of(args.threads)
    rivals = rivals_of(args)
    outcomes = []
    with TemporaryDirectory(prefix="zoo-bench-") as folder:
        for size in args.batch_sizes:
            path = Path(folder) / f"{size}.json"
            path.write_text(json.dumps(rivals.texts[:size]))
            arms = arms_of(args, rivals, path, threads)
            answers = answers_of(arms)
            wanted = answers[rivals.baseline]
            if wanted is None:
                raise UserError(f"{rivals.baseline} can't run, with which the others are compared")
            agreed = [a for a in arms if agrees(wanted, answers[a.name], rivals.max_other)]
            for arm in arms:
                if arm not in agreed and answers[arm.name] is not None:
                    terminal.lines(f"{arm.name}: other answers than {rivals.baseline}: not timed")
            if len(agreed) < 2:
                continue
            plan = Plan(launches=args.launches, budget_s=60 * args.minutes)
            terminal.lines(f"batch {size}: timing {len(agreed)} ...")
            outcome = compare(agreed, plan)
            show(outcome, size, rivals)
            outcomes.append(outcome)
            if args.out is not None:
                measured = {"checkpoint": args.checkpoint.name, "batch": size}
                if rivals.new_tokens is not None:
                    measured["new_tokens"] = rivals.new_tokens
                keep_json(args.out, outcome, measured)
    if not outcomes:
        raise UserError(f"nothing answers as {rivals.baseline} does, so nothing was timed")
    return outcomes


def rivals_of(args: PeersArgs) -> Rivals:
    """Return what a checkpoint is compared with, on texts of its test split, drawn by a seed.

    Raises `UserError` for one that neither classifies texts nor writes them, where there are no
    texts, and for `new_tokens` of a model that ends its texts by itself, or more than its context
    has room for.
    """
    terminal.quiet_libraries()
    original = ExportSource.open(args.checkpoint)
    task: Any = original.task
    most = max(args.batch_sizes)
    if isinstance(task, Writes):
        return _that_go_on(args, original, most)
    if args.new_tokens is not None:
        raise UserError(
            f"`new_tokens` is of models that go on with a text, and not of {args.checkpoint}"
        )
    if task.name == CLASSIFIES:
        allowed = OTHER_LABELS if args.max_other is None else args.max_other
        texts = real_texts(original, most)
        return Rivals("transformers.pipeline", "pipeline", texts, allowed)
    if isinstance(task, Generates) and isinstance(task, OfText):
        return _that_answer(args, original, most)
    raise UserError(
        f"{args.checkpoint} is of {task.name}; peers are compared on text classification, and on "
        "texts that are written"
    )


def _that_answer(args: PeersArgs, original: ExportSource, most: int) -> Rivals:
    """Return the rivals of a model that writes one text from another, as long as it was trained to
    write."""
    task: Any = original.task
    options = {"prefix": task.args.source_prefix, "max_length": task.args.max_length}
    texts = real_texts(original, most)
    return Rivals("transformers.generate", "generate", texts, args.max_other or 0.0, options)


def _that_go_on(args: PeersArgs, original: ExportSource, most: int) -> Rivals:
    """Return the rivals of a model that goes on with texts: all write as many tokens, greedily."""
    task: Any = original.task
    tokens = args.new_tokens or min(NEW_TOKENS, task.longest() // 2)
    room = task.longest() - tokens - 1  # a text begins with a token of its own
    if room < 1:
        raise UserError(
            f"`new_tokens` {tokens}: {args.checkpoint} sees {task.longest():,} tokens at once, the "
            f"prompt among them: at most {task.longest() - 2:,}"
        )
    texts = real_texts(original, most, min(PROMPT_TOKENS, room))
    lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens}
    allowed = args.max_other or 0.0
    settings = {**lengths, "temperature": 0}
    return Rivals("transformers.generate", "generate", texts, allowed, lengths, settings, tokens)


def real_texts(original: ExportSource, count: int, tokens: int | None = None) -> list[str]:
    """Return texts of the test split, drawn by a seed.

    Args:
        tokens: of prompts, the beginnings of texts: so many at most.

    Raises `UserError` where there are none.
    """
    from tasks.nlp.tokenization import beginning

    examples, _ = original.examples("test")
    (rows,) = examples.splits.values()
    rng = np.random.default_rng(0)
    order = rng.choice(len(rows), count, replace=len(rows) < count)
    if tokens is None:
        texts = rows["text"]
        return [texts[i] for i in order]
    task: Any = original.task
    prompts = (task.prompt_in(rows[int(i)]) for i in order)
    # a text of blanks alone is none to go on with
    found = [beginning(one, original.processor, tokens) for one in prompts if (one or "").strip()]
    if not found:
        raise UserError(f"{examples.name} has no text to go on with in its test split")
    return [found[i % len(found)] for i in range(count)]


def arms_of(args: PeersArgs, rivals: Rivals, texts: Path, threads: int) -> list[Arm]:
    """Return the arms of the comparison, the baseline first.

    Raises `UserError` for a deployment that has to be exported before.
    """
    common = {"checkpoint": str(args.checkpoint), "texts": str(texts), "threads": threads}
    given = {**common, **rivals.options}
    arms = [Arm(rivals.baseline, f"{MODULE}:{rivals.function}", given, threads)]
    if rivals.function == "pipeline":
        arms += _plain(args.checkpoint, common, threads)
    for name in args.deployments:
        wanted = Deployment.parse(name)
        if RUNTIMES[wanted.runtime].artifact:
            artifacts.open_artifact(args.checkpoint, wanted)
        given = {**common, "deployment": name, "settings": dict(rivals.settings)}
        arms.append(Arm(f"zoo {wanted}", f"{MODULE}:zoo", given, threads))
    return arms


def _plain(checkpoint: Path, common: Mapping[str, Any], threads: int) -> list[Arm]:
    """Return the arms of classifiers that others would write in a few lines."""
    arms = [Arm("torch.compile", f"{MODULE}:compiled", common, threads)]
    exported = artifacts.folder_of(checkpoint, Deployment("onnx"))
    if (exported / artifacts.MANIFEST).is_file():
        given = {**common, "artifact": str(exported)}
        arms.append(Arm("onnxruntime", f"{MODULE}:onnxruntime", given, threads))
    return arms


def answers_of(arms: Sequence[Arm]) -> Mapping[str, list[str] | None]:
    """Return the answers that each arm gives; None where it can't run, which is printed."""
    found: dict[str, list[str] | None] = {}
    for arm in arms:
        kwargs = {"function": arm.target.partition(":")[2], "kwargs": dict(arm.kwargs)}
        try:
            found[arm.name] = child.call(f"{MODULE}:answers", kwargs, arm.threads)
        except WorkerFailed as error:
            terminal.lines(f"{arm.name}: {error.failed.reason}")
            found[arm.name] = None
    return found


def agrees(wanted: Sequence[str] | None, found: Sequence[str] | None, most: float) -> bool:
    """Return whether at most a share `most` of the answers differ (but one may always, where `most`
    is above 0)."""
    if wanted is None or found is None:
        return False
    others = sum(a != b for a, b in zip(wanted, found, strict=True))
    return others <= max(int(most > 0), most * len(wanted))


def show(outcome: Outcome, size: int, rivals: Rivals) -> None:
    """Print the table of one batch size."""
    rows = []
    for arm in outcome.recording.arms:
        times = next((each for each in outcome.measured if each.arm == arm.name), None)
        if times is None:
            continue
        rate = f"{size / times.median.value:,.1f} texts/s"
        if rivals.new_tokens is not None:
            rate = f"{size * rivals.new_tokens / times.median.value:,.0f} tokens/s"
        cells = [arm.name, formatting.seconds(times.median), rate]
        one = None if arm.name == rivals.baseline else outcome.of(arm.name)
        if one is None or isinstance(one, ArmFailed):
            rows.append((*cells, "1", "baseline"))
            continue
        rows.append((*cells, formatting.ratio(one.speedup), str(one.verdict.word)))
    terminal.table(
        ("who", "a call [99%]", "", "times as fast", "verdict"), rows, title=f"batch {size}"
    )
