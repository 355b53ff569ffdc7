"""Rounds of a comparison: every arm a fresh process, one at a time, in a new random order a round.

A module says what its arms are and hands over to `main`. Results are added to a file as lines of
JSON, and a run that was cut off goes on where it stopped: what the file has of the same commit and
settings is not measured again.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.printing import print_lines
from zoo.machine import environment
from zoo.store import lines

if TYPE_CHECKING:
    from zoo.model.entry import Entry
    from zoo.train.args import TrainArgs

FIRST = "zoo"  # the arm that the others are compared with
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    args: argparse.Namespace
    arm: str
    batch: int
    seed: int
    folder: Path  # for what it writes; removed afterwards


@dataclass(frozen=True)
class Measured:
    """What an arm found."""

    samples_per_second: float  # of the training loop: data and steps, no evaluation, no saving
    score: float  # the comparison's metric


@dataclass(frozen=True)
class Comparison:
    """Arms that do the same work."""

    module: str  # run as `python -m MODULE`
    unit: str  # "images"
    arms: Mapping[str, Callable[[Case], Measured]]
    settings: tuple[str, ...]  # flags that results depend on
    metric: str = "accuracy"


def parser(about: str | None, arms: Sequence[str], default: Sequence[str]) -> Any:
    """The flags that every comparison has; a module adds its own."""
    flags = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter, allow_abbrev=False
    )
    flags.add_argument("--data", required=True, help="folder of the data, with its splits")
    flags.add_argument("--batch_sizes", type=int, nargs="+", default=[32])
    flags.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one a round")
    flags.add_argument("--arms", nargs="+", choices=arms, default=list(default))
    flags.add_argument("--max_train_samples", type=int, help="for a shorter run")
    flags.add_argument("--threads", type=int, help="of an arm's process; as the machine has it")
    flags.add_argument("--output", type=Path, help="jsonl file that results are added to")
    flags.add_argument(
        "--flags", nargs=argparse.REMAINDER, default=[], help="more flags for the zoo; last"
    )
    flags.add_argument("--one", choices=arms, help=argparse.SUPPRESS)
    return flags


def main(comparison: Comparison, args: argparse.Namespace) -> None:
    """Runs all rounds and prints a table; in a process for one arm, that arm."""
    if args.one:
        print_lines(json.dumps(_one(comparison, args)))
        return
    case = _settings(comparison, args) | {"commit": environment.commit()["commit"]}
    results = [r for r in _read(args.output) if case.items() <= r.items()]
    for seed in args.seeds:
        for batch in args.batch_sizes:
            for arm in random.sample(args.arms, len(args.arms)):
                key = {"arm": arm, "batch": batch, "seed": seed}
                if any(key.items() <= r.items() for r in results):
                    continue
                result = _launch(comparison, args, arm, batch, seed)
                results.append(result)
                shown = ("samples_per_second", comparison.metric, "wall_seconds")
                print_lines(json.dumps(key | {name: result[name] for name in shown}))
                if args.output:
                    _add(args.output, result)
    report(comparison, results, args.batch_sizes)


def _launch(
    comparison: Comparison, args: argparse.Namespace, arm: str, batch: int, seed: int
) -> Result:
    words = sys.argv[1:]
    rest = words.index("--flags") if "--flags" in words else len(words)
    own = ["--one", arm, "--batch_sizes", str(batch), "--seeds", str(seed)]
    command = [sys.executable, "-m", comparison.module, *words[:rest], *own, *words[rest:]]
    threads = {"OMP_NUM_THREADS": str(args.threads)} if args.threads else {}
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ran.stderr[-3000:]}")
    result: Result = json.loads(ran.stdout.strip().splitlines()[-1])
    return result


def _one(comparison: Comparison, args: argparse.Namespace) -> Result:
    batch, seed = args.batch_sizes[0], args.seeds[0]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, _silent():
        case = Case(args, args.one, batch, seed, Path(folder))
        found = comparison.arms[args.one](case)
    return {
        "arm": args.one,
        "batch": batch,
        "seed": seed,
        "samples_per_second": round(found.samples_per_second, 2),
        comparison.metric: round(found.score, 4),
        "wall_seconds": round(time.perf_counter() - begin, 1),  # all of it: reading to accuracy
        **_settings(comparison, args),
        "machine": environment.machine(),
        "versions": environment.versions(),
        **environment.commit(),
    }


def _settings(comparison: Comparison, args: argparse.Namespace) -> Result:
    common = {"data": Path(args.data).name, "threads": args.threads, "flags": args.flags}
    own = {name: getattr(args, name) for name in comparison.settings}
    return common | {"max_train_samples": args.max_train_samples} | own


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The last line of standard output is the result: all else goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _read(path: Path | None) -> list[Result]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _add(path: Path, result: Result) -> None:
    lines.append(path, json.dumps(result) + "\n")


def report(comparison: Comparison, results: list[Result], batch_sizes: Sequence[int]) -> None:
    """Medians and ranges of each arm, and the ratio zoo / other of each round."""
    width = max(map(len, comparison.arms))
    print_lines(
        f"{'batch':>5}  {'arm':{width}}  {comparison.unit + '/s':>9}  {'range':>18}  "
        f"{comparison.metric:>8}  ratio zoo / arm: median (range), of each round"
    )
    for batch in batch_sizes:
        of_batch = [r for r in results if r["batch"] == batch]
        ours = {r["seed"]: r["samples_per_second"] for r in of_batch if r["arm"] == FIRST}
        for arm in comparison.arms:
            rows = [r for r in of_batch if r["arm"] == arm]
            if not rows:
                continue
            speeds = [r["samples_per_second"] for r in rows]
            score = statistics.mean(r[comparison.metric] for r in rows)
            ratios = [ours[r["seed"]] / r["samples_per_second"] for r in rows if r["seed"] in ours]
            ratio = ""
            if ratios and arm != FIRST:
                ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                ratio += f": {' '.join(f'{r:.2f}' for r in ratios)}"
            spread = f"{min(speeds):.1f} to {max(speeds):.1f}"
            print_lines(
                f"{batch:>5}  {arm:{width}}  {statistics.median(speeds):>9.1f}  {spread:>18}  "
                f"{score:>8.4f}  {ratio}".rstrip()
            )


def by_zoo(
    entry: "Entry", case: Case, words: Sequence[str], split: str, metric: str = "accuracy"
) -> Measured:
    """Fine-tunes by the zoo's own command line, `words` added to it; the metric is of `split`."""
    args, out = case.args, str(case.folder / "zoo")
    train = ["finetune", "--data", args.data, "--output_dir", out, "--seed", str(case.seed)]
    train += ["--per_device_train_batch_size", str(case.batch), *words]
    if args.max_train_samples:
        train += ["--max_train_samples", str(args.max_train_samples)]
    facts = _facts(entry, [*train, *args.flags], out, split)
    if metric not in facts:
        facts = _facts(entry, ["evaluate", out, "--split", split, "--mistakes", "0"], out, split)
    return Measured(facts["train_samples_per_second"], facts[metric])


def trainer_arguments(case: Case, recipe: "TrainArgs", **more: Any) -> Any:
    """TrainingArguments that train as the recipe does: on the processor, and doing nothing else."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(case.folder),
        per_device_train_batch_size=case.batch,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_steps,
        lr_scheduler_type=recipe.lr_scheduler_type,
        max_grad_norm=recipe.max_grad_norm,
        label_smoothing_factor=recipe.label_smoothing_factor,
        logging_steps=recipe.logging_steps,
        seed=case.seed,
        use_cpu=True,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **more,
    )


def _facts(entry: "Entry", command: list[str], folder: str, split: str) -> dict[str, float]:
    """What a checkpoint's evidence says after a command: numbers by name, metrics of `split`."""
    from zoo.cli.verbs import main as zoo_main
    from zoo.store import evidence

    if zoo_main(entry, command):
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        fact.name: float(fact.value)
        for fact in evidence.read(Path(folder))
        if fact.value is not None and (fact.kind != "metric" or fact.split == split)
        if fact.kind != "class"
    }
