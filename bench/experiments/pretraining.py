"""What pretraining without labels is worth: bert_cls from bert_mlm's weights, and from scratch.

    python -m bench.experiments.pretraining --seeds 1 2 3 --output bench/results/pretraining.jsonl

For each seed, on the embedded corpus: bert_mlm is pretrained on the texts of the training split,
without their labels; bert_cls is fine-tuned from that checkpoint on a few of them, chosen by the
seed, with their labels; and bert_cls is trained from new weights of the same shape, with the same
tokenizer, rows, order, steps and recipe. Every run is a fresh process, one at a time. The epoch
that is best on validation is tested: accuracy is that of the test split in fp32.

A run is one line of the output; what stands there already is not run again, and with `--folder`
a pretraining that was cut off goes on. The difference (pretrained minus from scratch) is paired by
seed: its mean with Student's 95% interval.

What was found (5,610 sentences, 128 wide, two layers, 20 epochs without dropout, then 250 of them
with labels): test accuracy 0.494 pretrained and 0.410 from scratch, +0.084 (+0.017 to +0.151, three
seeds, n = 704). In three other settings, with 1,000 labels or all of them, pretraining lost 0.02
(one seed each).
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.experiments import runs
from bench.experiments.runs import Result, interval
from tasks.bounds import Count, Positive
from tasks.printing import print_lines
from zoo.machine import environment
from zoo.store import evidence

PRETRAIN, PRETRAINED, SCRATCH = "pretrain", "pretrained", "scratch"
EPOCHS = {PRETRAIN: 20.0, "finetune": 40.0}
"""Passes over the training split, and over its labelled rows."""
LABELS = 250
MASKING = (
    "--hidden_size 128 --num_layers 2 --num_heads 2 --vocab_size 4000 --max_length 64 "
    "--mlm_probability 0.3 --dropout 0"
)
"""Perplexity of the test split, seed 1: 104. With dropout 0.1, masks of 15% and a learning rate of
2e-3 it was 295 after 12 epochs; to guess by frequency alone is 470 (on validation).
"""
RECIPE = "--max_length 64 --learning_rate 1e-3"
"""Of both bert_cls; its own learning rate is for weights that have seen much more."""


@dataclass(frozen=True, kw_only=True)
class Args(runs.Args):
    """The flags."""

    pretrain_epochs: Positive = EPOCHS[PRETRAIN]
    """passes over the texts of the training split"""
    finetune_epochs: Positive = EPOCHS["finetune"]
    """passes over its labelled rows"""
    labels: Count = LABELS
    """labelled rows of bert_cls"""
    pretrain_flags: str = MASKING
    """flags for bert_mlm, in one word"""
    finetune_flags: str = RECIPE
    """flags for both bert_cls, in one word"""
    folder: Path | None = None
    """where checkpoints stay; thrown away if none"""


def compare(args: Args) -> None:
    """Run the runs that have no result yet, and print the table."""
    done = runs.read(args.output)
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.folder / str(seed) if args.folder else Path(temporary)
            done = run_seed(args, seed, folder, done)
    report(args, done)


def wanted(args: Args, arm: str, seed: int) -> Result:
    """Return the fields that identify a run: arm, seed, epochs, labels and flags."""
    epochs = [args.pretrain_epochs, args.finetune_epochs]
    flags = [args.pretrain_flags, args.finetune_flags]
    return {"arm": arm, "seed": seed, "epochs": epochs, "labels": args.labels, "flags": flags}


def find(args: Args, arm: str, seed: int, done: Sequence[Result]) -> Result | None:
    """Return the result of a run from the finished ones, or None."""
    key = wanted(args, arm, seed)
    return next((run for run in done if key.items() <= run.items()), None)


def command(args: Args, arm: str, seed: int, folder: Path) -> list[str]:
    """Return the arguments of one run after `python -m`; it writes to the arm's own folder."""
    if arm == PRETRAIN:
        words = ["zoo.nlp.bert_mlm", "pretrain", "--resume"]
        epochs, flags = args.pretrain_epochs, args.pretrain_flags
    else:
        words = ["zoo.nlp.bert_cls", "finetune", "--model", str(folder / PRETRAIN)]
        words += ["--max_train_samples", str(args.labels), "--split_seed", str(seed)]
        words += ["--from_scratch"] if arm == SCRATCH else []
        epochs, flags = args.finetune_epochs, args.finetune_flags
    words += ["--num_train_epochs", str(epochs), *flags.split(), "--seed", str(seed)]
    return [*words, "--output_dir", str(folder / arm), "--report_to", "none"]


def run_seed(args: Args, seed: int, folder: Path, done: list[Result]) -> list[Result]:
    """Run what is missing of a seed; return all results.

    Both fine-tunes need the checkpoint (from scratch takes its shape and tokenizer), so pretraining
    runs again where only one of them is there; of a finished one that means loading it.
    """
    arms = [arm for arm in (PRETRAINED, SCRATCH) if find(args, arm, seed, done) is None]
    if not arms:
        return done
    for arm in (PRETRAIN, *arms):
        measured = run(command(args, arm, seed, folder), folder / arm)
        if find(args, arm, seed, done) is not None:  # pretraining, run again for its weights
            continue
        result = wanted(args, arm, seed) | measured
        result |= {"machine": environment.machine(), "versions": environment.versions()}
        result |= environment.commit()
        done = [*done, result]
        runs.add(args.output, result, ("arm", "seed", "accuracy", "perplexity", "train_seconds"))
    return done


def run(command: Sequence[str], out: Path) -> Result:
    """Run a command in a process of its own; return its metrics of the test split and its time."""
    runs.zoo(command)
    facts = evidence.read(out)
    found = {fact.name: fact.value for fact in facts if fact.split in ("test", "train")}
    names = ("accuracy", "perplexity", "train_seconds", "train_samples_per_second")
    n = next(fact.n for fact in facts if fact.kind == "metric")
    return {name: round(float(found[name] or 0), 4) for name in names if name in found} | {"n": n}


def report(args: Args, done: Sequence[Result]) -> None:
    """Print accuracies by seed, their differences, and the mean difference with its interval."""
    print_lines(
        f"{'seed':>5}  {'perplexity':>10}  {PRETRAINED:>10}  {SCRATCH:>10}  {'difference':>10}"
    )
    differences = []
    for seed in args.seeds:
        start, ours, theirs = (
            find(args, arm, seed, done) for arm in (PRETRAIN, PRETRAINED, SCRATCH)
        )
        if ours is None or theirs is None:
            continue
        differences.append(ours["accuracy"] - theirs["accuracy"])
        perplexity = f"{start['perplexity']:.1f}" if start else "-"
        print_lines(
            f"{seed:>5}  {perplexity:>10}  {ours['accuracy']:>10.4f}  {theirs['accuracy']:>10.4f}  "
            f"{differences[-1]:>+10.4f}"
        )
    if differences:
        mean, low, high = interval(differences)
        print_lines(
            f"pretrained minus from scratch: {mean:+.4f}, 95% interval {low:+.4f} to {high:+.4f} "
            f"(Student's t, {len(differences)} seeds)"
        )


main = partial(runs.main, "bench.experiments.pretraining", __doc__, Args, compare)

if __name__ == "__main__":
    sys.exit(main())
