"""bert_cls: a pretrained encoder with a classification head, fine-tuned on labelled text.

Any encoder that transformers' AutoModelForSequenceClassification takes. Devlin et al. 2018,
"BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"; the default
weights are all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT").
"""

import sys
from dataclasses import dataclass

from zoo.entry import Entry
from zoo.nlp.presets import PRESETS


@dataclass(frozen=True)
class Options:
    """What only this model has."""

    model: str = "minilm"
    """pretrained weights: a preset, a folder, or a Hub id"""


ENTRY = Entry(
    name="bert_cls",
    module="zoo.nlp.bert_cls",
    task="tasks.nlp.text_classification",
    summary="pretrained text encoder (BERT, RoBERTa, ModernBERT, ...) with a classification head",
    network="zoo.nlp.pretrained_encoder",
    options=Options,
    recipe={
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 2e-4,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets=PRESETS,
    default_preset="minilm",
)

if __name__ == "__main__":
    from zoo.cli import main

    sys.exit(main(ENTRY))
