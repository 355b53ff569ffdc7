"""wav2vec2_ctc: a pretrained speech encoder with a CTC head, fine-tuned on transcribed speech.

Any that transformers' AutoModelForCTC takes: wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al.
2021), WavLM (Chen et al. 2022), XLS-R (Babu et al. 2021). Its masks (SpecAugment, section 3 of
Baevski et al.) stay as the weights' config has them, and follow from the seed.

It has run with small random weights only: the pretrained ones have not been at hand.
"""

import sys
from dataclasses import dataclass
from typing import Literal

from zoo.model.entry import Entry
from zoo.speech.presets import RECOGNIZERS


@dataclass(frozen=True)
class Options:
    """What only this model has."""

    model: str = "wav2vec2-base-960h"
    """pretrained weights: a preset, a folder, or a Hub id"""
    vocabulary: Literal["auto", "new"] = "auto"
    """symbols to write with: those of the weights where they have such; new: the characters of the
    training transcriptions"""
    freeze_feature_encoder: bool = True
    """keep the convolutions in front as they are"""


ENTRY = Entry(
    name="wav2vec2_ctc",
    module="zoo.speech.wav2vec2_ctc",
    task="tasks.speech.speech_recognition",
    summary="pretrained speech encoder (wav2vec2, HuBERT, WavLM) with CTC: speech to text",
    network="zoo.speech.pretrained_ctc",
    modality="zoo.speech.modality",
    options=Options,
    recipe={
        "num_train_epochs": 10.0,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 16,
        "learning_rate": 1e-4,
        "weight_decay": 0.005,
        "warmup_steps": 0.1,
    },
    presets=RECOGNIZERS,
    default_preset="wav2vec2-base-960h",
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
