"""bert_tok: a pretrained encoder with a head that tags every word, fine-tuned on tagged text.

Named entities, parts of speech, punctuation: any encoder that transformers'
AutoModelForTokenClassification takes. Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", section 5.3; the default weights are all-MiniLM-L6-v2
(Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT").
"""

import sys
from dataclasses import dataclass
from typing import Any

from zoo.model.entry import Entry
from zoo.nlp.presets import PRESETS


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
    modality="zoo.nlp.modality",
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


def __getattr__(name: str) -> Any:
    """`NETWORK`, which imports torch: made when a verb asks for it, not for `--help`."""
    if name != "NETWORK":
        raise AttributeError(name)
    from zoo.nlp.pretrained_encoder import PretrainedEncoder

    class TokenEncoder(PretrainedEncoder):
        """An encoder whose head reads every token of the last layer."""

        auto_class = "AutoModelForTokenClassification"
        head = "head for tokens"

        def optimize_training(self, model: Any, train: Any) -> None:
            from zoo.speedups.fast_encoder import speed_up_layers
            from zoo.speedups.sparse_embedding import train_used_rows

            speed_up_layers(model)
            if train is not None:
                train_used_rows(model, model.get_input_embeddings(), train.used_ids())

    return TokenEncoder()


if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
