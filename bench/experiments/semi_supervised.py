"""cnn_cls with few labels: supervised only, with pseudo-labels, and with FixMatch.

    python -m bench.experiments.semi_supervised --data $ZOO_DATA/fashion_mnist --labels 250 \\
        --steps 2000 --seeds 1 2 3 --output bench/results/semi_supervised.jsonl

Each run is a fresh process, one at a time, the arms of a seed in a random order. A seed chooses the
labelled rows and all that is random in training; arms with the same seed share both, and batch
size, steps, recipe and augmentation of the labelled rows. No validation split is cut: the weights
at the end are tested, and nothing is chosen by them. The unlabelled rows are the rest of train.

A difference is that of a seed's test accuracies, arm - supervised; its interval is Student's t over
the seeds. Results are added to `--output`, and what it has already is not run again.
"""

import argparse
import json
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.metrics.intervals import t_half_width
from tasks.printing import print_lines
from zoo.store import evidence
from zoo.store.lines import append

MODEL = "zoo.vision.cnn_cls"
BASELINE = "supervised"
ARMS = (BASELINE, "pseudo", "fixmatch")
LEVEL = 0.95

Result = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what `--output` lacks and prints the table."""
    args = _parser().parse_args(argv)
    results = [r for r in _read(args.output) if _settings(args).items() <= r.items()]
    for seed in args.seeds:
        for arm in random.sample(args.arms, len(args.arms)):
            if any(r["arm"] == arm and r["seed"] == seed for r in results):
                continue
            result = _run(args, arm, seed)
            results.append(result)
            shown = ("arm", "seed", "accuracy", "n", "seconds_per_step", "wall_seconds")
            print_lines(json.dumps({name: result[name] for name in shown}))
            if args.output:
                append(args.output, json.dumps(result) + "\n")
    asked = [r for r in results if r["seed"] in args.seeds and r["arm"] in args.arms]
    print_lines(*table(asked).splitlines())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", default="embedded", help="images with labels, as cnn_cls takes")
    parser.add_argument("--labels", type=int, default=250, help="labelled training rows")
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps")
    parser.add_argument("--batch", type=int, default=32, help="labelled rows in a step")
    parser.add_argument("--ratio", type=int, default=7, help="unlabelled rows to a labelled one")
    parser.add_argument("--threshold", type=float, default=0.95, help="from which one is sure")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--split", default="test", help="split that accuracy is measured on")
    parser.add_argument("--max_eval_samples", type=int, help="for a shorter run")
    parser.add_argument("--output", type=Path, help="jsonl file that results are added to")
    parser.add_argument(
        "--flags", nargs=argparse.REMAINDER, default=[], help="more flags for all arms; last"
    )
    return parser


def _settings(args: argparse.Namespace) -> Result:
    """What results depend on beside arm and seed."""
    names = ("labels", "steps", "batch", "ratio", "threshold", "split", "max_eval_samples", "flags")
    return {"data": Path(args.data).name} | {name: getattr(args, name) for name in names}


def command(args: argparse.Namespace, arm: str, seed: int, folder: Path) -> list[str]:
    """The words of one run, after `python`."""
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
    flags = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    return ["-m", MODEL, "finetune", *flags, *args.flags]


def _run(args: argparse.Namespace, arm: str, seed: int) -> Result:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        words = command(args, arm, seed, folder)
        _python(words)
        found = {fact.name: fact for fact in evidence.read(folder) if fact.split == args.split}
        if "accuracy" not in found:
            _python(["-m", MODEL, "evaluate", str(folder), "--split", args.split])
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
        **evidence.origin(words),
    }


def _python(words: Sequence[str]) -> None:
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"python {shlex.join(words)} failed:\n{ran.stderr[-3000:]}")


def _read(path: Path | None) -> list[Result]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def interval(differences: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Student's t interval of the mean (Student 1908); not a number for fewer than two values."""
    mean, half = statistics.mean(differences), t_half_width(differences, level)
    return mean - half, mean + half


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy and time of each arm, and its paired differences to supervised only."""
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
            low, high = interval(paired)
            between = f"{low:+.4f} to {high:+.4f}" if len(paired) > 1 else "no interval"
            each = " ".join(f"{x:+.4f}" for x in paired)
            shown = f"{statistics.mean(paired):+.4f}, {between} (n = {len(paired)}): {each}"
        lines.append(
            f"{arm:10}  {len(rows):>5}  {statistics.mean(found):>8.4f}  "
            f"{f'{min(found):.4f} to {max(found):.4f}':>16}  "
            f"{statistics.median(r['seconds_per_step'] for r in rows):>7.3f}  {shown}".rstrip()
        )
    commits = sorted({f"{r['commit']}"[:7] for r in results})
    sizes = sorted({str(r["n"]) for r in results})
    lines.append(f"accuracy on n = {', '.join(sizes)} rows; commit {', '.join(commits)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
