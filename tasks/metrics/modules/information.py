"""What the metric modules tell `evaluate` of themselves.

A file of its own, and used through its name: `evaluate.load` takes the first metric class it finds
in a module, so nothing that looks like one may be imported there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import evaluate

from tasks.metrics import arithmetic


def of_labels(doc: str | None, url: str, rows: bool = True) -> Any:
    """Return the description of a metric of labels [n] and, with `rows`, of 0/1 rows [n, labels] as
    well."""
    options = [datasets.Value("int64")]
    if rows:
        options.append(datasets.Sequence(datasets.Value("int64")))
    return _information(doc, url, options)


def of_numbers(doc: str | None, url: str) -> Any:
    """Return the description of a metric of numbers [n]."""
    return _information(doc, url, [datasets.Value("float64")])


def of_texts(doc: str | None, url: str) -> Any:
    """Return the description of a metric of texts [n]."""
    return _information(doc, url, [datasets.Value("string")])


def _information(doc: str | None, url: str, options: list[Any]) -> Any:
    features = [datasets.Features({"predictions": o, "references": o}) for o in options]
    return evaluate.MetricInfo(
        description=doc or "",
        citation="",
        inputs_description="predictions and references of equal length",
        features=features if len(features) > 1 else features[0],
        reference_urls=[url],
    )


class LabelScore(evaluate.Metric):  # type: ignore[misc]
    """A score of labels out of their counts, under the name of its module."""

    score: Callable[..., Any]
    about: tuple[str | None, str]  # docstring and address

    def _info(self) -> Any:
        return of_labels(*self.about)

    def _compute(
        self,
        predictions: Any,
        references: Any,
        labels: Sequence[int] | None = None,
        pos_label: int = 1,
        average: str | None = "binary",
    ) -> dict[str, Any]:
        value = arithmetic.label_score(
            self.score, predictions, references, labels, pos_label, average
        )
        return {type(self).__name__.lower(): value}
