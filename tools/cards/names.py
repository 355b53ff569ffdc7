"""What the evidence's metrics are called on the Hub and on a page."""

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric as the Hub and people call it."""

    hub: str  # its id under https://hf.co/metrics, or our own name where it has none there
    title: str
    average: str | None = None  # over classes


METRICS = {
    "accuracy": Metric("accuracy", "Accuracy"),
    "cer": Metric("cer", "Character error rate"),
    "exact_match": Metric("exact_match", "Exact match"),
    "f1": Metric("f1", "F1"),
    "f1_macro": Metric("f1", "F1 (macro)", "macro"),
    "f1_micro": Metric("f1", "F1 (micro)", "micro"),
    "matthews_correlation": Metric("matthews_correlation", "Matthews correlation"),
    "mse": Metric("mse", "Mean squared error"),
    "pearsonr": Metric("pearsonr", "Pearson correlation"),
    "perplexity": Metric("perplexity", "Perplexity"),
    "precision": Metric("precision", "Precision"),
    "precision_macro": Metric("precision", "Precision (macro)", "macro"),
    "precision_micro": Metric("precision", "Precision (micro)", "micro"),
    "recall": Metric("recall", "Recall"),
    "recall_macro": Metric("recall", "Recall (macro)", "macro"),
    "recall_micro": Metric("recall", "Recall (micro)", "micro"),
    "spearmanr": Metric("spearmanr", "Spearman correlation"),
    "top5_accuracy": Metric("top5_accuracy", "Top-5 accuracy"),
    "wer": Metric("wer", "Word error rate"),
}
ON_THE_HUB = frozenset(metric.hub for metric in METRICS.values()) - {"top5_accuracy"}


def metric(name: str) -> Metric:
    """The metric of a name of the evidence."""
    return METRICS.get(name) or Metric(name, name.replace("_", " ").capitalize())
