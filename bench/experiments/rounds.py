"""Rounds of a comparison: every arm a fresh process, one at a time, in a new random order a round.

A module says what its arms are and hands over to `main`. Results are added to a file as lines of
JSON, and a run that was cut off goes on where it stopped: what the file has of the same commit and
settings is not measured again.
"""

import contextlib
import dataclasses
import importlib
import io
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from bench.cases import child
from bench.experiments import runs
from bench.experiments.runs import Result
from tasks.bounds import Count, Threads
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.machine import environment
from zoo.measure.process import WorkerFailed

if TYPE_CHECKING:
    from zoo.model.entry import Entry
    from zoo.train.args import TrainArgs

FIRST = "zoo"  # the arm that the others are compared with
LONGEST_S = 7 * 86_400.0  # of an arm


@dataclass(frozen=True, kw_only=True)
class Args(runs.Args):
    """The flags of a comparison in rounds; a module says its arms, and adds flags of its own."""

    data: str
    """folder of the data, with its splits"""
    batch_sizes: tuple[Count, ...] = (32,)
    """rows of a step"""
    arms: tuple[Any, ...] = ()
    """what to compare"""
    max_train_samples: Count | None = None
    """for a shorter run"""
    device: Literal["cpu", "cuda"] = "cpu"
    """that all arms train on"""
    threads: Threads | None = None
    """of an arm's process; as the machine has it by default"""
    flags: tuple[str, ...] = ()
    """more flags for the zoo; last"""


@dataclass(frozen=True, kw_only=True)
class PretrainedArgs(Args):
    """The flags of a comparison that trains pretrained weights."""

    model: str = "minilm"
    """pretrained weights: a preset, a folder, or a Hub id"""

    @property
    def weights(self) -> str:
        """The name of `model` in results, without a path of this machine."""
        return PurePath(self.model).name


@dataclass(frozen=True)
class RoundCase:
    """The case that one process measures."""

    args: Any
    """the comparison's own kind of `Args`"""
    arm: str
    batch: int
    seed: int
    folder: Path  # for what it writes; removed afterwards


@dataclass(frozen=True)
class ArmMeasurement:
    """The measurements of one arm."""

    samples_per_second: float  # of the training loop: data and steps, no evaluation, no saving
    score: float  # the comparison's metric


@dataclass(frozen=True)
class RoundComparison:
    """The definition of a comparison: arms that do the same work."""

    module: str  # run as `python -m MODULE`
    unit: str  # "images"
    args: type[Args]
    arms: Mapping[str, Callable[[RoundCase], ArmMeasurement]]
    settings: tuple[str, ...]  # flags that results depend on
    metric: str = "accuracy"


def main(comparison: RoundComparison, about: str | None, argv: Sequence[str] | None = None) -> int:
    """Run a comparison as a program; return the exit code of `bench.experiments.runs.main`."""
    return runs.main(
        comparison.module, about, comparison.args, lambda args: compare(comparison, args), argv
    )


def compare(comparison: RoundComparison, args: Args) -> None:
    """Run the rounds that have no result yet, and print the table."""
    settings = _settings(comparison, args) | {"commit": environment.commit()["commit"]}
    keys = (
        {"arm": arm, "batch": batch, "seed": seed}
        for seed in args.seeds
        for batch in args.batch_sizes
        for arm in random.sample(args.arms, len(args.arms))
    )
    shown = ("samples_per_second", comparison.metric, "wall_seconds")
    results = runs.complete(
        args.output, settings, keys, lambda key: _launch(comparison, args, **key), shown
    )
    report(comparison, results, args.batch_sizes)


def _launch(comparison: RoundComparison, args: Args, arm: str, batch: int, seed: int) -> Result:
    kwargs = {"module": comparison.module, "arm": arm, "batch": batch, "seed": seed}
    kwargs["args"] = dataclasses.asdict(args) | {"output": None}
    target = f"{measure.__module__}:{measure.__name__}"
    with failures_told(f"{arm}, batch {batch}, seed {seed}"):
        result: Result = child.call(target, kwargs, args.threads, timeout_s=LONGEST_S)
    return result


