"""gpt_lm: a decoder that learns to go on with texts, GPT-2 in small.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". New weights and a
tokenizer trained on the texts by `pretrain`; `finetune` goes on with a checkpoint of its own, or
any decoder of transformers, on texts of one's own: documents, prompts with completions, or chats,
of which the answers alone are learned.

Texts of the training see nothing of each other (`tasks.nlp.causal_lm`), and what is written behind
a prompt depends on nothing beside it, in a service neither (`zoo.serve`).
"""

import sys
from dataclasses import dataclass
from typing import Literal

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: a folder, or a Hub id; none: new weights, shaped by what follows"""
    tokenizer: Literal["bpe", "char"] = "bpe"
    """new weights: pairs of bytes that are frequent in the texts, or characters; nothing is unknown
    to either"""
    vocab_size: Count = 4096
    """new weights: most tokens of the vocabulary"""
    hidden_size: Count = 256
    """new weights: size of a token's vector; the feed-forward layers have four times as much"""
    num_layers: Count = 4
    """new weights: layers"""
    num_heads: Count = 4
    """new weights: attention heads"""
    token_limit: Count = 256
    """new weights: most tokens that the model sees at once; max_length may be lower"""
    chat_template: str | None = None
    """chats: file of a Jinja template that writes them, or chatml, which adds its two tokens to the
    vocabulary; by default the tokenizer's own, or of new weights chatml"""


EXAMPLES = {
    "pretrain": (
        "pretrain",
        "pretrain --data texts/ --num_train_epochs 2 --output_dir runs/start",
        "pretrain --data book.txt --tokenizer char --resume --output_dir runs/book",
    ),
    "finetune": (
        "finetune --model runs/gpt_lm --data mine.jsonl --output_dir runs/mine",
        "finetune --model runs/gpt_lm --data chats.jsonl --tune lora --output_dir runs/chat",
    ),
    "export": (
        "export runs/gpt_lm --runtime onnx",
        "export runs/gpt_lm --runtime onnx --data texts/",
    ),
    "quantize": (
        "quantize runs/gpt_lm --max_drop 0.01 --min_speedup 1.2",
        "quantize runs/gpt_lm --max_drop 0.01 --method weight-only --all",
    ),
    "evaluate": (
        "evaluate runs/gpt_lm",
        "evaluate runs/gpt_lm --data book.txt --split train",
    ),
    "predict": (
        'predict runs/gpt_lm --prompt "This package provides"',
        'predict runs/gpt_lm --prompt "This package provides" --deployment onnx',
        'predict runs/gpt_lm --prompt "The" --temperature 0.8 --top_p 0.95 --seed 1 --stop .',
        "predict runs/gpt_lm --file prompts.txt --max_new_tokens 50 --output texts.jsonl",
    ),
}

ENTRY = Entry(
    name="gpt_lm",
    module="zoo.nlp.gpt_lm",
    task="tasks.nlp.causal_lm",
    summary="decoder that goes on with texts (GPT-2 in small)",
    network="zoo.nlp.causal_decoder",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={
        "num_train_epochs": 10.0,
        "per_device_train_batch_size": 32,
        "learning_rate": 2e-3,
        "weight_decay": 0.1,
        "warmup_steps": 0.05,
        "lr_scheduler_type": "cosine",
    },
    finetune_recipe={"num_train_epochs": 3.0, "learning_rate": 2e-4},
    verbs=("pretrain", "finetune", "evaluate", "predict", "export", "quantize"),
    examples=EXAMPLES,
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
