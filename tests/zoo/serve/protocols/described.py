"""Models that are described and not loaded, and a service that answers without them."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.nlp import seq2seq, text_classification, token_classification
from tasks.speech.transcription import Transcription
from tasks.tabular.column import Column
from tasks.tabular.table_classification import Args as TableArgs
from tasks.tabular.table_classification import TableClassification
from tasks.vision import class_table, detection, image_classification, segmentation
from zoo.model import registry
from zoo.serve.description import Description
from zoo.serve.errors import NotFound
from zoo.serve.service import Limits

if TYPE_CHECKING:
    from zoo.serve.service import Service

LABELS = ("dull", "fine", "moving")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
WEIGHTS = ("zero-shot-classification", "feature-extraction", "sentence-similarity")


def texts(problem_type: str = "single_label_classification", **more: Any) -> Description:
    """A classifier of texts."""
    task = dataclasses.replace(text_classification.of_labels(LABELS, problem_type), **more)
    return _described("reviews", "bert_cls", task)


def pairs() -> Description:
    """A classifier of pairs of texts."""
    return texts(columns={"text": "text", "text_pair": "other"})


def images() -> Description:
    """A classifier of images."""
    task = image_classification.of_labels(LABELS, "single_label_classification")
    return _described("photos", "cnn_cls", task)


def things() -> Description:
    """A detector."""
    return _described("scenes", "fcos_det", detection.Detection(detection.Args(), LABELS))


def pixels() -> Description:
    """A model that gives pixels classes."""
    table = class_table.ClassTable(LABELS, (0, 1, 2))
    task = segmentation.Segmentation(segmentation.Args(), LABELS, table)
    return _described("scenes", "unet_seg", task)


def tags() -> Description:
    """A tagger of words."""
    task = token_classification.TokenClassification(token_classification.Args(), TAGS)
    return _described("names", "bert_tok", task)


def translations() -> Description:
    """A model that writes one text from another."""
    return _described("en-fr", "t5_seq2seq", seq2seq.Seq2Seq(seq2seq.Args()))


def rows(problem_type: str = "single_label_classification") -> Description:
    """A classifier of rows of a table, or a model of their numbers."""
    columns = (Column("age", "number", 40.0, 10.0), Column("城市", "category", values=("东京",)))
    labels = () if problem_type == "regression" else LABELS
    task = TableClassification(TableArgs(), labels, problem_type, schema=columns)
    return _described("people", "mlp_tab", task)


def speech() -> Description:
    """A recogniser."""
    return _described("words", "conformer_ctc", Transcription())


def weights() -> Description:
    """Weights that embed texts and label them without training."""
    task = text_classification.of_labels((), "single_label_classification")
    return dataclasses.replace(_described("minilm", "bert_cls", task), zero_shot=WEIGHTS)


def _described(name: str, entry: str, task: Any) -> Description:
    found = registry.find(entry)
    return Description(name, Path("nowhere"), "eager", "0" * 64, found, task)


class Models:
    """The part of a `Service` that conversions use; a request has four inputs at most."""

    def __init__(self, *models: Description) -> None:
        self.models: Mapping[str, Description] = {model.name: model for model in models}
        self.limits = Limits(max_queue=4)

    def model(self, name: str | None) -> Description:
        """As `Service.model`."""
        if name is None and len(self.models) > 1:
            raise UserError("which model? there are several", "model")
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise NotFound(f"no model {name!r} here")
        return self.models[name]


def service() -> "Service":
    """One model of each kind."""
    return Models(texts(), images(), speech(), weights())  # type: ignore[return-value]


def predictions(*labels: str) -> Sequence[Mapping[str, Any]]:
    """Predictions of `LABELS`, as a classifier words them with every score."""
    return [
        {"label": best, "score": 0.8, "scores": {best: 0.8} | {o: 0.1 for o in LABELS if o != best}}
        for best in labels
    ]
