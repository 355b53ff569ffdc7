"""predict --zero_shot: labels for inputs by what the labels are called, without any training.

The task reads the inputs and words the predictions; only the logits come another way, from
weights that know language: see `zoo.nlp.zero_shot_text` and `zoo.vision.zero_shot_image`.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tasks.errors import UserError
from tasks.kinds.classification import Classification
from tasks.paths import expanded
from zoo.machine.precision import compute_on
from zoo.machine.terminal import quiet_libraries
from zoo.model import registry
from zoo.predict.pipeline import PredictionPipeline
from zoo.store import pretrained

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.base import Outputs
    from zoo.model.entry import Entry

SCORERS = {  # of each task that can do it
    "tasks.nlp.text_classification": "zoo.nlp.zero_shot_text",
    "tasks.vision.image_classification": "zoo.vision.zero_shot_image",
}


class Scorer(Protocol):
    """What `load(folder, labels, template, device)` of a scorer's module returns."""

    task: Classification

    def logits(self, inputs: Sequence[Any]) -> "Tensor":
        """Return logits, float32 [b, labels]; their softmax is the probability of each label."""
        ...


class ZeroShot(PredictionPipeline):
    """Predicts labels with weights that were never trained on these labels.

    Raises `UserError` for a model of another kind, fewer than two labels, and weights that are
    missing or do not fit.
    """

    def __init__(
        self,
        entry: "Entry",
        model: str,
        labels: str | Sequence[str] | None,
        template: str | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        if entry.task not in SCORERS:
            raise UserError(f"zero-shot is for text and images, which {entry.name} does not take")
        names = read_labels(labels)
        module = importlib.import_module(SCORERS[entry.task])
        sentence: str = module.TEMPLATE if template is None else template
        if sentence.count("{}") != 1:
            raise UserError(f"`template` {sentence!r}: wants one {{}} where the label goes")
        quiet_libraries()
        found = pretrained.find(model, registry.presets_of(entry))
        place = compute_on(device, threads)
        self.source = f"{model}, zero-shot"
        self.device = place
        self.scorer: Scorer = module.load(found.folder, names, sentence, place)
        self.task = self.scorer.task

    def outputs(self, batch: Sequence[Any]) -> "Outputs":
        """Return the scorer's logits, float32 [b, labels]."""
        return {"logits": self.scorer.logits(batch).float().cpu()}

    def predictions(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return the task's predictions from the scorer's logits."""
        return self.scorer.task.postprocess(self.outputs(batch))


def read_labels(asked: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the labels of `--labels`: separated by commas, or one a line of the file named after
    an @; in Python also a list of them.

    Raises `UserError` for fewer than two labels, or a label that comes twice.
    """
    parts: Sequence[str]
    if asked is not None and not isinstance(asked, str):
        parts = asked
    elif asked is not None and asked.startswith("@"):
        try:
            # splitlines() would also cut at what may stand within a label
            parts = expanded(asked[1:]).read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            raise UserError(f"`labels` {asked}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"`labels` {asked}: not UTF-8 text") from None
    else:
        parts = (asked or "").split(",")
    labels = tuple(label for label in map(str.strip, parts) if label)
    if not labels:
        raise UserError("`zero_shot` wants labels: `labels` cat,dog or @FILE with one a line")
    if len(labels) == 1:
        raise UserError(f"`labels` has only {labels[0]!r}: at least two make a choice")
    twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if twice is not None:
        raise UserError(f"`labels` has {twice!r} twice")
    return labels
