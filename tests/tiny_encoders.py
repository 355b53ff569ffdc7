"""Pretrained text encoders of random weights, as small as their kinds allow, with a tokenizer.

Each is what its kind is on the Hub: where positions begin, what pads, and on which side.
"""

from pathlib import Path
from typing import Any

import torch

import tasks  # noqa: F401  (transformers imports torchvision, which may need our guard)

# isort: split
import transformers
from transformers import PreTrainedTokenizerFast

LENGTH = 40  # tokens that each takes, where it has a limit
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}
BERT = {**SHAPE, "max_position_embeddings": LENGTH}
ROBERTA = {**SHAPE, "max_position_embeddings": LENGTH + 2, "type_vocab_size": 1}
DISTILBERT = {
    "dim": 32,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 64,
    "initializer_range": 0.2,
    "max_position_embeddings": LENGTH,
}
DEBERTA: dict[str, Any] = {
    **BERT,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "initializer_range": 0.2}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": LENGTH, "initializer_range": 0.2}
LLAMA = {**BERT, "num_key_value_heads": 1}
MODERNBERT: dict[str, Any] = {**BERT, "local_attention": 16, "cls_token_id": 2, "sep_token_id": 3}

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", BERT),
    "roberta": ("Roberta", ROBERTA),
    "xlm-roberta": ("XLMRoberta", ROBERTA),
    "camembert": ("Camembert", ROBERTA),
    "distilbert": ("DistilBert", DISTILBERT),
    "mpnet": ("MPNet", ROBERTA),
    "deberta": ("Deberta", DEBERTA),
    "deberta-v2": ("DebertaV2", {**DEBERTA, "position_buckets": 8, "share_att_key": True}),
    "xlnet": ("XLNet", XLNET),
    "gpt2": ("GPT2", GPT2),
    "llama": ("Llama", LLAMA),
    "modernbert": ("ModernBert", MODERNBERT),
    "electra": ("Electra", {**BERT, "embedding_size": 16}),
    "albert": ("Albert", {**BERT, "embedding_size": 16}),
}
"""By model type: the name of its classes, and its shape."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
DECODERS = ("gpt2", "llama")
PAD_IS_ONE = ("roberta", "xlm-roberta", "camembert", "mpnet")


def tokenizer_of(kind: str, texts: list[str]) -> PreTrainedTokenizerFast:
    """Words of some texts; special tokens where and as the kind has them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[UNK]", "[PAD]", *SPECIAL[2:]] if kind in PAD_IS_ONE else SPECIAL
    if kind in DECODERS:
        special = ["[UNK]", "[EOS]"]
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special))
    names: dict[str, Any] = {"unk_token": "[UNK]"}
    if kind in DECODERS:
        names["eos_token"] = names["bos_token"] = "[EOS]"
    else:
        marks = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        template = {
            "xlnet": ("$A [SEP] [CLS]:2", "$A [SEP] $B:1 [SEP]:1 [CLS]:2"),
        }.get(kind, ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template[0], pair=template[1], special_tokens=marks
        )
        names |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        names["mask_token"] = "[MASK]"
    inputs = ["input_ids", "attention_mask"]
    if kind not in ("distilbert", "modernbert", *DECODERS, *PAD_IS_ONE):
        inputs.insert(1, "token_type_ids")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=inputs,
        padding_side="left" if kind == "xlnet" else "right",
        **names,
    )


def save(folder: Path, kind: str, texts: list[str], head: str = "Model", **changes: Any) -> Path:
    """A model of a kind and its tokenizer; `changes` are made in its configuration."""
    tokenizer = tokenizer_of(kind, texts)
    name, shape = KINDS[kind]
    given = {**shape, "vocab_size": len(tokenizer)}
    if kind not in DECODERS:
        given["pad_token_id"] = tokenizer.pad_token_id
    config = getattr(transformers, f"{name}Config")(**given | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        getattr(transformers, f"{name}{head}")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
