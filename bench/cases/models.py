"""What a case's model may be: a checkpoint, or a name that gets random weights of its shape.

Speed does not depend on what the weights are, so no download is needed. Such a model is made by
seed as a whole checkpoint, in the cache; so exports and proofs treat it like any other.
"""

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cases.case import source_digest
from tasks.data import cache
from tasks.errors import UserError
from zoo.machine import environment
from zoo.model import registry, remote_code
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence
from zoo.store.checkpoint import MANIFEST, read_manifest

SEED = 0
IMAGE_SIZE = 224


@dataclasses.dataclass(frozen=True)
class Shape:
    """The shape of a model with random weights; the zoo's own networks need only their entry."""

    entry: str
    """the zoo's model that it is a checkpoint of"""
    kind: str | None = None
    """transformers' model type, or "timm"; None: the entry's own network, as it comes"""
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """what differs from the kind's default configuration"""
    image_size: int | None = None
    """of models of images, where no length is asked"""


def _timm(entry: str, architecture: str) -> Shape:
    return Shape(entry, "timm", {"architecture": architecture}, IMAGE_SIZE)


SHAPES: Mapping[str, Shape] = {
    "minilm": Shape(
        "bert_cls",
        "bert",
        {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
    ),
    "bert-base-uncased": Shape("bert_cls", "bert"),
    "distilbert": Shape("bert_cls", "distilbert"),
    "roberta-base": Shape(
        "bert_cls",
        "roberta",
        {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
    ),
    "modernbert-base": Shape("bert_cls", "modernbert"),
    "resnet18": _timm("resnet_cls", "resnet18"),
    "resnet50": _timm("resnet_cls", "resnet50"),
    "convnext-tiny": _timm("resnet_cls", "convnext_tiny"),
    "efficientnet-b0": _timm("resnet_cls", "efficientnet_b0"),
    "vit-tiny": _timm("vit_cls", "vit_tiny_patch16_224"),
    "vit-base": _timm("vit_cls", "vit_base_patch16_224"),
    "deit-small": _timm("vit_cls", "deit_small_patch16_224"),
    "ast-audioset": Shape("ast_cls", "audio-spectrogram-transformer"),
    "wav2vec2-base": Shape("ast_cls", "wav2vec2"),
    "hubert-base": Shape("ast_cls", "hubert"),
    "wavlm-base-plus": Shape("ast_cls", "wavlm"),
    "wav2vec2-base-960h": Shape("wav2vec2_ctc", "wav2vec2"),
    "whisper-tiny": Shape(
        "whisper_asr",
        "whisper",
        {"d_model": 384}
        | {
            f"{part}_{name}": size
            for part in ("encoder", "decoder")
            for name, size in (("layers", 4), ("attention_heads", 6), ("ffn_dim", 1536))
        },
    ),
    "mlp_cls": Shape("mlp_cls", image_size=28),
    "gpt2": Shape("gpt_lm", "gpt2"),
    "qwen2.5-0.5b": Shape(
        "gpt_lm",
        "qwen2",
        {
            "vocab_size": 151936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
    ),
    "t5-small": Shape("t5_seq2seq", "t5", {"decoder_start_token_id": 0}),
    "mlp_tab": Shape("mlp_tab"),
    "cnn_cls": Shape("cnn_cls", image_size=28),
    "fcos_det": Shape("fcos_det", image_size=IMAGE_SIZE),
    "unet_seg": Shape("unet_seg", image_size=IMAGE_SIZE),
    "mae": Shape("mae", image_size=IMAGE_SIZE),
    "vae": Shape("vae", image_size=28),
    "ddpm": Shape("ddpm", image_size=28),
    "rnn_cls": Shape("rnn_cls"),
    "bert_mlm": Shape("bert_mlm"),
    "gpt_lm": Shape("gpt_lm"),
    "kws_cls": Shape("kws_cls"),
    "conformer_ctc": Shape("conformer_ctc"),
    "stream_ctc": Shape("stream_ctc"),
}
"""Presets of the zoo (their published shapes) and its own networks, by name."""


def must_be_known(model: str) -> None:
    """Check a model's name. Raises `UserError` if it is neither a checkpoint nor a known name."""
    if is_random(model):
        return
    folder = Path(model)
    if not folder.is_dir():
        near = difflib.get_close_matches(model, SHAPES, n=1)
        hint = f"did you mean {near[0]}? There are" if near else "there are"
        raise UserError(
            f"no model {model!r}: no folder of that name; {hint} {', '.join(SHAPES)} with random "
            "weights"
        )
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{model} holds no {MANIFEST}, so it is no checkpoint of the zoo's")
    registry.find(read_manifest(folder)["model"])
    remote_code.refuse(folder)


def is_random(model: str) -> bool:
    """Return whether a model is a name that stands for random weights; a checkpoint folder of that
    name takes precedence."""
    return model in SHAPES and not (Path(model) / MANIFEST).is_file()


def subject(model: str, deployment: str) -> str:
    """Return the digest of what is run: the artifact, the weights, or the name and seed of random
    ones.

    A missing or damaged artifact is a result of the case: the digest of its weights is used
    instead.
    """
    if is_random(model):
        said = json.dumps([model, SEED, dataclasses.asdict(SHAPES[model])], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()
    weights = evidence.subject_digest(Path(model))
    wanted = Deployment.parse(deployment)
    folder = artifacts.folder_of(Path(model), wanted)
    if not RUNTIMES[wanted.runtime].artifact or not (folder / artifacts.MANIFEST).is_file():
        return weights
    content = (folder / artifacts.MANIFEST).read_bytes()
    return hashlib.sha256(weights.encode() + content).hexdigest()


def folder_of(model: str, length: float | None) -> Path:
    """Return the folder of the checkpoint; for random weights one in the cache, which may not exist
    yet.

    Exports of the checkpoint lie there, too, so the folder's name depends on all that determines
    either: the shape, our code, and the versions of the packages.
    """
    if not is_random(model):
        return Path(model)
    shape = SHAPES[model]
    size = int(length or shape.image_size) if shape.image_size else None
    made_by = [source_digest(), environment.versions()]
    said = json.dumps([subject(model, "eager"), size, made_by], sort_keys=True)
    digest = hashlib.sha256(said.encode()).hexdigest()[:12]
    return cache.folder() / "bench" / "models" / f"{model}-{digest}"
