"""kws_cls: a small convolutional network on log-mel features of short sounds, new or out of a
checkpoint.

Keyword spotting after Sainath & Parada 2015; see `zoo.speech.modeling_kws` for the network.

Embedded words, voices that training never heard, seed 42: test accuracy 0.967 (0.949 to 0.978, n =
600) in 97 s of training on two CPU cores with bf16: `python -m zoo.speech.kws_cls finetune`.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import BelowOne, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Activation, Initialization
from zoo.speech.log_mel_args import LogMelArgs


@dataclass(frozen=True)
class Options(LogMelArgs):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of kws_cls, whose features and shape are
    kept; none: new weights, shaped by what follows"""
    num_mel_bins: Count = 40
    """mel bins of the features"""
    hidden_size: Count = 96
    """channels of the blocks"""
    num_layers: Count = 4
    """residual blocks over time"""
    kws_dropout: BelowOne = 0.1
    """dropout of the blocks and before the head"""
    activation: Activation = "gelu"
    """nonlinearity of the blocks"""
    initialization: Initialization = "default"
    """first weights; default is He's for convolutions, and Glorot's (xavier) for linear layers"""


ENTRY = Entry(
    name="kws_cls",
    module="zoo.speech.kws_cls",
    task="tasks.speech.audio_classification",
    summary="small convolutional network on log-mel features, from scratch: keywords, sounds",
    network="zoo.speech.keyword_network",
    modality="zoo.speech.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 128,
        "learning_rate": 3e-3,
        "weight_decay": 0.02,
        "warmup_steps": 0.1,
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
