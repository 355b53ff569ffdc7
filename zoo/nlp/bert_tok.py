"""bert_tok: a pretrained encoder with a head that tags every word, fine-tuned on tagged text.

Named entities, parts of speech, punctuation: any encoder that transformers'
AutoModelForTokenClassification takes. Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", section 5.3; the default weights are all-MiniLM-L6-v2
(Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT").
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.model.entry import Entry
from zoo.nlp.presets import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task

AUTO = "AutoModelForTokenClassification"


@dataclass(frozen=True)
class Options:
    """What only this model has."""

    model: str = "minilm"
    """pretrained weights: a preset, a folder (such as bert_mlm leaves), or a Hub id"""
    from_scratch: bool = False
    """new weights in the shape of --model, to compare with"""


ENTRY = Entry(
    name="bert_tok",
    module="zoo.nlp.bert_tok",
    task="tasks.nlp.token_classification",
    summary="pretrained text encoder that tags every word: entities, parts of speech, punctuation",
    network="zoo.nlp.bert_tok",
    options=Options,
    recipe={
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 3e-4,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets=PRESETS,
    default_preset="minilm",
)


def make_processor(
    options: Options, task: "Task", examples: "datasets.DatasetDict", entry: Any
) -> Any:
    """The tokenizer of the weights; see `zoo.nlp.pretrained_encoder`."""
    from zoo.nlp import pretrained_encoder

    return pretrained_encoder.make_processor(options, task, examples, entry)


def longest(options: Options, processor: Any, entry: Any) -> int:
    """Longest input of the model in tokens."""
    from zoo.nlp import pretrained_encoder

    return pretrained_encoder.longest(options, processor, entry)


def make(
    options: Options, task: "Task", processor: Any, entry: Any
) -> tuple["nn.Module", dict[str, Any]]:
    """The model in fp32 with a new head, and where its weights came from."""
    from zoo.nlp import pretrained_encoder

    return pretrained_encoder.make(options, task, processor, entry, AUTO)


def speed_up(model: Any, train: Any) -> None:
    """The faster but equal training code; all tokens of the last layer are read."""
    from zoo.speedups.fast_encoder import speed_up_layers
    from zoo.speedups.sparse_embedding import train_used_rows

    speed_up_layers(model)
    if train is not None:
        train_used_rows(model, model.get_input_embeddings(), train.used_ids())


def load(folder: "Path") -> tuple["nn.Module", Any]:
    """The model and tokenizer of a checkpoint, as plain transformers loads them."""
    from zoo.nlp import pretrained_encoder

    return pretrained_encoder.load(folder, AUTO)


if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
