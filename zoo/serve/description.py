"""A model that is served, as far as it is known without its weights: no torch is imported."""

import functools
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import json_files
from tasks.errors import UserError
from tasks.paths import expanded, is_file
from zoo.model import registry
from zoo.model.modality import modality_of
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence, pretrained
from zoo.store.checkpoint import MANIFEST, open_checkpoint

if TYPE_CHECKING:
    from tasks.base import Task
    from zoo.model.entry import Entry

KINDS = {"nlp": "text", "vision": "image", "speech": "audio", "tabular": "row"}
"""What an input is, by the name of the modality."""
AUTO, EAGER = "auto", "eager"
CONFIG = "config.json"
UNSERVED = {
    "feature-extraction": ("gives the words that are nearest to one", ("word WORD",)),
    "image-feature-extraction": ("says how likely an image is", ("image photo.jpg",)),
    "unconditional-image-generation": ("makes images", ("samples 16", "grid new.png")),
}
"""Pipelines whose checkpoints predict what no route answers: what that is, and flags of `predict`.
The routes of feature-extraction take texts, and these checkpoints words."""
LANGUAGE = re.compile(r"[a-z]{2,3}")
TOKENIZER_FILES = ("tokenizer_config.json", "special_tokens_map.json")
"""Where a tokenizer says which text is its mask."""
USUAL_MASK = "[MASK]"
VERSION_DIGITS = 12
"""Of a digest, by which people call a version."""


@dataclass(frozen=True)
class Description:
    """A model that is served under a name."""

    name: str
    """in URLs: "bert_cls" """
    folder: Path
    deployment: str
    """as `Deployment` writes it: "onnx+int8-dynamic" """
    sha256: str
    """the digest of what runs: of the artifact, else of the checkpoint"""
    entry: "Entry"
    task: "Task"
    """not bound to a processor: what is told of it needs none"""
    zero_shot: tuple[str, ...] = ()
    """pipelines that pretrained weights answer as they are; empty of a checkpoint"""

    @property
    def version(self) -> str:
        """The first digits of the digest, by which people call it."""
        return self.sha256[:VERSION_DIGITS]

    @property
    def pipelines(self) -> tuple[str, ...]:
        """What it can be asked for, by the names of transformers' pipelines."""
        return self.zero_shot or (self.task.pipeline,)

    @property
    def kind(self) -> str:
        """What an input is: "text", "image", "audio" or "row"."""
        return KINDS[modality_of(self.entry).name]

    @functools.cached_property
    def mask(self) -> str:
        """The text that its tokenizer reads as a missing word."""
        for name in TOKENIZER_FILES:
            token = _read_object(self.folder / name).get("mask_token")
            if isinstance(token, Mapping):
                token = token.get("content")
            if isinstance(token, str) and token:
                return token
        return USUAL_MASK

    @functools.cached_property
    def language(self) -> str | None:
        """The code of the language that it takes speech for ("en"), where it knows several."""
        told = _read_object(self.folder / "generation_config.json").get("language")
        return told if isinstance(told, str) and LANGUAGE.fullmatch(told) else None

    @property
    def takes_pairs(self) -> bool:
        """Whether an input is a pair of texts."""
        columns: Mapping[str, Any] = getattr(self.task, "columns", None) or {}
        return columns.get("text_pair") is not None


def describe_weights(asked: str, name: str) -> Description | None:
    """Return the description of pretrained weights that label without training, and embed.

    Args:
        asked: a preset's name, or a folder with `config.json` that is no checkpoint.

    Returns None where it is none of these. Raises `UserError` for weights that are not at hand, or
    of another kind.
    """
    entry = registry.zero_shot_entry(asked)
    given, presets = expanded(asked), registry.presets_of(entry)
    is_weights = bool(_read_object(given / CONFIG)) or asked in presets
    if not is_weights or is_file(given / MANIFEST):
        return None
    folder = pretrained.find(asked, presets).folder
    kind = KINDS[modality_of(entry).name]
    pipelines: tuple[str, ...] = ("zero-shot-image-classification",)
    if kind == "text":
        pipelines = ("zero-shot-classification",)
        if not _entails(folder):
            pipelines += ("feature-extraction", "sentence-similarity")
    task = importlib.import_module(entry.task).of_labels((), "single_label_classification")
    digest = evidence.subject_digest(folder)
    return Description(name, folder, EAGER, digest, entry, task, pipelines)


def _read_object(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file, empty where it can't be read: whoever loads the model says
    what is wrong with it."""
    try:
        return json_files.read_object(file)
    except (OSError, ValueError):
        return {}


def _entails(folder: Path) -> bool:
    """Whether weights judge if one text follows from another."""
    labels = _read_object(folder / CONFIG).get("id2label")
    names = labels.values() if isinstance(labels, dict) else ()
    return any(str(name).lower().startswith("entail") for name in names)


def describe(folder: Path, name: str, deployment: str) -> Description:
    """Return the description of a checkpoint under a deployment.

    Raises `UserError` for a folder that is no checkpoint or damaged, for a model that predicts
    nothing, and for a deployment that is not known, not available here, or not exported.
    """
    wanted = Deployment.parse(deployment)
    runtime = RUNTIMES[wanted.runtime]
    checkpoint = open_checkpoint(folder, weights=not runtime.artifact)
    _must_predict(folder, checkpoint.entry)
    if unserved := UNSERVED.get(checkpoint.task.pipeline):
        what, flags = unserved
        shown = " ".join(f"--{flag}" for flag in flags)
        raise UserError(
            f"{folder}: no route of a service {what}",
            hint=f"python -m {checkpoint.entry.module} predict {folder} {shown}",
        )
    if runtime.artifact:
        if reason := runtime.missing():
            raise UserError(f"{wanted}: {reason}")
        digest = artifacts.open_artifact(folder, wanted).digest
    else:
        digest = evidence.subject_digest(folder)
    return Description(name, folder, str(wanted), digest, checkpoint.entry, checkpoint.task)


def _must_predict(folder: Path, entry: "Entry") -> None:
    """Raises `UserError` for a model that is only a start for another one."""
    if "predict" in entry.verbs:
        return
    starts = entry.pretrains_for
    hint = f"python -m {starts} finetune --model {folder}" if starts else None
    raise UserError(f"{folder}: {entry.name} predicts nothing that could be served", hint=hint)
