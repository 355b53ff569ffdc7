"""A model in a worker: inputs of many requests in, an answer to each out, batch by batch."""

import base64
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import UserError, spelled
from tasks.kinds.thresholds import WithThreshold
from tasks.masks import GivesMasks
from zoo.model.modality import Modality
from zoo.predict.pipeline import PredictionPipeline
from zoo.serve import batching
from zoo.serve.batching import Size
from zoo.serve.items import Item, kind_of
from zoo.serve.probes import probe

LOG = logging.getLogger(__name__)
USUAL = {"text": 128.0, "audio": 4.0}
"""Tokens, or seconds, of an input of usual length; an image has one size."""
AT_ONCE = {"cpu": 16}
"""Inputs of usual length in a batch: on a processor more do not pay."""
AT_ONCE_ELSEWHERE = 128
MASKS = "masks"
"""The parameter that asks for the mask of each label that an image has, and the field of it."""
SHORT, SHORT_ROWS, TRIES = 1 / 8, 8, 3
"""Share of a usual length, inputs, and passes by which it is measured what a pass costs however
small it is."""


@dataclass(frozen=True)
class Work:
    """An input to be answered."""

    item: Item
    parameters: Mapping[str, Any]
    deadline: float = math.inf
    """seconds of `time.monotonic`"""


@dataclass(frozen=True)
class Answer:
    """What becomes of an input: a prediction as JSON, or what was wrong with it."""

    place: int
    """of the input in the list of work"""
    prediction: Mapping[str, Any] | None = None
    fault: Mapping[str, str | None] | None = None
    """`error`, `field` and `hint` of a mistake in the input"""
    failure: str | None = None
    """what happened to the model, where the input is not to blame"""


@dataclass(frozen=True)
class Batch:
    """What one pass of the model answered."""

    answers: Sequence[Answer]
    seconds: float
    inputs: int
    padding: float
    """share of the pass that was padding"""


