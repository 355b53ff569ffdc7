"""The network of kws_cls: a small convolutional classifier on log-mel features."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.loading import load_feature_extractor, load_model
from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification
from zoo.speedups.fast_dropout import replace_dropout

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.kws_cls import Options


def make_processor(
    options: "Options", task: "Task", examples: "datasets.DatasetDict", entry: Any
) -> Any:
    """The extractor of log-mel features.

    Raises `UserError` for options that make no network.
    """
    for name in ("num_mel_bins", "hidden_size", "num_layers"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)}: at least 1")
    return LogMelFeatureExtractor(options.num_mel_bins, options.sampling_rate)


def longest(options: "Options", processor: Any, entry: Any) -> int:
    """There is no longest input but the task's own."""
    return 0


def make(
    options: "Options", task: "Task", processor: Any, entry: Any
) -> tuple["nn.Module", dict[str, Any]]:
    """The model in fp32 with weights drawn from torch's global random state; seed it first."""
    config = KwsConfig(
        num_mel_bins=options.num_mel_bins,
        hidden_size=options.hidden_size,
        num_hidden_layers=options.num_layers,
        hidden_dropout_prob=options.kws_dropout,
        **task.model_config(),
    )
    return KwsForAudioClassification(config), {"model": None, "license": None}


def speed_up(model: Any, train: Any) -> None:
    """The faster but equal training code."""
    replace_dropout(model)


def load(folder: "Path") -> tuple["nn.Module", Any]:
    """The model and feature extractor of a checkpoint."""
    from transformers import AutoModelForAudioClassification

    return load_model(AutoModelForAudioClassification, folder), load_feature_extractor(folder)
