"""What is reported of a finished training: the metrics of its checkpoint, what it takes for what,
and its worst mistakes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.evaluation import confusions, hardest_errors
from zoo.train.reporting.reporters import FinalReport, Reporter

if TYPE_CHECKING:
    from zoo.store.evidence import Fact
    from zoo.train.methods.base import Data, FinetuneResult, Setup
    from zoo.train.resume.progress import Progress


def errors_kept(report_to: str) -> int:
    """Return how many mistakes of the final evaluation are worth keeping: those that are drawn."""
    return hardest_errors.MOST if report_to == "tensorboard" else 0


def send(
    reporters: Sequence[Reporter],
    setup: "Setup",
    data: "Data",
    result: "FinetuneResult",
    progress: "Progress",
    fact: "Fact",
) -> dict[str, Path]:
    """Tell the reporters of a run how it ended; return the pictures that were drawn for them.

    The confusion matrix and the mistakes are drawn where a reporter shows them, to
    `plots/confusion_matrix.png` and `plots/mistakes.png`.

    Args:
        fact: one of the run, which names the checkpoint and its data.
    """
    evaluation, task = result.evaluation, data.task
    # "validation" has the curve of the training, to which this value does not belong
    split = "test" if result.split == "test" else f"final_{result.split}"
    values = {one.name: one.value for one in evaluation.measured if math.isfinite(one.value)}
    record = {"step": progress.step, "split": split, "loss": evaluation.loss, **values}
    pictures: dict[str, Path] = {}
    texts: dict[str, str] = {}
    if reporters and errors_kept(setup.args.report_to):
        matrix = confusions.matrix_of(task, evaluation.accumulator)
        if matrix is not None:
            pictures["confusions"] = confusions.picture(setup.folder, matrix, task.labels)
        features, examples = data.features[result.split], data.examples.splits[result.split]
        seen = evaluation.hardest, task, features, examples
        if path := hardest_errors.picture(setup.folder, *seen):
            pictures["mistakes"] = path
        if text := hardest_errors.markdown(*seen):
            texts["mistakes"] = text
            said = {"subject": fact.subject, "dataset": fact.dataset, "split": result.split}
            hardest_errors.record(setup.folder, hardest_errors.rows(*seen), path, said)
    for reporter in reporters:
        reporter.finish(FinalReport(record, pictures, texts))
    return pictures
