"""ast_cls: a pretrained audio transformer with a classification head, fine-tuned on sounds.

Any that transformers' AutoModelForAudioClassification takes. Gong et al. 2021, "AST: Audio
Spectrogram Transformer", by default; wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021)
and WavLM (Chen et al. 2022) as well.

It has run with small random weights only: the pretrained ones have not been at hand.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Positive
from zoo.model.entry import Entry
from zoo.speech.presets import CLASSIFIERS


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "ast-audioset"
    """pretrained weights: a preset, a folder, or a Hub id"""
    seconds: Positive | None = None
    """AST: how much of a sound it hears; by default what the weights were trained at, 10.24 for
    AudioSet. Short sounds train much faster with less"""
    freeze_feature_encoder: bool = True
    """wav2vec2, HuBERT, WavLM: keep the convolutions in front as they are"""


ENTRY = Entry(
    name="ast_cls",
    module="zoo.speech.ast_cls",
    task="tasks.speech.audio_classification",
    summary="pretrained audio transformer (AST, wav2vec2, HuBERT, WavLM): keywords, sounds",
    network="zoo.speech.pretrained_audio",
    modality="zoo.speech.modality",
    options=Options,
    recipe={
        "num_train_epochs": 5.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 5e-5,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets=CLASSIFIERS,
    default_preset="ast-audioset",
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
