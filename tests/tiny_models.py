"""A tiny checkpoint of every model of the zoo, for the tests that must hold for all of them."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests import tiny_detectors, tiny_pairs, tiny_speech
from tests.cli import run_cli
from tests.sharing import shared

SHORT: tuple[object, ...] = ("--report_to", "none", "--max_steps", 2, "--dtype", "fp32")
SHORT += ("--per_device_train_batch_size", 8, "--max_train_samples", 48, "--logging_steps", 1)

STREAM = ("--sampling_rate", 8000, "--num_mel_bins", 16, "--hidden_size", 16, "--num_layers", 3)
STREAM += ("--cycle", 2, "--tail_seconds", 0.1, "--freq_mask", 3)
"""The shape of a tiny stream_ctc for `utterances`."""

Fixture = Callable[[str], Any]
"""Gives the fixture of a name."""


def _bert(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--model", fixture("tiny_bert"), "--data", fixture("reviews")


def _tok(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--model", fixture("tiny_bert"), "--data", fixture("tagged")


def _rnn(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("reviews"), "--vocab_size", 300, "--hidden_size", 16


def _mlm(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--hidden_size", 16, "--num_layers", 2, "--num_heads", 2, "--vocab_size", 300)
    return "--data", fixture("reviews"), *shape


GPT: tuple[object, ...] = ("--hidden_size", 16, "--num_layers", 2, "--num_heads", 2)
GPT += ("--vocab_size", 300, "--token_limit", 64)
"""The shape of a tiny gpt_lm."""


def _gpt(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("reviews"), *GPT


def _t5(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("pairs"), *tiny_pairs.SHAPE


def _mlp(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("images"), "--hidden_sizes", 24, 16


def _cnn(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("images"), "--widths", 8, 16


def _resnet(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("images"), "--architecture", "test_resnet"


def _vit(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--architecture", "vit_tiny_patch16_224", "--depth", 2, "--image_size", 16)
    return "--data", fixture("images"), *shape


def _mae(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--depth", 1, "--decoder_size", 24, "--decoder_depth", 1, "--decoder_heads", 2)
    return "--data", fixture("images"), *shape, "--patch_size", 4


def _fcos(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--widths", 8, 8, 8, 8, "--hidden_size", 16, "--head_layers", 1, "--image_size", 32)
    return "--data", fixture("boxed_images"), *shape


def _unet(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("masked_images"), "--widths", 8, 16, "--image_size", 16


def _segformer(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--widths", 8, 8, 10, 16, "--depth", 1, "--decoder_width", 16, "--image_size", 32)
    return "--data", fixture("masked_images"), *shape


def _detr(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("boxed_images"), *tiny_detectors.SHAPE


def _vae(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("images"), "--widths", 8, 16, "--latent_size", 4


def _ddpm(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("images"), "--widths", 8, 16


def _mlp_tab(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--hidden_sizes", 16, 8


def _kws(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--num_mel_bins", 16, "--hidden_size", 16, "--num_layers", 1, "--freq_mask", 3)
    return "--data", fixture("sounds"), "--sampling_rate", 8000, *shape


def _ast(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("sounds"), "--model", tiny_speech.ast(folder / "weights")


def _conformer(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    shape = ("--num_mel_bins", 16, "--hidden_size", 16, "--num_layers", 1, "--num_heads", 2)
    flags = ("--sampling_rate", 8000, "--kernel_size", 3, "--freq_mask", 3)
    return "--data", fixture("utterances"), *shape, *flags


def _stream(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return "--data", fixture("utterances"), *STREAM


def _wav2vec2(fixture: Fixture, folder: Path, masked: bool = True) -> tuple[object, ...]:
    weights = tiny_speech.encoder(folder / "weights", "wav2vec2", masked)
    return "--data", fixture("utterances"), "--model", weights


def _wav2vec2_base(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    return _wav2vec2(fixture, folder, masked=False)


def _whisper(fixture: Fixture, folder: Path) -> tuple[object, ...]:
    weights = tiny_speech.whisper(folder / "weights", init_std=0.5)
    return "--data", fixture("utterances"), "--model", weights


MODELS: dict[str, tuple[str, Callable[[Fixture, Path], tuple[object, ...]]]] = {
    "bert_cls": ("zoo.nlp.bert_cls", _bert),
    "bert_tok": ("zoo.nlp.bert_tok", _tok),
    "rnn_cls": ("zoo.nlp.rnn_cls", _rnn),
    "bert_mlm": ("zoo.nlp.bert_mlm", _mlm),
    "gpt_lm": ("zoo.nlp.gpt_lm", _gpt),
    "t5_seq2seq": ("zoo.nlp.t5_seq2seq", _t5),
    "mlp_cls": ("zoo.vision.mlp_cls", _mlp),
    "cnn_cls": ("zoo.vision.cnn_cls", _cnn),
    "resnet_cls": ("zoo.vision.resnet_cls", _resnet),
    "vit_cls": ("zoo.vision.vit_cls", _vit),
    "fcos_det": ("zoo.vision.fcos_det", _fcos),
    "detr_det": ("zoo.vision.detr_det", _detr),
    "unet_seg": ("zoo.vision.unet_seg", _unet),
    "segformer_seg": ("zoo.vision.segformer_seg", _segformer),
    "mae": ("zoo.vision.mae", _mae),
    "vae": ("zoo.vision.vae", _vae),
    "ddpm": ("zoo.vision.ddpm", _ddpm),
    "mlp_tab": ("zoo.tabular.mlp_tab", _mlp_tab),
    "kws_cls": ("zoo.speech.kws_cls", _kws),
    "ast_cls": ("zoo.speech.ast_cls", _ast),
    "conformer_ctc": ("zoo.speech.conformer_ctc", _conformer),
    "stream_ctc": ("zoo.speech.stream_ctc", _stream),
    "wav2vec2_ctc": ("zoo.speech.wav2vec2_ctc", _wav2vec2),
    "wav2vec2_ctc_unmasked": ("zoo.speech.wav2vec2_ctc", _wav2vec2_base),
    "whisper_asr": ("zoo.speech.whisper_asr", _whisper),
}
"""Name to module, and what makes its flags."""


def checkpoint(name: str, fixture: Fixture, folder: Path) -> Path:
    """The model of a name, trained for two steps, in `folder`: a copy of what is trained once a
    session; returns the checkpoint's own folder."""
    trained = shared(fixture("tmp_path_factory"), f"trained-{name}", partial(_train, name, fixture))
    return Path(shutil.copytree(trained / "run", folder / "run"))


def _train(name: str, fixture: Fixture, folder: Path) -> None:
    module, flags = MODELS[name]
    verb = "pretrain" if name in ("bert_mlm", "gpt_lm", "mae", "vae", "ddpm") else "finetune"
    words = (verb, *flags(fixture, folder), "--output_dir", folder / "run", *SHORT)
    done = run_cli(module, *words)
    assert done.code == 0, done.err
