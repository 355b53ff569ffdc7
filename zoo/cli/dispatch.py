"""`zoo finetune bert_cls ...`, `zoo predict runs/x ...`: a model's verb by its name, or by the
checkpoint, whose folder tells the model."""

import dataclasses
import importlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import UserError, did_you_mean
from tasks.paths import expanded, is_file, is_folder
from tasks.printing import print_lines
from zoo.cli import help as help_page
from zoo.cli import verbs
from zoo.cli.program import Program
from zoo.machine import commands
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.store.checkpoint import MANIFEST, read_manifest

ZERO_SHOT = ("--zero_shot", "--zero-shot")


def train(verb: str, words: Sequence[str]) -> int:
    """Run `finetune` or `pretrain` of the model that the first word names; return the exit code."""
    command = commands.program() or "python -m zoo"
    if words and not words[0].startswith("-"):
        return verbs.main(trainable(verb, words[0]), [verb, *words[1:]])
    able = [entry for entry in registry.entries() if verb in entry.verbs]
    if not help_page.wanted(words):
        names = ", ".join(entry.name for entry in able)
        raise UserError(f"which model? {command} {verb} MODEL [FLAGS]", hint=f"there are {names}")
    width = max(len(entry.name) for entry in able)
    print_lines(
        f"usage: {command} {verb} MODEL [FLAGS]",
        "",
        verbs.VERBS[verb][0],
        "",
        "models:",
        *(f"  {entry.name:<{width}}  {entry.summary}" for entry in able),
        "",
        f"{command} {verb} MODEL --help lists the flags of a model.",
    )
    return 0


def trainable(verb: str, name: str) -> Entry:
    """Return the model of a name. Raises `UserError` where there is none, or none with this
    verb."""
    models = {entry.name: entry for entry in registry.entries()}
    if name not in models:
        short = {module.rpartition(".")[2] for module in registry.MODULES}
        hint = did_you_mean(name, models or short)
        raise UserError(
            f"no model called {name!r}", "model", hint or f"there are {', '.join(models)}"
        )
    if verb not in models[name].verbs:
        own = next(one for one in models[name].verbs if one in verbs.TRAINING)
        raise UserError(f"{name} has no {verb}", "model", f"it has {own}")
    return models[name]


def of_checkpoint(verb: str, words: Sequence[str]) -> int:
    """Run a verb on the checkpoint among the words, whichever model it is of; return the exit
    code."""
    folders = [word for word in words if is_file(expanded(word) / MANIFEST)]
    if folders:
        _must_be_first(verb, folders[0], words)
        name = str(read_manifest(expanded(folders[0]))["model"])
        return verbs.main(registry.find(name), [verb, *words])
    if help_page.wanted(words):
        return _help(verb, words)
    named = [word for word in words if not word.startswith("-")]
    if verb == "predict" and named:
        if {*ZERO_SHOT} & set(words):
            return verbs.main(registry.zero_shot_entry(named[0]), [verb, *words])
        if owner := _whose_weights(named[0]):
            return verbs.main(owner, [verb, *words])
    if named:
        read_manifest(Path(named[0]))  # says what is wrong with it
    command = commands.program() or "python -m zoo"
    raise UserError(
        f"which checkpoint? {command} {verb} FOLDER, as a fine-tune leaves it",
        hint=f"{command} runs lists those there are",
    )


def _must_be_first(verb: str, folder: str, words: Sequence[str]) -> None:
    """Raise `UserError` if an input stands before the checkpoint, as in `zoo predict photo.jpg
    runs/x`."""
    first = words[0]
    if first == folder or first.startswith("-") or is_folder(expanded(first)):
        return
    others = list(words)
    others.remove(folder)
    command = commands.program() or "python -m zoo"
    raise UserError(f"the checkpoint comes first: {command} {shlex.join([verb, folder, *others])}")


def _whose_weights(name: str) -> Entry | None:
    """Return the model whose preset has this name. Raises `UserError` where its weights predict
    nothing before they are fine-tuned."""
    owner = next((entry for entry in registry.entries() if name in entry.presets), None)
    if owner is None or hasattr(importlib.import_module(owner.task), "without_data"):
        return owner
    command = commands.program() or "python -m zoo"
    raise UserError(
        f"{name} is a preset: pretrained weights that have no labels yet",
        hint=f"{command} finetune {owner.name} --model {name} gives them yours",
    )


def _help(verb: str, words: Sequence[str]) -> int:
    """Print the help of a verb for checkpoints of any model."""
    entry = next(one for one in registry.entries() if verb in one.verbs)
    if verb != "predict":
        return verbs.main(entry, [verb, *words])
    from zoo.cli.args import PredictArgs

    shown = verbs.program_of(entry)
    command = shown.command
    general = dataclasses.replace(
        shown.verbs[verb],
        examples=(
            'predict runs/bert_cls "fine, I loved it"',
            "predict runs/bert_cls reviews.csv --output labels.csv",
            "predict runs/cnn_cls photo.jpg more_photos/ --top_k 3",
            "predict runs/conformer_ctc meeting.wav",
        ),
    )
    more = f"\n\n{command} predict CHECKPOINT --help has the flags of its kind of input as well."
    Program("zoo", command, "", {verb: general}).parse(verb, PredictArgs, words, more=more)
    return 0
