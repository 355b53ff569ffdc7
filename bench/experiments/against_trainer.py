"""The same fine-tune by the zoo and by transformers.Trainer, interleaved in one run.

    python -m bench.experiments.against_trainer --data $ZOO_DATA/movie_reviews \\
        --batch_sizes 32 64 --seeds 1 2 3

Each arm is a fresh process, one at a time, in a new random order every round; same weights, same
rows, same batch size, learning rate, schedule, decay and clipping. Arms:

- zoo: `finetune` as it comes.
- trainer: Trainer at its best: dynamic padding, batches grouped by length, bf16, fused AdamW.
- run_glue: as transformers' example script has it: padded to 128, fp32.

Samples/s count the whole training loop (data, steps, logging), without evaluation and saving.
Accuracy is that of the test split in fp32. A ratio is given with its spread over the rounds.
"""

import sys
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bench.experiments import rounds
from bench.experiments.rounds import ArmMeasurement, RoundCase
from zoo.nlp.bert_cls import ENTRY
from zoo.store import pretrained
from zoo.train.args import TrainArgs


@dataclass(frozen=True, kw_only=True)
class Args(rounds.Args):
    """The flags."""

    arms: tuple[Literal["zoo", "trainer", "run_glue"], ...] = ("zoo", "trainer")
    """what to compare"""
    split: str = "test"
    """split that accuracy is measured on"""


def run_zoo(case: RoundCase) -> ArmMeasurement:
    """finetune and evaluate; samples/s and accuracy from the evidence they leave."""
    return rounds.by_zoo(ENTRY, case, [], case.args.split)


def run_trainer(case: RoundCase) -> ArmMeasurement:
    """The same by transformers.Trainer with the zoo's recipe."""
    import datasets
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
    )

    args = case.args
    recipe = TrainArgs(**ENTRY.recipe)
    source = pretrained.find("minilm", ENTRY.presets).folder
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    best = case.arm == "trainer"
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
        source, num_labels=len(labels), trust_remote_code=False
    )
    training = rounds.trainer_arguments(
        case,
        recipe,
        num_train_epochs=recipe.num_train_epochs,
        optim="adamw_torch_fused" if best else "adamw_torch",
        bf16=best,
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
    trainer.args.bf16 = trainer.args.bf16_full_eval = False
    model.eval()
    right = []
    with torch.inference_mode():
        for start in range(0, len(data[args.split]), 64):
            rows = data[args.split][start : start + 64]
            batch_ = tokenizer.pad({"input_ids": rows["input_ids"]}, return_tensors="pt")
            right += (model(**batch_).logits.float().argmax(-1).numpy() == rows["labels"]).tolist()
    return ArmMeasurement(found.metrics["train_samples_per_second"], float(np.mean(right)))


COMPARISON = rounds.RoundComparison(
    "bench.experiments.against_trainer",
    "samples",
    Args,
    {"zoo": run_zoo, "trainer": run_trainer, "run_glue": run_trainer},
    settings=("split",),
)

main = partial(rounds.main, COMPARISON, __doc__)

if __name__ == "__main__":
    sys.exit(main())
