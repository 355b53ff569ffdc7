"""The same tagging of words by the zoo and by transformers.Trainer, interleaved in one run.

    python -m bench.experiments.tagging_against_trainer --data $ZOO_DATA/descriptions \\
        --text_column description --max_train_samples 20000 --epochs 1

Each arm is a fresh process, one at a time, in a new random order every round; same weights, same
words and tags, same batch size, learning rate, schedule, decay and clipping. Arms:

- zoo: `finetune` as it comes.
- trainer: Trainer at its best: dynamic padding, batches grouped by length, bf16, fused AdamW.
- run_ner: as transformers' example script has it: dynamic padding, random batches, fp32.
- majority: the commonest tag of each word in train, O for words that train has not.

Samples/s count the whole training loop (data, steps, logging), without evaluation and saving. F1 is
that of the spans of the test split in fp32, by the rules of seqeval. Texts are cut at --max_length
in every arm. A ratio is given with its spread over the rounds.
"""

import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bench.experiments import rounds
from bench.experiments.rounds import ArmMeasurement, RoundCase
from tasks.bounds import Count, Positive
from zoo.model.loading import load_config, load_pretrained, load_tokenizer
from zoo.nlp.bert_tok import ENTRY
from zoo.store import pretrained
from zoo.train.args import TrainArgs

if TYPE_CHECKING:
    import numpy as np

    from tasks.base import Examples
    from tasks.nlp.token_classification import TokenClassification

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Args(rounds.PretrainedArgs):
    """The flags."""

    arms: tuple[Literal["zoo", "trainer", "run_ner", "majority"], ...] = (
        "zoo",
        "trainer",
        "majority",
    )
    """what to compare"""
    text_column: str | None = None
    """tags are made of these texts: case and punctuation"""
    epochs: Positive = 1.0
    """may be a fraction"""
    max_length: Count = 256
    """tokens of a text; the rest is cut off"""


def _words(case: RoundCase) -> list[str]:
    """Return the command-line flags of the data."""
    if not case.args.text_column:
        return []
    return ["--tags_from", "punctuation", "--text_column", case.args.text_column]


def _data(case: RoundCase) -> "tuple[TokenClassification, Examples]":
    from tasks.data.source import DataArgs
    from tasks.nlp import token_classification

    column = case.args.text_column
    args = token_classification.Args(
        tags_from="punctuation" if column else "data", text_column=column
    )
    data = DataArgs(data=case.args.data, max_train_samples=case.args.max_train_samples)
    return token_classification.from_data(args, data)


def run_zoo(case: RoundCase) -> ArmMeasurement:
    """Train and evaluate by the zoo; return samples/s and F1 from its evidence."""
    length = ["--max_length", str(case.args.max_length), "--long_texts", "truncate"]
    words = ["--model", case.args.model, "--num_train_epochs", str(case.args.epochs)]
    return rounds.by_zoo(ENTRY, case, [*_words(case), *length, *words], "test", "f1")


def run_trainer(case: RoundCase) -> ArmMeasurement:
    """Train by transformers.Trainer with the zoo's recipe; return samples/s and F1."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        DataCollatorForTokenClassification,
        Trainer,
    )

    args, recipe, best = case.args, TrainArgs(**ENTRY.recipe), case.arm == "trainer"
    source = pretrained.find(args.model, ENTRY.presets).folder
    tokenizer = load_tokenizer(source)
    task, examples = _data(case)

    def tokenized(rows: dict[str, Any]) -> Any:
        """Tokenize as run_ner's tokenize_and_align_labels: a word's first piece has its tag."""
        encoded = tokenizer(
            rows["tokens"], truncation=True, max_length=args.max_length, is_split_into_words=True
        )
        encoded["labels"] = []
        for i, tags in enumerate(rows["label"]):
            words = encoded.word_ids(i)
            first = [w is not None and w != b for w, b in zip(words, [None, *words], strict=False)]
            encoded["labels"].append(
                [tags[w] if is_first else IGNORED for w, is_first in zip(words, first, strict=True)]
            )
        encoded["length"] = [len(ids) for ids in encoded["input_ids"]]
        return encoded

    data = {
        name: examples.splits[name].map(tokenized, batched=True, remove_columns=["tokens", "label"])
        for name in ("train", "test")
    }
    torch.manual_seed(case.seed)
    config = load_config(source, **task.model_config())
    model = load_pretrained(AutoModelForTokenClassification, source, new_head=True, config=config)
    collate = DataCollatorForTokenClassification(tokenizer)
    trainer = Trainer(
        model=model,
        args=rounds.trainer_arguments(
            case,
            recipe,
            num_train_epochs=args.epochs,
            optim="adamw_torch_fused" if best else "adamw_torch",
            **(rounds.half_precision(args.device) if best else {}),
            train_sampling_strategy="group_by_length" if best else "random",
            length_column_name="length",
        ),
        train_dataset=data["train"],
        data_collator=collate,
    )
    found = trainer.train()
    # without the autocast that accelerate has put around it
    plain = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    predicted = _tags(plain, collate, data["test"])
    return ArmMeasurement(found.metrics["train_samples_per_second"], _f1(task, examples, predicted))


def _tags(model: Any, collate: Any, rows: Any) -> "list[np.ndarray]":
    """Return the predicted tags of the words of each row, in fp32 on the model's device."""
    import torch

    model.eval()
    predicted: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(rows), 64):
            some = rows.select(range(start, min(start + 64, len(rows))))
            batch = collate([dict(row) for row in some.remove_columns(["length"])])
            labels = batch.pop("labels").numpy()
            on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
            best = model(**on_device).logits.float().argmax(-1).cpu().numpy()
            predicted += [tags[own != IGNORED] for tags, own in zip(best, labels, strict=True)]
    return predicted


def run_majority(case: RoundCase) -> ArmMeasurement:
    """Predict for each word its most frequent tag in train."""
    import numpy as np

    begin = time.perf_counter()
    task, examples = _data(case)
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for row in examples.splits["train"]:
        for word, tag in zip(row["tokens"], row["label"], strict=True):
            seen[word][tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    outside = task.labels.index("O")
    predicted = [
        np.array([usual.get(word, outside) for word in row["tokens"]], np.int64)
        for row in examples.splits["test"]
    ]
    seconds = time.perf_counter() - begin
    return ArmMeasurement(len(examples.splits["train"]) / seconds, _f1(task, examples, predicted))


def _f1(task: "TokenClassification", examples: "Examples", predicted: "list[np.ndarray]") -> float:
    """Return F1 of the test split; words without a predicted tag (after truncation) count as O."""
    import numpy as np

    truth = [np.array(row, np.int64) for row in examples.splits["test"]["label"]]
    outside = task.labels.index("O")
    whole = [
        np.concatenate([tags, np.full(len(own) - len(tags), outside)])
        for tags, own in zip(predicted, truth, strict=True)
    ]
    metric = task.accumulator()
    metric.update(np.arange(len(truth)), whole, truth)
    return next(one.value for one in metric.compute(draws=0) if one.name == "f1")


COMPARISON = rounds.RoundComparison(
    "bench.experiments.tagging_against_trainer",
    "samples",
    Args,
    {
        "zoo": run_zoo,
        "trainer": run_trainer,
        "run_ner": run_trainer,
        "majority": run_majority,
    },
    settings=("text_column", "epochs", "max_length", "weights"),
    metric="f1",
)

main = partial(rounds.main, COMPARISON, __doc__)

if __name__ == "__main__":
    sys.exit(main())
