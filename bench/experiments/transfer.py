"""What own weights are worth where labels are few: from a checkpoint of ours, and from scratch.

    python -m bench.experiments.transfer --data $ZOO_DATA --seeds 1 2 3 \\
        --output bench/results/transfer.jsonl

Three tasks, each with a source that has many labels and a target that has few (50):

- images: cnn_cls, Fashion-MNIST (Xiao et al. 2017), classes 0 to 4, then classes 5 to 9;
- words: kws_cls, the embedded words, the first five of them, then the other five;
- reviews: rnn_cls, movie reviews by the labels positive and negative, then other reviews, whose
  labels are called good and bad: the same question under a new head.

For each seed a network is trained on the source, and on the target three times: from scratch, from
the source's checkpoint (`--model`), and from that with its body frozen (`--tune head`). The three
share rows, order, steps and recipe, but for the learning rate of a head alone, which is ten times
the model's own (chosen on the images with seed 11, which is not among the usual ones). The seed
draws the rows of source and target, and all weights that are new. Nothing is chosen by a validation
split: the weights at the end are tested, on the whole test split of the target. A difference is
that of a seed's test accuracies, and its interval Student's t over the seeds.

One process measures a task and a seed, one after the other; a line of `--output` is its result, and
what stands there already is not run again.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bench.cases import child
from bench.experiments import rounds, runs
from bench.experiments.runs import LEVEL, Result
from tasks.bounds import Count, Threads
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.machine import environment
from zoo.model import registry

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "bench.experiments.transfer"
TaskName = Literal["images", "words", "reviews"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
SCRATCH, WEIGHTS, HEAD = "scratch", "weights", "head"
ARMS = (SCRATCH, WEIGHTS, HEAD)
MODELS = {"images": "cnn_cls", "words": "kws_cls", "reviews": "rnn_cls"}
CLASSES = 10  # of the images and of the words; half of them are the source's
RENAMED = {"positive": "good", "negative": "bad"}
SHAPES = {
    "images": "--widths 16 32 64",
    "words": "--hidden_size 64",
    "reviews": "--vocab_size 4000",
}
"""Flags for what is new: the source, and from scratch; the others have the source's."""
RATES = {SCRATCH: 1.0, WEIGHTS: 1.0, HEAD: 10.0}
"""Of each arm, in learning rates of the model's recipe."""
LONGEST_S = 3600.0  # of a task and a seed


@dataclass(frozen=True, kw_only=True)
class Args(runs.Args):
    """The flags."""

    data: Path
    """folder that holds the folders fashion_mnist and movie_reviews"""
    tasks: tuple[TaskName, ...] = TASKS
    """what to compare on"""
    labels: Count = 50
    """labelled rows of the target"""
    source_rows: Count = 5000
    """labelled rows of the source, at most"""
    source_epochs: Count = 3
    """passes over the source"""
    steps: Count = 150
    """optimizer steps on the target"""
    max_eval_samples: Count | None = None
    """for a shorter run"""
    threads: Threads | None = None
    """of each process; as the machine has it by default"""


def compare(args: Args) -> None:
    """Run what has no result yet, and print the table."""
    keys = ({"task": task, "seed": seed} for seed in args.seeds for task in args.tasks)
    settings = _settings(args) | {"commit": environment.commit()["commit"]}
    shown = (*ARMS, "n", "wall_seconds")
    results = runs.complete(args.output, settings, keys, lambda key: _launch(args, **key), shown)
    asked = [r for r in results if r["seed"] in args.seeds and r["task"] in args.tasks]
    print_lines(*table(asked).splitlines())


def _settings(args: Args) -> Result:
    """Return the settings that results depend on, besides task and seed."""
    names = ("labels", "source_rows", "source_epochs", "steps", "max_eval_samples", "threads")
    return {name: getattr(args, name) for name in names}


def _launch(args: Args, task: str, seed: int) -> Result:
    given = dataclasses.asdict(args) | {"data": str(args.data), "output": None}
    kwargs = {"args": given, "task": task, "seed": seed}
    target = f"{NAME}:{measure.__name__}"  # by `python -m`, its own module is "__main__"
    with rounds.failures_told(f"{task}, seed {seed}"):
        result: Result = child.call(target, kwargs, args.threads, timeout_s=LONGEST_S)
    return result


def measure(args: Mapping[str, Any], task: str, seed: int) -> Result:
    """In a process of its own: train a task's source and its three targets, and return their test
    accuracies.

    Args:
        args: JSON fields of `Args`.
    """
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in args.items()
    }
    asked = Args(**(given | {"data": Path(args["data"])}))
    begin = time.perf_counter()
    entry = registry.find(MODELS[task])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(task, asked.data, folder)
        found = {}
        for arm in ("source", *ARMS):
            words, out = command(asked, task, arm, seed, folder), str(folder / arm)
            found[arm] = rounds.facts_of(entry, words, out, "test")
        n = _test_rows(folder / "data" / "target", asked.max_eval_samples)
    return {
        "task": task,
        "seed": seed,
        **{arm: round(facts["accuracy"], 4) for arm, facts in found.items()},
        "n": n,
        "wall_seconds": round(time.perf_counter() - begin, 1),
        **_settings(asked),
        "machine": environment.machine(),
        "versions": environment.versions(),
        **environment.commit(),
    }