class BatchingModel:
    """Predicts for the inputs of many requests at once; see the module."""

    def __init__(
        self,
        predictor: PredictionPipeline,
        modality: Modality,
        kind: str,
        budget: float | None,
        max_seconds: float = math.inf,
    ) -> None:
        """
        Args:
            kind: see `Description.kind`.
            max_seconds: of a sound that comes as a file.
            budget: tokens, pixels or seconds that a batch has at most, padding included; by default
                what so many inputs of usual length are, `AT_ONCE`.
        """
        self.predictor, self.modality, self.kind = predictor, modality, kind
        self.max_seconds = max_seconds
        self._usual = USUAL.get(kind, 1.0)
        if kind == "audio":  # what it warms up with is read as a request is
            self._usual = min(self._usual, max_seconds / 2)
        [size] = self._sizes(predictor.prepare([self.probe(self._usual)]))
        self._usual_length = size.length
        if budget is None:
            device = str(predictor.device).partition(":")[0]
            budget = size.length * AT_ONCE.get(device, AT_ONCE_ELSEWHERE)
        elif kind == "audio":
            budget *= size.length / self._usual
        self.budget = max(1, round(budget))
        self.overhead = 1.0
        """What a pass costs however small it is, in the unit of the budget; see `warm_up`."""

    def probe(self, units: float) -> Item:
        """Return an input of about so many tokens or seconds."""
        task = self.predictor.task
        return probe(self.kind, task, getattr(task, "processor", None), units)

    def warm_up(self, most: int) -> None:
        """Run the smallest batch, a usual one, and the largest that there may be; measure what a
        pass costs beside its work, which decides whether inputs of different length share one.

        Args:
            most: inputs in a batch.
        """
        largest = max(1, self.budget // self._usual_length)
        for count in (1, 2, min(most, largest)):
            work = [Work(self.probe(self._usual), {})] * count
            for batch in self.answers(work):
                for answer in batch.answers:
                    if answer.failure or answer.fault:
                        raise RuntimeError(f"warm-up failed: {answer.failure or answer.fault}")
        if self.kind in USUAL:  # images have one length: nothing is to be decided
            self.overhead = self._overhead()

    def _overhead(self) -> float:
        rows = self.predictor.prepare([self.probe(SHORT * self._usual)] * SHORT_ROWS)
        [size, *_] = self._sizes(rows)
        alone = min(self._seconds(rows[:1]) for _ in range(TRIES))
        together = min(self._seconds(rows) for _ in range(TRIES))
        an_input = (together - alone) / (SHORT_ROWS - 1)
        if an_input <= 0:  # more of them cost nothing
            return float(self.budget)
        passes = (alone - an_input) / an_input * size.rows * size.length
        return min(max(1.0, passes), float(self.budget))

    def _seconds(self, rows: Sequence[Any]) -> float:
        began = time.perf_counter()
        self.predictor.compute(rows)
        return time.perf_counter() - began

    def answers(self, work: Sequence[Work]) -> Iterator[Batch]:
        """Yield the answers to inputs as batches of them are computed, the short ones first.

        What nobody waits for any more when its batch begins is left out.
        """
        groups: dict[str, list[int]] = {}
        for place, one in enumerate(work):
            key = f"{kind_of(one.item)} {json.dumps(self._shared(one.parameters), sort_keys=True)}"
            groups.setdefault(key, []).append(place)
        for places in groups.values():
            yield from self._of_group(work, places)

    def _shared(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters that all inputs of a batch must have alike."""
        return {}

    def _of_group(self, work: Sequence[Work], places: list[int]) -> Iterator[Batch]:
        began = time.perf_counter()
        prepared, refused = self._prepared(work, places)
        if refused:
            yield Batch(refused, time.perf_counter() - began, len(refused), 0.0)
        known = list(prepared)
        sizes = self._sizes([prepared[place] for place in known])
        for chosen in batching.batches(sizes, self.budget, self.overhead):
            now = time.monotonic()
            wanted = [i for i in chosen if work[known[i]].deadline > now]
            if not wanted:
                continue
            yield self._pass(
                work,
                [known[i] for i in wanted],
                [prepared[known[i]] for i in wanted],
                batching.padding([sizes[i] for i in wanted]),
            )

    def _prepared(
        self, work: Sequence[Work], places: Sequence[int]
    ) -> tuple[dict[int, Any], list[Answer]]:
        """Return what is computed on, by place, and the answers to inputs that can't be read."""
        try:
            rows = self._prepare([work[place].item for place in places])
            return dict(zip(places, rows, strict=True)), []
        except Exception:
            pass  # one of them is wrong: the others are none the worse for it
        prepared, refused = {}, []
        for place in places:
            try:
                [prepared[place]] = self._prepare([work[place].item])
            except Exception as error:  # whatever a decoder raises: the worker goes on
                refused.append(refusal(place, error))
        return prepared, refused

    def _prepare(self, items: Sequence[Item]) -> list[Any]:
        """Return what is computed on. Raises `UserError` for an input that can't be read."""
        return self.predictor.prepare([self._decoded(one) for one in items])

    def _decoded(self, item: Item) -> Any:
        return self.modality.decode(item, self.predictor.task, self.max_seconds)

    def _pass(
        self, work: Sequence[Work], places: Sequence[int], rows: Sequence[Any], padding: float
    ) -> Batch:
        began = time.perf_counter()
        answers = self._computed(work, places, rows)
        return Batch(answers, time.perf_counter() - began, len(places), padding)

    def _computed(
        self, work: Sequence[Work], places: Sequence[int], rows: Sequence[Any]
    ) -> list[Answer]:
        """Return an answer to each row; where a batch fails (memory, mostly) its halves are tried,
        so that one input that breaks the model is not the fault of its neighbours.

        Raises what the model raises where it fails on any input by now, as it does once a GPU is in
        error: the process is to end, and another one answers.
        """
        found = None
        try:
            found = self.predictor.compute(rows)
        except Exception as error:  # whatever a model raises: the worker goes on
            if len(rows) == 1:
                answer = refusal(places[0], error)
                if answer.failure:
                    self.predictor.compute(self.predictor.prepare([self.probe(self._usual)]))
                return [answer]
            if not isinstance(error, UserError):
                name = type(error).__name__
                LOG.warning("a batch of %d failed (%s): its halves are tried", len(rows), name)
        if found is None:
            half = len(rows) // 2
            return self._computed(work, places[:half], rows[:half]) + self._computed(
                work, places[half:], rows[half:]
            )
        return [
            self._worded(place, one, row, work[place])
            for place, one, row in zip(places, found, rows, strict=True)
        ]

    def _worded(self, place: int, prediction: Any, row: Any, one: Work) -> Answer:
        try:
            task = self.predictor.task
            if (least := one.parameters.get("threshold")) is not None:
                assert isinstance(task, WithThreshold)
                task = task.of_threshold(least)
            said = task.to_json(prediction, one.parameters.get("top_k"))
            if one.parameters.get("words"):
                # heard once more, by itself: in a batch nothing tells where its frames end
                said |= self.modality.with_words(self.predictor, self._decoded(one.item))
            if one.parameters.get(MASKS) and isinstance(self.predictor.task, GivesMasks):
                masks = self.predictor.task.masks(prediction)[: len(said["labels"])]
                said[MASKS] = [base64.b64encode(mask).decode() for mask in masks]
            if one.parameters.get("seconds"):
                said["seconds"] = self.modality.duration(row, self.predictor.task)
        except Exception as error:  # the others of its batch are answered
            return refusal(place, error)
        return Answer(place, prediction=said)

    def _sizes(self, rows: Sequence[Any]) -> list[Size]:
        return [Size(*self.modality.row_size(row)) for row in rows]


def refusal(place: int, error: Exception) -> Answer:
    """Return the answer to an input for which an error was raised: a mistake in it, else a failure,
    which is logged."""
    if isinstance(error, UserError):
        return Answer(place, fault=fault_of(error))
    LOG.error("an input failed", exc_info=error)
    return Answer(place, failure=type(error).__name__)


def fault_of(error: UserError) -> dict[str, str | None]:
    """Return a user's mistake as an answer tells it."""
    return {
        "error": spelled(str(error), pattern="{}"),
        "field": error.field,
        "hint": error.hint and spelled(error.hint, pattern="{}"),
    }
