"""A worker's model out of pretrained weights as they are: labels without training, embeddings.

What is asked for stands in the parameters of an input: `labels` and perhaps `template`, or `embed`.
Weights of language inference and of CLIP label only; see `zoo.predict.zero_shot`.
"""

import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.machine.precision import choose_device
from zoo.machine.terminal import quiet_libraries
from zoo.model.modality import modality_of
from zoo.predict.pipeline import PredictionPipeline
from zoo.predict.zero_shot import SCORERS, Scorer
from zoo.serve.batching import Size
from zoo.serve.description import KINDS
from zoo.serve.model import Answer, Batch, BatchingModel, Work, refusal

if TYPE_CHECKING:
    from zoo.model.entry import Entry

SHARED = ("embed", "labels", "template")
"""Parameters that all inputs of a pass have alike."""
MOST_SCORERS = 32
"""Sets of labels whose embeddings are kept."""
STAND_INS = ("one", "other")
"""Labels to warm up with."""


@dataclass(frozen=True)
class Embedding:
    """A text as a vector of length one."""

    vector: Sequence[float]
    tokens: int


class WeightsPipeline(PredictionPipeline):
    """Predicts with weights for the labels that were chosen last, or embeds."""

    def __init__(self, entry: "Entry", folder: Path, device: str, threads: int | None) -> None:
        """
        Raises `UserError` for weights of another kind.
        """
        quiet_libraries()
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        self.module = importlib.import_module(SCORERS[entry.task])
        self.is_text = KINDS[modality_of(entry).name] == "text"
        self.device, self.source = choose_device(device), f"{folder}, as they are"
        self.weights = self.module.load_weights(folder, self.device)
        self.scorer: Scorer | None = None
        self._scorer_of = functools.lru_cache(MOST_SCORERS)(self.weights.scorer)
        self.choose({"labels": STAND_INS})

    @property
    def can_embed(self) -> bool:
        """Whether the weights embed texts."""
        return self.is_text and self.weights.entailment is None

    def choose(self, parameters: Mapping[str, Any]) -> None:
        """Predict what parameters ask for from now on.

        Raises `UserError` for labels that can't be scored, and embeddings that can't be had.
        """
        if parameters.get("embed"):
            if not self.can_embed:
                raise UserError(f"{self.source} have no embeddings")
            self.scorer = None
            return
        template = parameters.get("template", self.module.TEMPLATE)
        with self.context():
            scorer: Any = self._scorer_of(tuple(parameters["labels"]), template)
        self.scorer, self.task = scorer, scorer.task

    def prepare(self, inputs: Sequence[Any]) -> list[Any]:
        """Return texts with their lengths, or the pixels of images.

        Raises `UserError` if any of them can't be read.
        """
        rows: list[Any] = self.weights.prepare(inputs)
        return rows

    def size(self, row: Any) -> Size:
        """Return how large a prepared input is."""
        if not self.is_text:
            return Size()
        pairs = len(self.task.labels) if self.scorer and not self.can_embed else 1
        return Size(rows=pairs, length=row.tokens)

    def predictions(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return the prediction of each prepared input."""
        texts = [row.text for row in batch] if self.is_text else batch
        if self.scorer is not None:
            logits = self.scorer.logits(texts).float().cpu()
            return self.scorer.task.postprocess({"logits": logits})
        vectors = self.weights.encoder.embed(texts).cpu().tolist()
        return [Embedding(one, row.tokens) for one, row in zip(vectors, batch, strict=True)]


class WeightsModel(BatchingModel):
    """Answers inputs with weights; inputs of one pass share their labels."""

    predictor: WeightsPipeline

    def _shared(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: parameters[name] for name in SHARED if name in parameters}

    def _of_group(self, work: Sequence[Work], places: list[int]) -> Iterator[Batch]:
        shared = self._shared(work[places[0]].parameters)
        try:
            self.predictor.choose(shared or {"labels": STAND_INS})  # none: it warms up
        except Exception as error:  # whatever it raises: the worker goes on
            yield Batch([refusal(place, error) for place in places], 0.0, len(places), 0.0)
            return
        yield from super()._of_group(work, places)

    def _sizes(self, rows: Sequence[Any]) -> list[Size]:
        return [self.predictor.size(row) for row in rows]

    def _worded(self, place: int, prediction: Any, row: Any, one: Work) -> Answer:
        if isinstance(prediction, Embedding):
            said = {"embedding": prediction.vector, "tokens": prediction.tokens}
            return Answer(place, prediction=said)
        return super()._worded(place, prediction, row, one)


def load(
    entry: "Entry", folder: Path, device: str, threads: int | None, budget: float | None
) -> WeightsModel:
    """Return the model that answers with the weights in a folder.

    Raises `UserError` for weights of another kind.
    """
    pipeline = WeightsPipeline(entry, folder, device, threads)
    modality = modality_of(entry)
    return WeightsModel(pipeline, modality, KINDS[modality.name], budget)
