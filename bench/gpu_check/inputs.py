"""What the other parts train on, made in their folder: texts as files, and weights where none are
at hand.

    python -m bench.gpu_check.inputs --folder WORK --data embedded --weights random
"""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cases.models import SEED, SHAPES
from bench.gpu_check.parts import RANDOM
from tasks import atomic
from tasks.data.source import DataArgs
from tasks.printing import print_lines
from zoo.cli import program
from zoo.machine import terminal

if TYPE_CHECKING:
    from datasets import DatasetDict

SMALL_TRAIN, SMALL_EVAL = 128, 64
"""Rows that a processor trains on, and is tested on, in seconds."""
VOCABULARY = SHAPES["minilm"].config.get("vocab_size", 30522)
LONGEST = 512
"""Tokens that the tokenizer of random weights lets through, as BERT has positions."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the texts and, if requested, the weights; return the exit code, 2 for a user's
    mistake."""
    parser = argparse.ArgumentParser("bench.gpu_check.inputs", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args(argv)

    def make() -> int:
        terminal.quiet_libraries()
        splits, labels = texts(args.data, args.small)
        write_texts(splits, labels, args.folder / "texts")
        rows = ", ".join(f"{split.num_rows:,} {name}" for name, split in splits.items())
        kind = "as they come"
        if args.weights == RANDOM:
            write_weights(list(splits["train"]["text"]), args.folder / "weights")
            kind = f"of MiniLM's shape, random by seed {SEED}"
        print_lines(f"texts of {Path(args.data).name}: {rows}; weights {kind}")
        return 0

    return program.guarded("inputs", make, "give the same command again")


def texts(data: str, small: bool) -> "tuple[DatasetDict, tuple[str, ...]]":
    """Return the splits train, validation and test with the columns text (str) and label (int), and
    the names of the labels. Missing splits are cut as a fine-tune cuts them.

    Raises `UserError` for data that can't be read.
    """
    from tasks.nlp import text_classification

    limits: dict[str, Any] = {}
    if small:
        limits = {"max_train_samples": SMALL_TRAIN, "max_eval_samples": SMALL_EVAL}
    args = text_classification.Args()
    task, examples = text_classification.from_data(args, DataArgs(data=data, **limits))
    return examples.splits, tuple(task.labels)


def write_texts(splits: "DatasetDict", labels: Sequence[str], folder: Path) -> None:
    """Write SPLIT.csv for each split, with the columns text and label, labels by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        rows = zip(split["text"], split["label"], strict=True)
        writer.writerows((text, labels[label]) for text, label in rows)
        atomic.write_text(folder / f"{name}.csv", file.getvalue())


def write_weights(train: list[str], folder: Path) -> None:
    """Write an encoder of MiniLM's shape as the Hub has one: seeded random weights in fp32, and a
    tokenizer of the words of some texts."""
    import torch
    import transformers

    from zoo.model.loading import new_model
    from zoo.nlp.trained_tokenizer import train_tokenizer

    torch.manual_seed(SEED)
    shape = SHAPES["minilm"]
    assert shape.kind is not None
    config = transformers.AutoConfig.for_model(shape.kind, **shape.config)
    new_model(transformers.AutoModel, config).save_pretrained(folder)
    tokenizer = train_tokenizer([train], "word", VOCABULARY, True, LONGEST, masked=True)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    sys.exit(main())
