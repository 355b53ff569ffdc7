"""The models, and what is done to one: `zoo.finetune`, `evaluate`, `predict`, `load`.

They do what the verbs of the command line do, with the same settings. `import zoo` is light: torch
comes with the first use. A mistake of the caller's is a `tasks.errors.UserError`, one sentence.
"""

from typing import TYPE_CHECKING, Any

import tasks  # noqa: F401  its import guards torchvision and torchaudio (tasks/import_hook.py)
from zoo import predict as _package  # noqa: F401  imported later, it would hide the function

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from zoo.evaluation.checkpoint_metrics import CheckpointMetrics
    from zoo.predict.pipeline import PredictionPipeline

__all__ = ["evaluate", "finetune", "load", "predict", "pretrain"]
__version__ = "0.1.0"


def finetune(
    name: str, /, data: "str | os.PathLike[str] | None" = None, **settings: Any
) -> "CheckpointMetrics":
    """Train a model on data and leave a checkpoint; return its folder and metrics.

        run = zoo.finetune("bert_cls", data="reviews.csv", num_train_epochs=2)
        run.folder, run.metrics["accuracy"].value

    The same as `python -m zoo finetune bert_cls --data reviews.csv --num_train_epochs 2`: progress
    goes to standard error as lines, the closing table to standard output.

    Args:
        name: the model: "bert_cls"; `python -m zoo list` has them all.
        data: a file, a folder, or a Hub id; by default a small data set that comes along.
        settings: flags of `finetune` by name: `output_dir`, `model`, `learning_rate`, ...;
            `python -m zoo finetune NAME --help-all` lists them with their defaults.

    Raises:
        tasks.errors.UserError: a setting, the data or the machine has a fault.
        KeyboardInterrupt: the run was stopped; its state is saved, and `resume=True` goes on.
    """
    return _train("finetune", name, data, settings)


def pretrain(
    name: str, /, data: "str | os.PathLike[str] | None" = None, **settings: Any
) -> "CheckpointMetrics":
    """Train a model without labels ("bert_mlm", "mae"), for another one to start from, or one that
    goes on with texts ("gpt_lm"); arguments, result and errors as of `finetune`."""
    return _train("pretrain", name, data, settings)


def evaluate(
    checkpoint: "str | os.PathLike[str]",
    /,
    data: "str | os.PathLike[str] | None" = None,
    **settings: Any,
) -> "CheckpointMetrics":
    """Measure a checkpoint on a split of data, add what was measured to its evidence, and return
    it.

        zoo.evaluate("runs/bert_cls", "reviews.csv", split="test").metrics["accuracy"]

    Args:
        checkpoint: its folder, or what `finetune` returned.
        data: a file, a folder, or a Hub id; by default that of the training.
        settings: flags of `evaluate` by name: `split`, `deployment`, `max_eval_samples`,
            `mistakes` (how many of the hardest errors are kept), ...

    Raises `tasks.errors.UserError` for a damaged checkpoint, data that can't be read, or unknown
    labels.
    """
    from tasks.paths import expanded
    from zoo.cli import settings as known
    from zoo.cli.args import EvaluateArgs
    from zoo.machine import places
    from zoo.model import registry
    from zoo.store import evidence
    from zoo.store.checkpoint import read_manifest

    given = settings if data is None else {"data": data, **settings}
    args = known.replaced(EvaluateArgs(expanded(checkpoint)), given)
    entry = registry.find(str(read_manifest(args.checkpoint)["model"]))
    places.check_cache()
    from zoo.predict.evaluate import evaluate_checkpoint

    words = [
        "evaluate",
        str(args.checkpoint),
        *known.words_of(given, EvaluateArgs(args.checkpoint)),
    ]
    with evidence.recorded_as(entry.module, words):
        return evaluate_checkpoint(entry, args)


