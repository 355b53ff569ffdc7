"""t5_seq2seq: an encoder and a decoder that write one text from another: translations, summaries.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
Transformer" (T5). New weights in its shape and a tokenizer trained on both sides of the pairs, or
`--model`: weights of T5, BART, Marian or Pegasus.

It has run with new weights and small random ones only: the pretrained ones have not been at hand.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry, Preset


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: a preset, a folder, or a Hub id; none: new weights, shaped by what
    follows"""
    vocab_size: Count = 4096
    """new weights: most tokens of the vocabulary, which sources and targets share"""
    hidden_size: Count = 192
    """new weights: size of a token's vector"""
    feed_forward_size: Count | None = None
    """new weights: size within the feed-forward layers; four times hidden_size by default"""
    num_layers: Count = 2
    """new weights: layers of the encoder"""
    num_decoder_layers: Count | None = None
    """new weights: layers of the decoder; as many as the encoder has by default"""
    num_heads: Count = 4
    """new weights: attention heads"""


PRESETS: Mapping[str, Preset] = {
    "t5-small": Preset(repo="google-t5/t5-small", license="Apache-2.0"),
    "t5-base": Preset(repo="google-t5/t5-base", license="Apache-2.0"),
    "flan-t5-small": Preset(repo="google/flan-t5-small", license="Apache-2.0"),
    "flan-t5-base": Preset(repo="google/flan-t5-base", license="Apache-2.0"),
    "bart-base": Preset(repo="facebook/bart-base", license="Apache-2.0"),
}

EXAMPLES = {
    "finetune": (
        "finetune",
        "finetune --data pairs.jsonl --source_column en --target_column fr --output_dir runs/en-fr",
        "finetune --data train.en,train.fr --minutes 15 --output_dir runs/en-fr",
        "finetune --model t5-small --source_prefix 'summarize: ' --data articles.csv",
    ),
    "evaluate": (
        "evaluate runs/t5_seq2seq",
        "evaluate runs/en-fr --data news.en,news.fr --split train",
    ),
    "export": ("export runs/en-fr --runtime onnx",),
    "quantize": ("quantize runs/en-fr --max_drop 0.5 --min_speedup 1.1",),
    "predict": (
        'predict runs/en-fr --text "This package provides the documentation."',
        'predict runs/en-fr --text "This package provides the documentation." --deployment onnx',
        "predict runs/en-fr --file texts.txt --num_beams 4 --output translated.jsonl",
    ),
}

ENTRY = Entry(
    name="t5_seq2seq",
    module="zoo.nlp.t5_seq2seq",
    task="tasks.nlp.seq2seq",
    summary="encoder-decoder that translates or sums up texts (T5)",
    network="zoo.nlp.text_seq2seq",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 5e-3,
        "warmup_steps": 0.05,
        "lr_scheduler_type": "cosine",
        "label_smoothing_factor": 0.1,
    },
    finetune_recipe={
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-4,
    },
    presets=PRESETS,
    verbs=("finetune", "evaluate", "predict", "export", "quantize"),
    examples=EXAMPLES,
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