def command(args: Args, task: str, arm: str, seed: int, folder: Path) -> list[str]:
    """Return the arguments of one training after the model's name: of the source, or of an arm of
    the target."""
    is_source = arm == "source"
    asked: dict[str, Any] = {
        "data": folder / "data" / ("source" if is_source else "target"),
        "output_dir": folder / arm,
        "max_train_samples": args.source_rows if is_source else args.labels,
        "split_seed": seed,
        "seed": seed,
        "validation_size": 0,
        "eval_strategy": "no",
        "report_to": "none",
    }
    if is_source:
        asked["num_train_epochs"] = args.source_epochs
    else:
        rate = registry.find(MODELS[task]).recipe["learning_rate"] * RATES[arm]
        asked |= {"max_steps": args.steps, "per_device_train_batch_size": min(32, args.labels)}
        asked["learning_rate"] = f"{rate:.3g}"
    if args.max_eval_samples:
        asked["max_eval_samples"] = args.max_eval_samples
    words = ["finetune", *runs.flags_of(asked)]
    if arm in (WEIGHTS, HEAD):
        words += ["--model", str(folder / "source")]
    else:
        words += SHAPES[task].split()
    return [*words, "--tune", "head"] if arm == HEAD else words


def write(task: str, data: Path, folder: Path) -> None:
    """Write a task's rows as parquet: `data/source` and `data/target` in a folder, each with the
    splits train and test.

    Raises `UserError` where the data are not there.
    """
    import pyarrow.parquet as pq

    read = {"images": _images, "words": _words, "reviews": _reviews}[task]
    for part in ("source", "target"):
        place = folder / "data" / part
        place.mkdir(parents=True)
        for split in ("train", "test"):
            pq.write_table(read(data, part, split), place / f"{split}.parquet")


def _test_rows(target: Path, most: int | None) -> int:
    import pyarrow.parquet as pq

    rows = int(pq.read_metadata(target / "test.parquet").num_rows)
    return rows if most is None else min(rows, most)


def _images(data: Path, part: str, split: str) -> "pa.Table":
    return _half(_table(data / "fashion_mnist" / f"{split}.parquet"), part, "image")


def _words(data: Path, part: str, split: str) -> "pa.Table":
    from tasks.speech.embedded import spoken

    table = spoken.words()[split].with_format("arrow")[:]
    return _half(table.rename_columns({"media": "audio"}), part, "audio")


def _half(table: "pa.Table", part: str, media: str) -> "pa.Table":
    """Return the rows of half of the classes, labelled by name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    half = CLASSES // 2
    classes = range(half) if part == "source" else range(half, CLASSES)
    kept = table.filter(pc.is_in(table["label"], pa.array(classes, table["label"].type)))
    names = [f"class {label}" for label in kept["label"].to_pylist()]
    return pa.table({media: kept[media].combine_chunks(), "label": names})


def _reviews(data: Path, part: str, split: str) -> "pa.Table":
    """Return the even rows of train for the source, the odd ones for the target; all of test."""
    import pyarrow as pa
    from pyarrow import csv

    path = data / "movie_reviews" / f"{split}.csv"
    _must_be_there(path)
    newlines = csv.ParseOptions(newlines_in_values=True)
    rows = csv.read_csv(path, parse_options=newlines).to_pylist()
    if split == "train":
        rows = rows[part == "target" :: 2]
    names = [RENAMED[row["label"]] if part == "target" else row["label"] for row in rows]
    return pa.table({"text": [row["text"] for row in rows], "label": names})


def _table(path: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    _must_be_there(path)
    return pq.read_table(path)


def _must_be_there(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"there is no file {path}: give a folder that has it", "data")


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a table: each arm's mean test accuracy, and its paired differences to from scratch."""
    lines = [
        f"{'task':8}  {'arm':8}  {'seeds':>5}  {'accuracy':>8}  {'range':>16}  {'n':>6}  "
        f"difference to {SCRATCH}: mean, {LEVEL:.0%} interval (t, n seeds), each seed"
    ]
    for task in TASKS:
        rows = sorted((r for r in results if r["task"] == task), key=lambda r: r["seed"])
        for arm in ARMS if rows else ():
            found = [r[arm] for r in rows]
            shown = ""
            if arm != SCRATCH:
                paired = [r[arm] - r[SCRATCH] for r in rows]
                mean, low, high = runs.interval(paired)
                between = f"{low:+.4f} to {high:+.4f}" if len(paired) > 1 else "no interval"
                each = " ".join(f"{x:+.4f}" for x in paired)
                shown = f"{mean:+.4f}, {between} (n = {len(paired)}): {each}"
            lines.append(
                f"{task:8}  {arm:8}  {len(rows):>5}  {statistics.mean(found):>8.4f}  "
                f"{f'{min(found):.4f} to {max(found):.4f}':>16}  {rows[0]['n']:>6,}  {shown}"
            )
    return "\n".join(line.rstrip() for line in lines)


main = partial(runs.main, NAME, __doc__, Args, compare)

if __name__ == "__main__":
    sys.exit(main())
