"""The network of conformer_ctc: torchaudio's Conformer on log-mel features, with new weights."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.loading import load_model
from zoo.speech.ctc_processor import CtcProcessor, load_processor, train_tokenizer
from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC
from zoo.speedups.fast_dropout import replace_dropout

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.conformer_ctc import Options


def make_processor(
    options: "Options", task: Any, examples: "datasets.DatasetDict", entry: Any
) -> CtcProcessor:
    """Log-mel features, and the characters of the training transcriptions.

    Raises `UserError` for options that make no network.
    """
    for name in ("num_mel_bins", "hidden_size", "num_layers", "num_heads"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)}: at least 1")
    if options.hidden_size % options.num_heads:
        raise UserError(f"--hidden_size {options.hidden_size}: a multiple of --num_heads")
    extractor = LogMelFeatureExtractor(options.num_mel_bins, options.sampling_rate)
    return CtcProcessor(extractor, train_tokenizer(examples["train"], task.args))


def longest(options: "Options", processor: Any, entry: Any) -> int:
    """There is no longest input but the task's own."""
    return 0


def make(
    options: "Options", task: "Task", processor: CtcProcessor, entry: Any
) -> tuple["nn.Module", dict[str, Any]]:
    """The model in fp32 with weights drawn from torch's global random state; seed it first."""
    config = ConformerConfig(
        num_mel_bins=options.num_mel_bins,
        hop_length=processor.feature_extractor.hop_length,
        hidden_size=options.hidden_size,
        intermediate_size=4 * options.hidden_size,
        num_hidden_layers=options.num_layers,
        num_attention_heads=options.num_heads,
        conv_kernel_size=options.kernel_size,
        hidden_dropout_prob=options.conformer_dropout,
        **task.model_config(),
    )
    return ConformerForCTC(config), {"model": None, "license": None}


def speed_up(model: Any, train: Any) -> None:
    """The faster but equal training code."""
    replace_dropout(model)


def load(folder: "Path") -> tuple["nn.Module", Any]:
    """The model and processor of a checkpoint."""
    from transformers import AutoModelForCTC

    return load_model(AutoModelForCTC, folder), load_processor(folder)
