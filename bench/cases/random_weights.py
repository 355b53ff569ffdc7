"""Makes the checkpoint of a model with random weights: by seed, without data and without a
network."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

from bench.cases.models import SEED, SHAPES, Shape, folder_of
from tasks.atomic import staged
from tasks.errors import UserError
from tasks.tabular.column import PREFIX
from tasks.vision.class_table import ClassTable
from zoo.machine import environment
from zoo.model import registry
from zoo.model.loading import new_model
from zoo.model.network import assemble

TEXTS = [
    "a film that nobody needs, and that I loved",
    "it is what it is",
    "fold the egg whites in, slowly",
    "the quick brown fox jumps over the lazy dog",
] * 2  # words that occur twice or more are learned
LABELS = ("negative", "positive")
COLUMNS = {"category": "category"} | {f"number {i}": "number" for i in range(1, 16)}
"""Of a table, by their names."""
EXTRACTORS = {
    "audio-spectrogram-transformer": "ASTFeatureExtractor",
    "whisper": "WhisperFeatureExtractor",
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm"), "Wav2Vec2FeatureExtractor"),
}
"""Classes of transformers, by the model types that hear; the others read."""
WRITERS = {
    "whisper": "AutoModelForSpeechSeq2Seq",
    "t5": "AutoModelForSeq2SeqLM",
    **dict.fromkeys(("gpt2", "qwen2"), "AutoModelForCausalLM"),
}
"""Classes of transformers, by the model types that write text."""


def checkpoint(model: str, length: float | None) -> Path:
    """Return the checkpoint folder of a name in `bench.cases.models.SHAPES`, created if missing."""
    import torch

    from zoo.store import checkpoint as checkpoints

    folder = folder_of(model, length)
    if (folder / checkpoints.MANIFEST).is_file():
        return folder
    shape = SHAPES[model]
    entry = registry.find(shape.entry)
    size = int(length or shape.image_size) if shape.image_size else None
    with staged(folder.parent) as staging:
        options: dict[str, Any] = {}
        torch.manual_seed(SEED)
        if shape.kind is not None:
            _write_weights(shape, size, staging / "weights")
            options["model"] = str(staging / "weights")
        elif size is not None:
            options["image_size"] = size
        assembly = assemble(entry, entry.options(**options), _task(entry), _examples())
        task = assembly.task
        net, _ = assembly.build()
        manifest = {
            "model": entry.name,
            "module": entry.module,
            "pipeline": task.pipeline,
            "source": {"model": f"random weights of {model}", "license": None},
            "config": {"options": {}, "data": {}, "task": task.config(), "train": {}},
            "data": {"name": "none", "fingerprint": ""},
            "seed": SEED,
            "versions": environment.versions(),
            "commit": environment.commit(),
        }
        checkpoints.write(staging / "checkpoint", net, assembly.processor, manifest)
        try:
            (staging / "checkpoint").rename(folder)
        except OSError:  # another process was first
            if not (folder / checkpoints.MANIFEST).is_file():
                raise
    return folder


def _task(entry: Any) -> Any:
    """Return the task of an entry as it is without data."""
    module = importlib.import_module(entry.task)
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == entry.task]
    kind: Any = next(each for each in own if hasattr(each, "collate"))
    told = {
        "labels": LABELS,
        "problem_type": "single_label_classification",
        "table": ClassTable(LABELS, (0, 1)),
        "kinds": COLUMNS,
    }
    missing = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    wanted = {name: value for name, value in told.items() if name in missing}
    return kind(module.Args(**entry.task_defaults), **wanted)


def _examples() -> Any:
    import datasets

    values = {"category": TEXTS, "number": [float(i) for i in range(len(TEXTS))]}
    table = {PREFIX + name: values[kind] for name, kind in COLUMNS.items()}
    return {"train": datasets.Dataset.from_dict({"text": TEXTS, **table})}


def _write_weights(shape: Shape, size: int | None, folder: Path) -> None:
    """Write a folder of pretrained weights as the Hub has them, but random: config, weights, and
    the files of the processor or tokenizer."""
    import transformers

    assert shape.kind is not None
    if shape.kind == "timm":
        architecture = str(shape.config["architecture"])
        fixed = {} if _takes_any_size(architecture) else {"img_size": size}
        config = transformers.TimmWrapperConfig(
            architecture=architecture,
            model_args=fixed,
            pretrained_cfg={"input_size": (3, size, size)},
        )
        try:
            transformers.TimmWrapperForImageClassification(config).save_pretrained(folder)
        except (TypeError, AssertionError, ValueError) as error:
            raise UserError(f"timm can't make {architecture} for {size} pixels: {error}") from None
        return
    network: Any = getattr(transformers, WRITERS.get(shape.kind, "AutoModel"))
    if extractor := EXTRACTORS.get(shape.kind):
        getattr(transformers, extractor)().save_pretrained(folder)
    else:
        _write_tokenizer(folder, shape.entry)
    if shape.kind == "whisper":
        _write_whisper_tokenizer(folder)
    config = transformers.AutoConfig.for_model(shape.kind, **shape.config)
    new_model(network, config).save_pretrained(folder)


def _takes_any_size(architecture: str) -> bool:
    import inspect

    import timm

    made = timm.create_model(architecture, pretrained=False)
    return "img_size" not in inspect.signature(type(made).__init__).parameters


def _write_tokenizer(folder: Path, entry: str) -> None:
    """Write a tokenizer of few words: its ids fit any vocabulary, and only probes use it."""
    from zoo.nlp import trained_tokenizer

    if entry == "gpt_lm":
        made = trained_tokenizer.train_lossless_tokenizer([TEXTS], "bpe", 1000, 512)
    elif entry == "t5_seq2seq":
        made = trained_tokenizer.train_pair_tokenizer([TEXTS], 1000, 512)
    else:
        made = trained_tokenizer.train_tokenizer([TEXTS], "word", 1000, True, 512, masked=True)
    made.save_pretrained(folder)


def _write_whisper_tokenizer(folder: Path) -> None:
    """Write a tokenizer for Whisper: every byte, and the special tokens, including English."""
    import transformers
    from tokenizers import pre_tokenizers

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = transformers.WhisperTokenizer({symbol: i for i, symbol in enumerate(symbols)}, [])
    special = ("startoftranscript", "en", "translate", "transcribe", "notimestamps")
    made.add_special_tokens({"additional_special_tokens": [f"<|{name}|>" for name in special]})
    made.save_pretrained(folder)
