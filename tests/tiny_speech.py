"""Pretrained speech models of random weights, as small as their kinds allow, with processors."""

import json
import shutil
import string
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

import tasks  # noqa: F401  (transformers imports torchaudio, which may need our guard)
from tests.finetuning import Run, run_finetune

# isort: split
import transformers

ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.3,
    "mask_time_length": 2,
    "mask_feature_prob": 0.1,
    "mask_feature_length": 2,
    "layerdrop": 0.1,
}
KINDS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}


def ast(folder: Path, frames: int = 64) -> Path:
    """An Audio Spectrogram Transformer for inputs of so many frames."""
    config = transformers.ASTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_length=frames,
        num_mel_bins=32,
        num_labels=5,
        initializer_range=0.2,
    )
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=frames)
    return _saved(folder, transformers.ASTForAudioClassification, config, extractor)


def encoder(
    folder: Path, kind: str = "wav2vec2", masked: bool = True, vocabulary: str = ""
) -> Path:
    """wav2vec2 or one of its kin; `masked` as the large ones, else as the base ones.

    With a vocabulary it has a CTC head and a tokenizer of these characters.
    """
    name, shape = KINDS[kind], dict[str, Any](ENCODER)
    if masked:
        shape |= {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *vocabulary]
    config = getattr(transformers, f"{name}Config")(**shape, vocab_size=len(symbols))
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked)
    if not vocabulary:
        return _saved(folder, getattr(transformers, f"{name}Model"), config, extractor)
    _saved(folder, getattr(transformers, f"{name}ForCTC"), config, extractor)
    path = folder / "vocab.json"
    path.write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
    transformers.Wav2Vec2CTCTokenizer(str(path)).save_pretrained(folder)
    return folder


def whisper(folder: Path, multilingual: bool = True, init_std: float = 0.2) -> Path:
    """A Whisper that hears 2 s and has places for 24 tokens; every byte is a token.

    Untrained it writes one and the same token; with an `init_std` of 0.5 many.
    """
    from tokenizers import pre_tokenizers
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = transformers.WhisperTokenizer(
        vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=[]
    )
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{code}|>" for code in LANGUAGES if code != "yue"]  # as the first versions
    special += ["<|translate|>", "<|transcribe|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.pad_token = "<|endoftext|>"
    end, start = tokenizer.convert_tokens_to_ids(special[:2])
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=16,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=100,
        max_target_positions=24,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        apply_spec_augment=True,
        mask_time_prob=0.2,
        mask_time_length=4,
        init_std=init_std,
    )
    extractor = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=2)
    _saved(folder, transformers.WhisperForConditionalGeneration, config, extractor)
    tokenizer.save_pretrained(folder)
    generation = transformers.GenerationConfig.from_pretrained(folder)
    generation.is_multilingual = multilingual
    generation.save_pretrained(folder)
    return folder


def _saved(folder: Path, kind: Any, config: Any, extractor: Any) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


LETTERS = string.ascii_uppercase + "'"


def write_tones(path: Path, seconds: float, rate: int = 16_000) -> Path:
    """A WAV of tones of 0.2 to 0.5 s with pauses between."""
    rng = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * rate:
        t = np.arange(int(rng.uniform(0.2, 0.5) * rate)) / rate
        parts.append(0.3 * np.sin(2 * np.pi * rng.choice([500.0, 1000.0, 2000.0]) * t))
        parts.append(rng.normal(0, 0.001, int(rng.uniform(0.05, 0.3) * rate)))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(parts)[: int(seconds * rate)], rate)
    return path


def finetune(
    module: str, model: Path, data: Path, folder: Path, *flags: object, steps: int = 2
) -> Run:
    """A few steps of 8 on a few samples; fails the test where the command fails."""
    words = ("finetune", "--model", model, "--data", data, "--output_dir", folder)
    words += ("--logging_steps", 1, "--report_to", "none", "--per_device_train_batch_size", 8)
    words += ("--max_train_samples", 16, "--max_eval_samples", 9, "--max_steps", steps, *flags)
    return run_finetune(module, folder, [str(word) for word in words])


def resampled(file: Path, rate: int = 16_000) -> np.ndarray:
    """The samples of a file, float32 [samples], at a rate."""
    from tasks.speech.sound.audio import resample

    wave, own = soundfile.read(file, dtype="float32")
    return resample(wave, own, rate)


def check_resume(module: str, model: Path, data: Path, folder: Path, *flags: object) -> None:
    """A run of four steps, and one that lost its last two and went on, agree to the last bit."""
    given = ("--save_steps", 2, "--save_total_limit", 9, *flags)
    whole = finetune(module, model, data, folder / "whole", *given, steps=4)
    part = folder / "part"
    shutil.copytree(whole.folder, part)
    (state,) = part.glob("state/step-*4")
    shutil.rmtree(state)
    np.random.seed(123)  # what the masks of transformers are drawn from
    resumed = finetune(module, model, data, part, *given, "--resume", steps=4)
    assert resumed.losses == whole.losses
    for name, tensor in whole.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name
