"""stream_ctc: speech to text while it is spoken, by a causal network on log-mel features with CTC,
from scratch or from a checkpoint.

van den Oord et al. 2016, "WaveNet", for the dilated gated convolutions; Graves et al. 2006 for CTC.
What a stream writes is what the whole recording gives, to the last bit of its logits
(`zoo.speech.modeling_stream`): no frame of features or of the network depends on a later one, nor
on how the sound was cut. Log-mel frames lie within the samples and are normalized by two constants.
Training puts pauses before and behind its sounds (`--pauses`): without, letters are made up where a
stream is silent.

Embedded digit strings, voices that training never heard, seed 42, one thread in fp32: WER 0.172
(0.146 to 0.199, 400 strings) after 8 epochs without pauses, and 0.140 (0.087 to 0.196, the first
100) after 2 more with them (`--model FIRST --num_train_epochs 2 --learning_rate 1e-3`). What a
stream takes: `python -m bench.experiments.live_speech`.
"""

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

from tasks.bounds import BelowOne, Bounds, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Initialization
from zoo.speech.log_mel_args import LogMelArgs

LONGEST_SECONDS = 4 * 3600.0


@dataclass(frozen=True)
class Options(LogMelArgs):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of stream_ctc, whose features, symbols and
    shape are kept; none: new weights, shaped by what follows"""
    vocabulary: Literal["auto", "new"] = "auto"
    """symbols to write with: those of the weights; new: the characters of the training
    transcriptions, with a new head"""
    hidden_size: Count = 160
    """width of the layers"""
    num_layers: Count = 8
    """dilated convolutions"""
    kernel_size: Annotated[int, Bounds(2, 64)] = 3
    """frames that a convolution sees"""
    cycle: Annotated[int, Bounds(1, 12)] = 4
    """layers whose dilations double, 1, 2, 4, 8, before they begin again"""
    stacked_frames: Annotated[int, Bounds(1, 64)] = 4
    """frames of features that make one frame of the network (40 ms)"""
    chunk_frames: Annotated[int, Bounds(1, 4096)] = 8
    """frames of features that a stream waits for and computes at once (80 ms)"""
    tail_seconds: Annotated[float, Bounds(0, 10)] = 0.3
    """silence that is heard behind the end of a sound, for the last word to be written"""
    stream_dropout: BelowOne = 0.0
    """dropout of the layers; long training wants 0.1, a short one learns more without"""
    initialization: Initialization = "default"
    """first weights; default is Glorot's (xavier)"""


ENTRY = Entry(
    name="stream_ctc",
    module="zoo.speech.stream_ctc",
    task="tasks.speech.speech_recognition",
    summary="causal convolutions with CTC from scratch: speech to text as it is spoken",
    network="zoo.speech.stream_network",
    modality="zoo.speech.modality",
    options=Options,
    recipe={
        "num_train_epochs": 8.0,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 32,
        "learning_rate": 2.5e-3,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
        "max_grad_norm": 5.0,
        "ema_decay": 0.995,
    },
    task_defaults={"window_seconds": LONGEST_SECONDS, "pauses": 2.0},
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