@contextlib.contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Raise `UserError` or SystemExit, naming `what` was measured, for a process that failed."""
    try:
        yield
    except WorkerFailed as error:
        said = f"{what}: {error.failed.reason}"
        raise (UserError if error.failed.status == "unavailable" else SystemExit)(said) from None


def measure(module: str, args: Mapping[str, Any], arm: str, batch: int, seed: int) -> Result:
    """In a process of its own: run one arm once and return its result.

    Args:
        module: the module of the comparison, which defines `COMPARISON`.
        args: JSON fields of the comparison's `Args`.
    """
    comparison: RoundComparison = importlib.import_module(module).COMPARISON
    given: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in args.items()}
    asked = comparison.args(**given)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = comparison.arms[arm](RoundCase(asked, arm, batch, seed, Path(folder)))
    return {
        "arm": arm,
        "batch": batch,
        "seed": seed,
        "samples_per_second": round(found.samples_per_second, 2),
        comparison.metric: round(found.score, 4),
        "wall_seconds": round(time.perf_counter() - begin, 1),  # all of it: reading to accuracy
        **_settings(comparison, asked),
        "machine": environment.machine(gpu=asked.device == "cuda"),
        "versions": environment.versions(),
        **environment.commit(),
    }


def _settings(comparison: RoundComparison, args: Args) -> Result:
    common = {"data": Path(args.data).name, "threads": args.threads, "flags": list(args.flags)}
    common["device"] = args.device
    own = {name: getattr(args, name) for name in comparison.settings}
    return common | {"max_train_samples": args.max_train_samples} | own


def report(comparison: RoundComparison, results: list[Result], batch_sizes: Sequence[int]) -> None:
    """Print medians and ranges of each arm, and the ratio zoo / other of each round."""
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
    entry: "Entry", case: RoundCase, words: Sequence[str], split: str, metric: str = "accuracy"
) -> ArmMeasurement:
    """Fine-tune by the zoo's command line, with `words` appended; the metric is of `split`."""
    args, out = case.args, str(case.folder / "zoo")
    train = ["finetune", "--data", args.data, "--output_dir", out, "--seed", str(case.seed)]
    train += ["--per_device_train_batch_size", str(case.batch), "--device", args.device, *words]
    if args.max_train_samples:
        train += ["--max_train_samples", str(args.max_train_samples)]
    facts = facts_of(entry, [*train, *args.flags], out, split)
    if metric not in facts:
        test = ["evaluate", out, "--split", split, "--mistakes", "0", "--device", args.device]
        facts = facts_of(entry, test, out, split)
    return ArmMeasurement(facts["train_samples_per_second"], facts[metric])


def half_precision(device: str) -> dict[str, bool]:
    """Return TrainingArguments' flag for half precision on a device: bf16 if supported, or fp16."""
    import torch

    no_bf16 = device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return {"fp16" if no_bf16 else "bf16": True}


def trainer_arguments(case: RoundCase, recipe: "TrainArgs", **more: Any) -> Any:
    """Return TrainingArguments for the recipe, without saving, evaluating or reporting."""
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
        use_cpu=case.args.device == "cpu",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **more,
    )


def facts_of(entry: "Entry", command: list[str], folder: str, split: str) -> dict[str, float]:
    """Run a command; return the numbers in the checkpoint's evidence, with metrics of `split`."""
    from zoo.cli.verbs import main as zoo_main
    from zoo.store import evidence

    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = zoo_main(entry, command)
    if code:
        last = (said.getvalue().strip().splitlines() or ["no word"])[-1]
        raise (UserError if code == 2 else RuntimeError)(f"{' '.join(command)} failed: {last}")
    return {
        fact.name: float(fact.value)
        for fact in evidence.read(Path(folder))
        if fact.value is not None and (fact.kind != "metric" or fact.split == split)
        if fact.kind != "class"
    }
