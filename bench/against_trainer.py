"""The same fine-tune by the zoo and by transformers.Trainer, interleaved in one run.

    python -m bench.against_trainer --data $ZOO_DATA/movie_reviews --batch_sizes 32 64 --seeds 1 2 3

Each arm is a fresh process, one at a time, in a new random order every round; same weights, same
rows, same batch size, learning rate, schedule, decay and clipping. Arms:

- zoo: `finetune` as it comes.
- trainer: Trainer at its best: dynamic padding, batches grouped by length, bf16, fused AdamW.
- run_glue: as transformers' example script has it: padded to 128, fp32.

Samples/s count the whole training loop (data, steps, logging), without evaluation and saving.
Accuracy is that of the test split in fp32. A ratio is given with its spread over the rounds.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from zoo import environment, evidence, weights
from zoo.cli import main as zoo_main
from zoo.nlp.bert_cls import ENTRY
from zoo.train.args import TrainArgs

ARMS = ("zoo", "trainer", "run_glue")


def main() -> None:
    """Runs all rounds and prints a table; `--output` keeps every result as a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", required=True, help="folder with train.csv, validation.csv, test.csv"
    )
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[32])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["zoo", "trainer"])
    parser.add_argument("--max_train_samples", type=int, help="for a shorter run; no accuracy then")
    parser.add_argument("--split", default="test", help="split that accuracy is measured on")
    parser.add_argument("--output", type=Path, help="jsonl file that results are added to")
    parser.add_argument(
        "--flags", nargs=argparse.REMAINDER, default=[], help="more flags for the zoo"
    )
    parser.add_argument("--one", choices=ARMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args)))
        return
    rounds = [(b, s) for s in args.seeds for b in args.batch_sizes]
    results = []
    for batch, seed in rounds:
        for arm in random.sample(args.arms, len(args.arms)):
            command = [
                *(sys.executable, "-m", "bench.against_trainer", "--one", arm, "--data", args.data),
                *("--batch_sizes", str(batch), "--seeds", str(seed), "--split", args.split),
                *(
                    ["--max_train_samples", str(args.max_train_samples)]
                    if args.max_train_samples
                    else []
                ),
                *(["--flags", *args.flags] if args.flags else []),
            ]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                raise SystemExit(f"{' '.join(command)} failed:\n{ran.stderr[-3000:]}")
            result = json.loads(ran.stdout.strip().splitlines()[-1])
            results.append(result)
            shown = ("arm", "batch", "seed", "samples_per_second", "accuracy")
            print(json.dumps({name: result[name] for name in shown}), flush=True)
            if args.output:
                with args.output.open("a") as file:
                    file.write(json.dumps(result) + "\n")
    report(results, args.batch_sizes)


def report(results: list[dict[str, Any]], batch_sizes: list[int]) -> None:
    """Medians and ranges per arm, and the ratio zoo / other of each round."""
    print(
        f"{'batch':>5}  {'arm':9} {'samples/s':>9}  {'range':>15}  {'accuracy':>8}  ratio of rounds"
    )
    for batch in batch_sizes:
        ours = {
            r["seed"]: r["samples_per_second"]
            for r in results
            if r["arm"] == "zoo" and r["batch"] == batch
        }
        for arm in ARMS:
            rows = [r for r in results if r["arm"] == arm and r["batch"] == batch]
            if not rows:
                continue
            speeds = [r["samples_per_second"] for r in rows]
            accuracy = statistics.mean(r["accuracy"] for r in rows)
            ratios = [ours[r["seed"]] / r["samples_per_second"] for r in rows if r["seed"] in ours]
            ratio = ""
            if ratios and arm != "zoo":
                ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            spread = f"{min(speeds):.1f} to {max(speeds):.1f}"
            print(
                f"{batch:>5}  {arm:9} {statistics.median(speeds):>9.1f}  {spread:>15}  "
                f"{accuracy:>8.4f}  {ratio}"
            )


