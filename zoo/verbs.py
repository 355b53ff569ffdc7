"""The flags of the verbs that take a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class EvaluateArgs:
    """Metrics of a checkpoint."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    data: str | None = None
    """data to evaluate on; that of the training by default"""
    data_config: str | None = None
    """Hub configuration"""
    split: str | None = None
    """split to evaluate on; test where there is one"""
    max_eval_samples: int | None = None
    """at most so many samples"""
    per_device_eval_batch_size: int = 64
    """samples in a pass"""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """arithmetic"""
    device: str = "auto"
    """cuda, mps or cpu"""
    on_bad_file: Literal["skip", "stop"] | None = None
    """what to do about an image or sound that can't be read; by default as in training"""
    mistakes: int = 10
    """how many of the worst mistakes to list; 0 for none"""


@dataclass(frozen=True)
class PredictArgs:
    """Labels for new inputs."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint; with zero_shot weights: a preset, a folder, or a Hub id"""
    output: Path | None = None
    """file to write, .jsonl or .csv; standard output by default"""
    format: Literal["jsonl", "csv"] | None = None
    """jsonl by default"""
    top_k: int | None = None
    """scores of the best k labels as well"""
    batch_size: int = 32
    """inputs in a pass"""
    device: str = "auto"
    """cuda, mps or cpu"""
    zero_shot: bool = False
    """no training: choose among `labels` by their names. Texts: weights of language inference (NLI)
    or sentence embeddings; images: CLIP (whose real weights we have not run)"""
    labels: str | None = None
    """labels for zero_shot: cat,dog, or @FILE with one a line"""
    template: str | None = None
    """sentence that each label is put into; "This text is about {}." or "a photo of a {}." """
