"""whisper_asr: Whisper, an encoder and decoder that writes what it hears, fine-tuned on transcribed
speech.

Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision".

It has run with small random weights only: the pretrained ones have not been at hand.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry
from zoo.speech.presets import WHISPERS


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "whisper-tiny"
    """pretrained weights: a preset, a folder, or a Hub id"""
    language: str = "en"
    """language of the speech, by code or English name; English-only weights ignore it"""
    translate: bool = False
    """the transcriptions are English translations of what is said"""
    max_new_tokens: Count = 224
    """most tokens that are written for one window of 30 s"""


ENTRY = Entry(
    name="whisper_asr",
    module="zoo.speech.whisper_asr",
    task="tasks.speech.seq2seq_recognition",
    summary="Whisper: speech to text, in one of many languages",
    network="zoo.speech.speech_seq2seq",
    modality="zoo.speech.modality",
    options=Options,
    verbs=("finetune", "evaluate", "predict", "export"),
    recipe={
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 16,
        "learning_rate": 1e-5,
        "warmup_steps": 0.1,
    },
    presets=WHISPERS,
    default_preset="whisper-tiny",
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
