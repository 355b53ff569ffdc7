"""mlp_cls trained by the zoo and the same network by scikit-learn, interleaved in one run.

    python -m bench.experiments.mlp_against_sklearn --data $ZOO_DATA/fashion_mnist \\
        --seeds 1 2 3 --epochs 10

Each arm is a fresh process, one at a time, in a new random order every round; same images as
float32 vectors, same layers (784-128-10), batch size and number of epochs. Arms:

- zoo: `finetune` as it comes.
- sklearn: `MLPClassifier` with Adam and, but for the layers, its defaults: a constant learning rate
  of 0.001. It stops at no plateau, so that every epoch is trained.

Images/s count the whole training loop (data, steps, logging), without evaluation and saving; of
scikit-learn that is `fit` with all images in memory as float32, which is done for it before. What
decoding costs is part of `wall_seconds` of both. Accuracy is that of the test split.
"""

import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.experiments import rounds
from bench.experiments.rounds import ArmMeasurement, RoundCase
from tasks.bounds import Count
from zoo.vision.mlp_cls import ENTRY, Options

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from tasks.vision.image_classification import ImageClassification

RESULTS = Path(__file__).parents[1] / "results" / "mlp_against_sklearn.jsonl"


@dataclass(frozen=True, kw_only=True)
class Args(rounds.Args):
    """The flags."""

    arms: tuple[Literal["zoo", "sklearn"], ...] = ("zoo", "sklearn")
    """what to compare"""
    batch_sizes: tuple[Count, ...] = (128,)
    """images of a step"""
    epochs: Count = 10
    """passes over the training images"""
    output: Path | None = RESULTS
    """jsonl file that results are added to; what it has already is not run again"""


def run_zoo(case: RoundCase) -> ArmMeasurement:
    """Train and evaluate by the zoo; return images/s and accuracy from its evidence."""
    words = ["--num_train_epochs", str(case.args.epochs), "--eval_strategy", "no"]
    return rounds.by_zoo(ENTRY, case, words, "test")


def run_sklearn(case: RoundCase) -> ArmMeasurement:
    """Train by scikit-learn on the vectors that the zoo's network sees; return images/s and
    accuracy."""
    import tasks  # noqa: F401  (before torchvision: see tasks.torch_extensions)

    # isort: split
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    from tasks.data.source import DataArgs
    from tasks.vision import image_classification as images
    from zoo.model.network import assemble

    args = case.args
    data = DataArgs(data=args.data, max_train_samples=args.max_train_samples)
    task: Any
    task, examples = images.from_data(images.Args(**ENTRY.task_defaults), data)
    task = assemble(ENTRY, Options(), task, examples.splits).task
    train, test = (vectors(task, examples.splits[name]) for name in ("train", "test"))
    network = MLPClassifier(
        Options().hidden_sizes,
        batch_size=case.batch,
        max_iter=args.epochs,
        n_iter_no_change=args.epochs,
        random_state=case.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it says that all epochs were trained
        begin = time.perf_counter()
        network.fit(*train)
        seconds = time.perf_counter() - begin
    assert network.n_iter_ == args.epochs
    speed = len(train[0]) * args.epochs / seconds
    return ArmMeasurement(speed, float(network.score(*test)))


def vectors(
    task: "ImageClassification", split: "datasets.Dataset"
) -> "tuple[np.ndarray, np.ndarray]":
    """Return the images of a split as the network sees them, float32 [n, pixels], and their labels,
    int64 [n]."""
    import numpy as np

    features = task.features(split, "vectors")
    parts = []
    for start in range(0, len(features), 1_000):
        rows = features.__getitems__(range(start, min(start + 1_000, len(features))))
        batch: Any = task.collate_arrays(rows)
        parts.append((batch.inputs["pixel_values"].reshape(len(rows), -1), batch.targets["labels"]))
    pixels, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return pixels, labels


COMPARISON = rounds.RoundComparison(
    "bench.experiments.mlp_against_sklearn",
    "images",
    Args,
    {"zoo": run_zoo, "sklearn": run_sklearn},
    settings=("epochs",),
)

main = partial(rounds.main, COMPARISON, __doc__)

if __name__ == "__main__":
    sys.exit(main())
