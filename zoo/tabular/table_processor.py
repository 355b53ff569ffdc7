"""What training learned of a table's columns, as a feature extractor that transformers saves and
loads; how rows become vectors is in `tasks.tabular.columns`."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import AutoFeatureExtractor, BatchFeature
from transformers.feature_extraction_utils import FeatureExtractionMixin

from tasks.tabular import table_inputs
from tasks.tabular.column import Column
from tasks.tabular.columns import vectors
from zoo.tabular.modeling_mlp import TableMlpConfig


class TableFeatureExtractor(FeatureExtractionMixin):  # type: ignore[misc]
    """A feature extractor from rows to `features` float32 [rows, width].

    Args:
        columns: the fields of a `tasks.tabular.columns.Column` each.
        target_mean: of each number to predict, over the training rows.
        target_std: their standard deviations.
    """

    model_input_names = ["features"]  # noqa: RUF012

    def __init__(
        self,
        columns: Sequence[Mapping[str, Any]] = (),
        target_mean: Sequence[float] = (),
        target_std: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.columns = list(columns)
        self.target_mean = list(target_mean)
        self.target_std = list(target_std)

    def __call__(
        self, rows: Sequence[Mapping[str, Any]], return_tensors: str | None = None
    ) -> BatchFeature:
        """Return the vectors of rows, each a mapping of columns to values, None where one is not
        known."""
        columns = [Column.of_json(one) for one in self.columns]
        found = [table_inputs.values_of(row, columns) for row in rows]
        by_name = {one.name: [row[one.name] for row in found] for one in columns}
        return BatchFeature({"features": vectors(columns, by_name)}, tensor_type=return_tensors)


AutoFeatureExtractor.register(TableMlpConfig, TableFeatureExtractor, exist_ok=True)
