"""A worker's model that tags words, of which a request may want the pieces by themselves."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.base import TagsPieces
from zoo.predict.pipeline import Predictor
from zoo.serve.model import Batch, BatchingModel, Work

PIECES = "pieces"
"""The parameter that asks for pieces; inputs of a pass have it alike."""


class TaggingModel(BatchingModel):
    """Answers inputs by their words, or by the pieces of these."""

    def __init__(self, predictor: Predictor, *settings: Any) -> None:
        """Begin with a predictor whose task is a `TagsPieces`; for the settings see
        `BatchingModel`."""
        super().__init__(predictor, *settings)
        assert isinstance(predictor.task, TagsPieces)
        self._by_word, self._by_piece = predictor, copy.copy(predictor)
        self._by_piece.task = predictor.task.of_pieces()

    def _shared(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return {PIECES: bool(parameters.get(PIECES))}

    def _of_group(self, work: Sequence[Work], places: list[int]) -> Iterator[Batch]:
        by_piece = work[places[0]].parameters.get(PIECES)
        self.predictor = self._by_piece if by_piece else self._by_word
        yield from super()._of_group(work, places)


def model_of(predictor: Predictor, *settings: Any) -> BatchingModel:
    """Return the model that answers with a predictor; for the settings see `BatchingModel`."""
    kind = TaggingModel if isinstance(predictor.task, TagsPieces) else BatchingModel
    return kind(predictor, *settings)
