"""The same fine-tune by the zoo and by transformers.Trainer, interleaved in one run.

    python -m bench.experiments.against_trainer --data $ZOO_DATA/movie_reviews \\
        --batch_sizes 32 64 --seeds 1 2 3

Each arm is a fresh process, one at a time, in a new random order every round; same weights, same
rows, same batch size, learning rate, schedule, decay and clipping. Arms:

- zoo: `finetune` as it comes.
- trainer: Trainer at its best: dynamic padding, batches grouped by length, bf16 (fp16 on a GPU
  that has no bf16), fused AdamW.
- trainer_compile (if asked for): the same with torch_compile.
- run_glue: as transformers' example script has it: padded to 128, fp32.

Samples/s count the whole training loop (data, steps, logging), without evaluation and saving.
Accuracy is that of the test split in fp32. A ratio is given with its spread over the rounds.
"""

import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from bench.experiments import rounds
from bench.experiments.rounds import ArmMeasurement, RoundCase
from tasks.bounds import Positive
from zoo.nlp.bert_cls import ENTRY
from zoo.store import pretrained
from zoo.train.args import TrainArgs


@dataclass(frozen=True, kw_only=True)
class Args(rounds.PretrainedArgs):
    """The flags."""

    arms: tuple[Literal["zoo", "trainer", "trainer_compile", "run_glue"], ...] = ("zoo", "trainer")
    """what to compare"""
    epochs: Positive = TrainArgs(**ENTRY.recipe).num_train_epochs
    """may be a fraction"""
    split: str = "test"
    """split that accuracy is measured on"""


def run_zoo(case: RoundCase) -> ArmMeasurement:
    """Train and evaluate by the zoo; return samples/s and accuracy from its evidence."""
    words = ["--model", case.args.model, "--num_train_epochs", str(case.args.epochs)]
    return rounds.by_zoo(ENTRY, case, words, case.args.split)


def run_trainer(case: RoundCase) -> ArmMeasurement:
    """Train by transformers.Trainer with the zoo's recipe; return samples/s and accuracy."""
    import datasets
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
    )

    args = case.args
    recipe = TrainArgs(**ENTRY.recipe)
    source = pretrained.find(args.model, ENTRY.presets).folder
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    best = case.arm != "run_glue"
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
    torch.manual_seed(case.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=len(labels), dtype=torch.float32, trust_remote_code=False
    )
    training = rounds.trainer_arguments(
        case,
        recipe,
        num_train_epochs=args.epochs,
        optim="adamw_torch_fused" if best else "adamw_torch",
        torch_compile=case.arm == "trainer_compile",
        **(rounds.half_precision(args.device) if best else {}),
        train_sampling_strategy="group_by_length" if best else "random",
        length_column_name="length",
    )
    trainer = Trainer(
        model=model,
        args=training,
        train_dataset=data["train"],
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    found = trainer.train()
    # without the autocast that accelerate has put around it
    plain = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    accuracy = _accuracy(plain, tokenizer, data[args.split])
    return ArmMeasurement(found.metrics["train_samples_per_second"], accuracy)


def _accuracy(model: Any, tokenizer: Any, rows: Any) -> float:
    """Return the share of the rows that a model labels right, in fp32 on its device."""
    import torch

    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(rows), 64):
            batch = rows[start : start + 64]
            inputs = tokenizer.pad({"input_ids": batch["input_ids"]}, return_tensors="pt")
            found = model(**inputs.to(model.device)).logits.float().argmax(-1)
            right += int((found.cpu() == torch.tensor(batch["labels"])).sum())
    return right / len(rows)


COMPARISON = rounds.RoundComparison(
    "bench.experiments.against_trainer",
    "samples",
    Args,
    {"zoo": run_zoo, **dict.fromkeys(("trainer", "trainer_compile", "run_glue"), run_trainer)},
    settings=("split", "epochs", "weights"),
)

main = partial(rounds.main, COMPARISON, __doc__)

if __name__ == "__main__":
    sys.exit(main())