def predict(
    checkpoint: "str | os.PathLike[str]",
    inputs: Any,
    /,
    *,
    device: str = "auto",
    deployment: str = "eager",
    batch_size: int = 32,
    top_k: int | None = None,
    **settings: Any,
) -> Any:
    """Return the prediction of a checkpoint for one input, or a list of predictions for several.

        zoo.predict("runs/bert_cls", ["fine, I loved it", "two hours of my life"])

    Each call reads the checkpoint anew: `load` keeps it. Arguments, result and errors are those of
    `load` and of `zoo.predict.pipeline.PredictionPipeline.predict`.
    """
    model = load(checkpoint, device, deployment)
    return model.predict(inputs, batch_size=batch_size, top_k=top_k, **settings)


def load(
    checkpoint: "str | os.PathLike[str]",
    device: str = "auto",
    deployment: str = "eager",
    *,
    labels: "Sequence[str] | None" = None,
    template: str | None = None,
) -> "PredictionPipeline":
    """Return a model that predicts.

        model = zoo.load("runs/bert_cls", deployment="onnx")
        model("fine, I loved it")                              # {'label': 'positive', 'score': ...}
        model.labels                                           # ('negative', 'positive')
        zoo.load("minilm", labels=["sports", "politics"])      # zero-shot: chooses by their names
        zoo.load("whisper-tiny")("meeting.wav")                # weights that write as they are

    Args:
        checkpoint: the folder of a checkpoint, what `finetune` returned, or a preset of Whisper;
            with `labels` pretrained weights: a preset, a folder, or a Hub id.
        device: "cuda", "mps", "cpu", or "auto".
        deployment: what runs it: "eager", "compile", or an artifact that was exported.
        labels: labels to choose among without any training.
        template: with `labels`, the sentence that each label is put into, at its {}.

    Raises `tasks.errors.UserError` where the folder is no checkpoint of the zoo's or is damaged,
    for a deployment that is not known, not available here, or not exported, and for weights that
    are missing or have no labels yet.
    """
    from pathlib import Path

    from tasks.errors import UserError
    from tasks.paths import expanded
    from zoo.model import registry
    from zoo.predict.pipeline import Predictor, are_weights
    from zoo.store.checkpoint import MANIFEST

    name = str(expanded(checkpoint))
    if labels is not None:
        from zoo.predict.zero_shot import ZeroShot

        if deployment != "eager":
            raise UserError("`labels` are for weights, and `deployment` for a checkpoint")
        return ZeroShot(registry.zero_shot_entry(name), name, labels, template, device)
    if template is not None:
        raise UserError("`template` goes with `labels`")
    owner = next((entry for entry in registry.entries() if name in entry.presets), None)
    if owner is None or (Path(name) / MANIFEST).exists():
        return Predictor(name, device, deployment=deployment)
    if are_weights(owner, name):
        return Predictor.of_weights(owner, name, device, deployment=deployment)
    way = f'fine-tune them (zoo.finetune("{owner.name}", model="{name}"))'
    way += ", or give `labels`" if owner.zero_shot else ""
    raise UserError(f"{name} is a preset: pretrained weights that have no labels yet", hint=way)


def _train(verb: str, name: str, data: Any, settings: "dict[str, Any]") -> "CheckpointMetrics":
    import signal

    from zoo.cli import settings as known
    from zoo.cli.dispatch import trainable
    from zoo.machine.signals import Stopped
    from zoo.store import evidence

    given = settings if data is None else {"data": data, **settings}
    entry = trainable(verb, name)
    _, default = known.of_training(entry, verb)
    words = [verb, *known.words_of(given, default)]
    try:
        with evidence.recorded_as(entry.module, words):
            return known.train(
                entry, lambda default, _: known.replaced(default, given), verb, given
            )
    except Stopped as stop:
        if stop.signum != signal.SIGINT:
            raise
        raise KeyboardInterrupt(
            "training was stopped and its state is saved: the same call with resume=True goes on"
        ) from None
