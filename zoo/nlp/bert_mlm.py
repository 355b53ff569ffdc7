"""bert_mlm: an encoder pretrained on texts without labels, from which bert_cls starts.

Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", section 3.1, without the next sentence (which Liu et al. 2019, "RoBERTa", found to
be of no use). New weights and a tokenizer trained on the texts by default; `--model` goes on with
any masked language model on texts of one's own (Gururangan et al. 2020, "Don't Stop Pretraining").
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry
from zoo.nlp.presets import PRESETS


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: a preset, a folder, or a Hub id; none: new weights, shaped by what
    follows"""
    hidden_size: Count = 256
    """new weights: size of a token's vector; the feed-forward layers have four times as much"""
    num_layers: Count = 4
    """new weights: layers"""
    num_heads: Count = 4
    """new weights: attention heads"""
    vocab_size: Count = 8000
    """new weights: most tokens of the vocabulary"""
    lowercase: bool = True
    """new weights: read upper case as lower case"""
    token_limit: Count = 128
    """new weights: longest text the model is made for, in tokens; max_length may be lower"""


ENTRY = Entry(
    name="bert_mlm",
    module="zoo.nlp.bert_mlm",
    task="tasks.nlp.masked_lm",
    summary="text encoder pretrained without labels (masked language model), a start for bert_cls",
    network="zoo.nlp.masked_encoder",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets=PRESETS,
    verbs=("pretrain", "evaluate", "predict", "export"),
    pretrains_for="zoo.nlp.bert_cls",
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
