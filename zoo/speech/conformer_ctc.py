"""conformer_ctc: a Conformer on log-mel features with CTC, from scratch or from a checkpoint.

Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition", as
torchaudio has it; Graves et al. 2006 for CTC.

Embedded digit strings, voices that training never heard, seed 42: WER 0.094 (0.071 to 0.120, 400
strings) in 360 s of training on two CPU cores with bf16: `python -m zoo.speech.conformer_ctc
finetune`.
"""

import sys
from dataclasses import dataclass
from typing import Literal

from tasks.bounds import BelowOne, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Activation, Initialization
from zoo.speech.log_mel_args import LogMelArgs


@dataclass(frozen=True)
class Options(LogMelArgs):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of conformer_ctc, whose features, symbols
    and shape are kept; none: new weights, shaped by what follows"""
    vocabulary: Literal["auto", "new"] = "auto"
    """symbols to write with: those of the weights; new: the characters of the training
    transcriptions, with a new head"""
    hidden_size: Count = 144
    """width of the layers"""
    num_layers: Count = 4
    """conformer layers"""
    num_heads: Count = 4
    """attention heads"""
    kernel_size: Count = 15
    """of the depthwise convolutions, in frames of four hops (40 ms); odd"""
    conformer_dropout: BelowOne = 0.0
    """dropout of the layers; long training wants 0.1, a short one learns more without"""
    activation: Activation = "silu"
    """nonlinearity of the layers"""
    initialization: Initialization = "default"
    """first weights; default is Glorot's (xavier) for linear layers, He's for convolutions"""


ENTRY = Entry(
    name="conformer_ctc",
    module="zoo.speech.conformer_ctc",
    task="tasks.speech.speech_recognition",
    summary="Conformer with CTC from scratch: speech to text",
    network="zoo.speech.conformer_network",
    modality="zoo.speech.modality",
    options=Options,
    recipe={
        "num_train_epochs": 14.0,
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 32,
        "learning_rate": 1.5e-3,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
        "max_grad_norm": 5.0,
        "ema_decay": 0.995,
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
