"""Tiny networks of random weights that generate text, by transformers, and inputs for them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import tasks  # noqa: F401  (transformers imports torchvision, which may need our guard)

# isort: split
import transformers

from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.network import NetworkDecoder

VOCABULARY, PAD, START, ENDS = 40, 0, 1, (2, 7)
SPECIAL = SpecialTokens(eos=ENDS, pad=PAD)

Inputs = dict[str, torch.Tensor]


def _gpt2() -> Any:
    """Positions are learned."""
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=48,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.5,
    )
    return transformers.GPT2LMHeadModel(config)


def _llama() -> Any:
    """Positions are rotations, and keys are shared by heads."""
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    return transformers.LlamaForCausalLM(config)


def _bart() -> Any:
    config = transformers.BartConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        init_std=0.5,
        scale_embedding=True,
        forced_eos_token_id=None,
        pad_token_id=PAD,
    )
    return transformers.BartForConditionalGeneration(config)


def _t5() -> Any:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    return transformers.T5ForConditionalGeneration(config)


def _speech() -> Any:
    """Its mask is of frames, of which the encoder sees a quarter."""
    config = transformers.Speech2TextConfig(
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        conv_channels=16,
        input_feat_per_channel=8,
        max_target_positions=64,
        init_std=0.4,
        pad_token_id=PAD,
    )
    return transformers.Speech2TextForConditionalGeneration(config)


KINDS: dict[str, Callable[[], Any]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "bart": _bart,
    "t5": _t5,
    "speech_to_text": _speech,
}


def network(kind: str, seed: int = 1) -> Any:
    """One of KINDS in eval mode; a decoder's end is made likely enough to come."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KINDS[kind]().eval()
    config = transformers.GenerationConfig(
        pad_token_id=PAD, eos_token_id=list(ENDS), decoder_start_token_id=START, max_new_tokens=16
    )
    model.generation_config = config
    return model


def inputs_of(kind: str, rows: int = 5, width: int = 9) -> Inputs:
    """Rows of different lengths with their mask: padded behind, of a decoder in front."""
    rng = np.random.default_rng(3)
    mask = torch.ones(rows, width, dtype=torch.long)
    for row in range(1, rows):
        mask[row, width - row :] = 0
    if kind == "speech_to_text":
        frames = torch.from_numpy(rng.normal(size=(rows, 4 * width, 8)).astype(np.float32))
        return {"input_features": frames, "attention_mask": mask.repeat_interleave(4, 1)}
    if kind in ("gpt2", "llama"):
        mask = mask.flip(1)
    ids = torch.from_numpy(rng.integers(8, VOCABULARY, (rows, width))) * mask
    return {"input_ids": ids, "attention_mask": mask}


def decoder(model: Any) -> NetworkDecoder:
    """The network under our loop."""
    prefix = (START,) if model.config.is_encoder_decoder else ()
    return NetworkDecoder(model, SpecialTokens(ENDS, PAD, prefix), Decoding(max_new_tokens=16))


def of_transformers(model: Any, inputs: Inputs, **options: Any) -> list[list[int]]:
    """The texts that `generate` of transformers gives, without prompt and end."""
    prompt = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    with torch.inference_mode():
        return trimmed(model.generate(**inputs, **options)[:, prompt:].numpy())


def trimmed(texts: np.ndarray) -> list[list[int]]:
    """Rows up to the first token that ends a text or pads one."""
    return [
        row[: next((i for i, token in enumerate(row) if token in (*ENDS, PAD)), len(row))]
        for row in texts.tolist()
    ]
