"""What is known of each metric: one table for training, evidence, cards, contracts and bench."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from tasks.errors import UserError


@dataclass(frozen=True)
class MetricSpec:
    """A metric, by the name that evidence, logs and flags give it."""

    name: str
    title: str
    """The name that people read."""
    hub_id: str | None
    """The metric's id under https://hf.co/metrics; None where it has none there."""
    _: KW_ONLY
    greater_is_better: bool
    average: str | None = None
    """Over classes: "micro", "macro" or "weighted"."""
    is_mean: bool = False
    """Whether it is the mean over samples of one number each. Differences of what is no mean are
    compared by a paired bootstrap over samples."""
    unit: str = "1"
    scale: Literal["absolute", "relative"] = "absolute"
    """How a difference is told and bounded (`--max_drop`): in the metric's own unit, or as a share
    of the value it is compared with."""


METRICS: Mapping[str, MetricSpec] = {
    spec.name: spec
    for spec in (
        MetricSpec("accuracy", "Accuracy", "accuracy", greater_is_better=True, is_mean=True),
        MetricSpec(
            "bits_per_byte", "Bits per byte", None, greater_is_better=False, scale="relative"
        ),
        MetricSpec(
            "bits_per_dim",
            "Bits per dimension",
            None,
            greater_is_better=False,
            is_mean=True,
        ),
        MetricSpec("bleu", "BLEU", "sacrebleu", greater_is_better=True),
        MetricSpec("cer", "Character error rate", "cer", greater_is_better=False),
        MetricSpec("chrf", "chrF", "chrf", greater_is_better=True),
        MetricSpec("dice", "Dice", None, greater_is_better=True),
        MetricSpec(
            "denoising_loss",
            "Denoising loss",
            None,
            greater_is_better=False,
            is_mean=True,
        ),
        MetricSpec("distinct_1", "Distinct-1", None, greater_is_better=True),
        MetricSpec("distinct_2", "Distinct-2", None, greater_is_better=True),
        MetricSpec(
            "exact_match", "Exact match", "exact_match", greater_is_better=True, is_mean=True
        ),
        MetricSpec("f1", "F1", "f1", greater_is_better=True),
        MetricSpec("f1_macro", "F1 (macro)", "f1", greater_is_better=True, average="macro"),
        MetricSpec("f1_micro", "F1 (micro)", "f1", greater_is_better=True, average="micro"),
        MetricSpec(
            "f1_weighted", "F1 (weighted)", "f1", greater_is_better=True, average="weighted"
        ),
        MetricSpec("fid", "Fréchet distance (FID)", None, greater_is_better=False),
        MetricSpec("iou", "IoU", None, greater_is_better=True),
        MetricSpec("kid", "Kernel distance (KID)", None, greater_is_better=False),
        MetricSpec("loss", "Loss", None, greater_is_better=False),
        MetricSpec("map", "mAP@[.50:.95]", None, greater_is_better=True),
        MetricSpec("map_50", "mAP@.50", None, greater_is_better=True),
        MetricSpec("map_75", "mAP@.75", None, greater_is_better=True),
        MetricSpec("map_large", "mAP of large objects", None, greater_is_better=True),
        MetricSpec("map_medium", "mAP of medium objects", None, greater_is_better=True),
        MetricSpec("map_small", "mAP of small objects", None, greater_is_better=True),
        MetricSpec("mar_1", "Mean recall of 1 box a class", None, greater_is_better=True),
        MetricSpec("mar_10", "Mean recall of 10 boxes a class", None, greater_is_better=True),
        MetricSpec("mar_100", "Mean recall of 100 boxes a class", None, greater_is_better=True),
        MetricSpec("masked_accuracy", "Masked accuracy", None, greater_is_better=True),
        MetricSpec(
            "matthews_correlation",
            "Matthews correlation",
            "matthews_correlation",
            greater_is_better=True,
        ),
        MetricSpec("mean_iou", "Mean IoU", "mean_iou", greater_is_better=True),
        MetricSpec("mse", "Mean squared error", "mse", greater_is_better=False, is_mean=True),
        MetricSpec("neighbour_ranking", "Neighbours above noise", None, greater_is_better=True),
        MetricSpec("pearsonr", "Pearson correlation", "pearsonr", greater_is_better=True),
        MetricSpec("perplexity", "Perplexity", "perplexity", greater_is_better=False),
        MetricSpec("pixel_accuracy", "Pixel accuracy", None, greater_is_better=True),
        MetricSpec("precision", "Precision", "precision", greater_is_better=True),
        MetricSpec(
            "precision_macro",
            "Precision (macro)",
            "precision",
            greater_is_better=True,
            average="macro",
        ),
        MetricSpec(
            "precision_micro",
            "Precision (micro)",
            "precision",
            greater_is_better=True,
            average="micro",
        ),
        MetricSpec(
            "precision_weighted",
            "Precision (weighted)",
            "precision",
            greater_is_better=True,
            average="weighted",
        ),
        MetricSpec("recall", "Recall", "recall", greater_is_better=True),
        MetricSpec(
            "recall_macro", "Recall (macro)", "recall", greater_is_better=True, average="macro"
        ),
        MetricSpec(
            "recall_micro", "Recall (micro)", "recall", greater_is_better=True, average="micro"
        ),
        MetricSpec(
            "recall_weighted",
            "Recall (weighted)",
            "recall",
            greater_is_better=True,
            average="weighted",
        ),
        MetricSpec("reconstruction_loss", "Reconstruction loss", None, greater_is_better=False),
        MetricSpec("rouge1", "ROUGE-1", "rouge", greater_is_better=True, is_mean=True),
        MetricSpec("rouge2", "ROUGE-2", "rouge", greater_is_better=True, is_mean=True),
        MetricSpec("rougeL", "ROUGE-L", "rouge", greater_is_better=True, is_mean=True),
        MetricSpec("spearmanr", "Spearman correlation", "spearmanr", greater_is_better=True),
        MetricSpec("token_accuracy", "Token accuracy", "accuracy", greater_is_better=True),
        MetricSpec("top5_accuracy", "Top-5 accuracy", None, greater_is_better=True, is_mean=True),
        MetricSpec("wer", "Word error rate", "wer", greater_is_better=False),
    )
}
"""Every metric that a task measures, and "loss", by name."""


def metric_spec(name: str) -> MetricSpec:
    """The metric of that name. Unknown name: UserError."""
    if name not in METRICS:
        raise UserError(f"unknown metric {name!r}; it is one of {', '.join(METRICS)}")
    return METRICS[name]


def title_of(name: str) -> str:
    """The title of a metric; of a name that is not in the table, as evidence of another version may
    have it, that name in words."""
    spec = METRICS.get(name)
    return spec.title if spec else name.replace("_", " ").capitalize()
