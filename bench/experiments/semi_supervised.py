"""cnn_cls with few labels: supervised only, with pseudo-labels, and with FixMatch.

    python -m bench.experiments.semi_supervised --data $ZOO_DATA/fashion_mnist --labels 250 \\
        --steps 2000 --seeds 1 2 3 --output bench/results/semi_supervised.jsonl

Each run is a fresh process, one at a time, the arms of a seed in a random order. A seed chooses the
labelled rows and all that is random in training; arms with the same seed share both, and batch
size, steps, recipe and augmentation of the labelled rows. No validation split is cut: the weights
at the end are tested, and nothing is chosen by them. The unlabelled rows are the rest of train.

A difference is that of a seed's test accuracies, arm - supervised; its interval is Student's t over
the seeds. Results are added to `--output`, and what it has already is not run again.

What was found (Fashion-MNIST, 250 labels, `--flags --widths 16 32 64`, three seeds, n = 10,000
each): after 4,000 steps with `--ratio 3 --threshold 0.8` FixMatch reaches 0.815, supervised only
0.791: +0.025 (+0.008 to +0.041); pseudo-labels -0.004 (-0.043 to +0.035). After 1,000 steps with
the paper's threshold of 0.95 neither was told apart from nothing: FixMatch +0.009 (-0.005 to
+0.023), pseudo-labels -0.002 (-0.025 to +0.020); nor after 2,500.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from bench.experiments import runs
from bench.experiments.runs import LEVEL, Result
from tasks.bounds import Count, Share
from tasks.printing import print_lines
from zoo.store import evidence

MODEL = "zoo.vision.cnn_cls"
BASELINE = "supervised"
ArmName = Literal["supervised", "pseudo", "fixmatch"]
ARMS: tuple[ArmName, ...] = get_args(ArmName)


@dataclass(frozen=True, kw_only=True)
class Args(runs.Args):
    """The flags."""

    data: str = "embedded"
    """images with labels, as cnn_cls takes them"""
    labels: Count = 250
    """labelled training rows"""
    steps: Count = 2000
    """optimizer steps"""
    batch: Count = 32
    """labelled rows in a step"""
    ratio: Count = 7
    """unlabelled rows to a labelled one"""
    threshold: Share = 0.95
    """from which one is sure"""
    arms: tuple[ArmName, ...] = ARMS
    """what to compare"""
    split: str = "test"
    """split that accuracy is measured on"""
    max_eval_samples: Count | None = None
    """for a shorter run"""
    flags: tuple[str, ...] = ()
    """more flags for all arms; last"""


def compare(args: Args) -> None:
    """Run the runs that `--output` does not have yet, and print the table."""
    keys = (
        {"arm": arm, "seed": seed}
        for seed in args.seeds
        for arm in random.sample(args.arms, len(args.arms))
    )
    shown = ("accuracy", "n", "seconds_per_step", "wall_seconds")
    results = runs.complete(
        args.output, _settings(args), keys, lambda key: _run(args, **key), shown
    )
    asked = [r for r in results if r["seed"] in args.seeds and r["arm"] in args.arms]
    print_lines(*table(asked).splitlines())


def _settings(args: Args) -> Result:
    """Return the settings that results depend on, besides arm and seed."""
    names = ("labels", "steps", "batch", "ratio", "threshold", "split", "max_eval_samples")
    own = {name: getattr(args, name) for name in names}
    return {"data": Path(args.data).name, **own, "flags": list(args.flags)}


def command(args: Args, arm: str, seed: int, folder: Path) -> list[str]:
    """Return the arguments of one run after `python -m`."""
    asked: dict[str, Any] = {
        "data": args.data,
        "output_dir": folder,
        "max_train_samples": args.labels,
        "split_seed": seed,
        "seed": seed,
        "max_steps": args.steps,
        "per_device_train_batch_size": args.batch,
        "eval_strategy": "no",
        "report_to": "none",
    }
    if args.split != "validation":
        asked["validation_size"] = 0
    if args.max_eval_samples:
        asked["max_eval_samples"] = args.max_eval_samples
    if arm != BASELINE:
        asked |= {
            "ssl": arm,
            "unlabeled": "rest",
            "unlabeled_ratio": args.ratio,
            "ssl_threshold": args.threshold,
        }
    return [MODEL, "finetune", *runs.flags_of(asked), *args.flags]


def _run(args: Args, arm: str, seed: int) -> Result:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        words = command(args, arm, seed, folder)
        runs.zoo(words)
        found = {fact.name: fact for fact in evidence.read(folder) if fact.split == args.split}
        if "accuracy" not in found:
            runs.zoo([MODEL, "evaluate", str(folder), "--split", args.split])
            found = {fact.name: fact for fact in evidence.read(folder) if fact.split == args.split}
        seconds = next(f.value for f in evidence.read(folder) if f.name == "train_seconds")
    accuracy = found["accuracy"]
    assert accuracy.value is not None and seconds is not None
    return {
        "arm": arm,
        "seed": seed,
        "accuracy": accuracy.value,
        "n": accuracy.n,
        "seconds_per_step": round(seconds / args.steps, 4),
        "wall_seconds": round(time.perf_counter() - begin, 1),  # all of it: start to accuracy
        **_settings(args),
        **evidence.origin(["-m", *words]),
    }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of each arm's accuracy, time, and paired differences to supervised only."""
    lines = [
        f"{'arm':10}  {'seeds':>5}  {'accuracy':>8}  {'range':>16}  {'s/step':>7}  "
        f"difference to {BASELINE}: mean, {LEVEL:.0%} interval (t, n seeds), each seed"
    ]
    base = {r["seed"]: r["accuracy"] for r in results if r["arm"] == BASELINE}
    for arm in ARMS:
        rows = sorted((r for r in results if r["arm"] == arm), key=lambda r: r["seed"])
        if not rows:
            continue
        found = [r["accuracy"] for r in rows]
        paired = [r["accuracy"] - base[r["seed"]] for r in rows if r["seed"] in base]
        shown = ""
        if arm != BASELINE and paired:
            mean, low, high = runs.interval(paired)
            between = f"{low:+.4f} to {high:+.4f}" if len(paired) > 1 else "no interval"
            each = " ".join(f"{x:+.4f}" for x in paired)
            shown = f"{mean:+.4f}, {between} (n = {len(paired)}): {each}"
        lines.append(
            f"{arm:10}  {len(rows):>5}  {statistics.mean(found):>8.4f}  "
            f"{f'{min(found):.4f} to {max(found):.4f}':>16}  "
            f"{statistics.median(r['seconds_per_step'] for r in rows):>7.3f}  {shown}".rstrip()
        )
    commits = sorted({f"{r['commit']}"[:7] for r in results})
    sizes = sorted({str(r["n"]) for r in results})
    lines.append(f"accuracy on n = {', '.join(sizes)} rows; commit {', '.join(commits)}")
    return "\n".join(lines)


main = partial(runs.main, "bench.experiments.semi_supervised", __doc__, Args, compare)

if __name__ == "__main__":
    sys.exit(main())