def one(args: argparse.Namespace) -> dict[str, Any]:
    """One arm of one round, in this process."""
    run = run_zoo if args.one == "zoo" else run_trainer
    with tempfile.TemporaryDirectory() as folder:
        speed, accuracy = run(args, args.batch_sizes[0], args.seeds[0], Path(folder))
    return {
        "arm": args.one,
        "batch": args.batch_sizes[0],
        "seed": args.seeds[0],
        "samples_per_second": round(speed, 2),
        "accuracy": round(accuracy, 4),
        "split": args.split,
        "max_train_samples": args.max_train_samples,
        "machine": environment.machine(),
        "versions": environment.versions(),
        **environment.commit(),
    }


def run_zoo(args: argparse.Namespace, batch: int, seed: int, folder: Path) -> tuple[float, float]:
    """finetune and evaluate; samples/s and accuracy from the evidence they leave."""

    out = folder / "zoo"
    limit = ["--max_train_samples", str(args.max_train_samples)] if args.max_train_samples else []
    flags = [
        "--data",
        args.data,
        "--output_dir",
        str(out),
        "--seed",
        str(seed),
        *limit,
        *args.flags,
    ]
    sys.stdout = sys.stderr  # the last line of standard output is the result
    assert zoo_main(ENTRY, ["finetune", "--per_device_train_batch_size", str(batch), *flags]) == 0
    assert zoo_main(ENTRY, ["evaluate", str(out), "--split", args.split, "--mistakes", "0"]) == 0
    sys.stdout = sys.__stdout__
    facts = {
        f.name: f.value for f in evidence.read(out) if f.name != "accuracy" or f.split == args.split
    }
    return float(facts["train_samples_per_second"] or 0), float(facts["accuracy"] or 0)


def run_trainer(
    args: argparse.Namespace, batch: int, seed: int, folder: Path
) -> tuple[float, float]:
    """The same by transformers.Trainer with the zoo's recipe."""
    import datasets
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    recipe = TrainArgs(**ENTRY.recipe)
    source = weights.find("minilm", ENTRY.presets).folder
    tokenizer = AutoTokenizer.from_pretrained(source)
    best = args.one == "trainer"
    names = {split: f"{args.data}/{split}.csv" for split in ("train", args.split)}
    data = datasets.load_dataset("csv", data_files=names)
    if args.max_train_samples:
        data["train"] = data["train"].shuffle(seed=0).select(range(args.max_train_samples))
    labels = sorted(set(data["train"]["label"]))
    padding = {} if best else {"padding": "max_length", "max_length": 128}
    data = data.map(
        lambda row: (
            tokenizer(row["text"], truncation=True, **padding)
            | {
                "labels": labels.index(row["label"]),
                "length": len(tokenizer(row["text"])["input_ids"]),
            }
        ),
        remove_columns=["text", "label"],
    )
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(labels))
    training = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.num_train_epochs,
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=64,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_steps,
        lr_scheduler_type=recipe.lr_scheduler_type,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused" if best else "adamw_torch",
        bf16=best,
        train_sampling_strategy="group_by_length" if best else "random",
        length_column_name="length",
        use_cpu=True,
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=training,
        train_dataset=data["train"],
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    sys.stdout = sys.stderr
    found = trainer.train()
    trainer.args.bf16 = trainer.args.bf16_full_eval = False
    model.eval()
    right = []
    with torch.inference_mode():
        for start in range(0, len(data[args.split]), 64):
            rows = data[args.split][start : start + 64]
            batch_ = tokenizer.pad({"input_ids": rows["input_ids"]}, return_tensors="pt")
            right += (model(**batch_).logits.float().argmax(-1).numpy() == rows["labels"]).tolist()
    sys.stdout = sys.__stdout__
    return found.metrics["train_samples_per_second"], float(np.mean(right))


if __name__ == "__main__":
    main()
