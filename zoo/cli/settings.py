"""The settings of a verb: the dataclasses that hold them, and how values of Python become theirs.

The command line, `--config` and `zoo.finetune(...)` fill the same dataclasses and go on alike.
Nothing here imports torch.
"""

import dataclasses
import importlib
import numbers
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from tasks.data.source import DataArgs
from tasks.errors import UserError, did_you_mean, shortened
from tasks.paths import expanded, is_file, is_folder
from tasks.variations import Variations
from zoo.machine import places
from zoo.model.entry import Entry
from zoo.train.args import TrainArgs

if TYPE_CHECKING:
    from zoo.evaluation.checkpoint_metrics import CheckpointMetrics

READS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    bool: "True or False",
}
"""What a setting of a type wants."""


def of_training(entry: Entry, verb: str = "finetune") -> tuple[type, Any]:
    """Return the dataclass of a model's training settings, in its parts `options`, `data`, `task`
    and `train`, and its default: the model's recipe."""
    task_args = importlib.import_module(entry.task).Args
    kind = dataclasses.make_dataclass(
        verb.capitalize(),
        [("options", entry.options), ("data", DataArgs), ("task", task_args), ("train", TrainArgs)],
        frozen=True,
    )
    goes_on = verb == "finetune" and "pretrain" in entry.verbs
    recipe = {**entry.recipe, **(entry.finetune_recipe if goes_on else {})}
    return kind, kind(
        entry.options(), DataArgs(), task_args(**entry.task_defaults), TrainArgs(**recipe)
    )


def train(
    entry: Entry,
    read: Callable[[Any, type], Any],
    verb: str = "finetune",
    typed: Collection[str] = (),
) -> "CheckpointMetrics":
    """Train a model with the settings that `read` makes of the default and its dataclass.

    Args:
        typed: names of the settings that were given, at their default or not.

    Raises:
        UserError: a setting, the data or the machine has a fault, which its text describes.
        zoo.machine.signals.Stopped: a signal stopped the run, after its state was saved.
    """
    kind, default = of_training(entry, verb)
    args = read(default, kind)
    if verb == "finetune" and _goes_on(entry, args.options):
        recipe = TrainArgs(**{**entry.recipe, **entry.finetune_recipe})
        default = dataclasses.replace(default, train=recipe)
        args = read(default, kind)
    if args.train.qat is not None:  # what is not asked is as in the training of that checkpoint
        from zoo.train.methods import qat

        args = read(qat.defaults(entry, Path(args.train.qat), default), kind)
    if verb == "finetune" and "pretrain" in entry.verbs:
        _must_have_weights(args.options)
    if isinstance(args.task, Variations):
        args.task.must_have_effect(typed)
    places.check_cache()
    from zoo.train.finetune import FinetuneJob, finetune

    return finetune(entry, FinetuneJob(args.options, args.data, args.task, args.train, typed))


def _goes_on(entry: Entry, options: Any) -> bool:
    """Return whether a fine-tune goes on with weights, of a model that can begin from nothing in
    that verb too."""
    from zoo.store.pretrained import NEW

    if not entry.finetune_recipe or "pretrain" in entry.verbs:
        return False
    return bool(options.model != NEW)


def _must_have_weights(options: Any) -> None:
    """Raise `UserError` where a model that is pretrained first is to be fine-tuned from nothing."""
    from zoo.store.pretrained import NEW

    if options.model == NEW:
        raise UserError(
            "finetune goes on with weights, and `model` names none",
            "model",
            "give a checkpoint's folder, or begin from nothing with pretrain",
        )


def replaced(default: Any, values: Mapping[str, Any]) -> Any:
    """Return a dataclass of settings, or of parts that hold them, with values of Python in place
    of its own.

    Raises `UserError` for a value of no setting, of another type, or out of bounds.
    """
    parts = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    if not all(dataclasses.is_dataclass(part) for part in parts.values()):
        return places.at_home(_replaced(default, values, parts))
    owners = {
        field.name: name for name, part in parts.items() for field in dataclasses.fields(part)
    }
    for name in values:
        _must_be_known(name, owners)
    for part_name, part in parts.items():
        own = {name: value for name, value in values.items() if owners[name] == part_name}
        parts[part_name] = _replaced(part, own, owners)
    return places.at_home(type(default)(**parts))


def _replaced(part: Any, values: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(type(part), include_extras=True)
    changed = {}
    for name, value in values.items():
        _must_be_known(name, known)
        changed[name] = typed(name, value, hints[name])
    return dataclasses.replace(part, **changed)


def _must_be_known(name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        hint = did_you_mean(name, known, shown=lambda near: f"`{near}`")
        raise UserError(f"there is no setting {name!r} here", name, hint)


def typed(name: str, value: Any, hint: Any) -> Any:
    """Return a value of Python as the type of its setting: a path as a text or the other way
    round, a list as a tuple.

    Raises `UserError` where it is of another type.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return typed(name, value, inner[0])
    if origin in (Union, types.UnionType):
        (plain,) = (each for each in inner if each is not types.NoneType)
        return None if value is None else typed(name, value, plain)
    if origin is Literal:
        if value in inner and not isinstance(value, bool):
            return value
        raise _wants(name, f"one of {', '.join(map(repr, inner))}", value)
    if origin is tuple:
        rows = value if isinstance(value, tuple | list | range) else (value,)
        return tuple(typed(name, each, inner[0]) for each in rows)
    if hint in (str, Path) and isinstance(value, str | os.PathLike):
        return hint(os.fspath(value))
    if hint is bool and isinstance(value, bool):
        return value
    if hint in (int, float) and not isinstance(value, bool):
        wanted = numbers.Integral if hint is int else numbers.Real
        if isinstance(value, wanted):  # numpy's too
            return hint(value)
    raise _wants(name, READS[hint], value)


def _wants(name: str, what: str, value: Any) -> UserError:
    kind = type(value).__name__
    if kind in ("DataFrame", "Dataset", "DatasetDict"):
        way = f"a {kind} is in memory: write it to a file, and name that"
        return UserError(f"`{name}` wants {what}", name, way)
    return UserError(f"`{name}` wants {what}, not {shortened(repr(value))}")


def words_of(values: Mapping[str, Any], default: Any) -> list[str]:
    """Return settings as the words of a command line, to be recorded and typed again.

    Args:
        values: the settings.
        default: the dataclass, perhaps of parts, whose values hold where nothing is given.
    """
    parts = [getattr(default, field.name) for field in dataclasses.fields(default)]
    usual: dict[str, Any] = {}
    for part in [default, *filter(dataclasses.is_dataclass, parts)]:
        usual |= {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    words: list[str] = []
    for name, value in values.items():
        if value == usual.get(name) and (value is None or isinstance(value, bool)):
            continue  # a switch has one flag only, for what is not the default
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no_{name}")
        elif isinstance(value, tuple | list | range):
            words += [f"--{name}", *map(str, value)]
        else:
            words += [f"--{name}", str(value)]
    return words


def with_inputs(asked: Any, words: Sequence[str], example: str) -> Any:
    """Return a task's `Inputs` with what stands on the command line without a flag.

    Args:
        asked: the `Inputs` that the flags have filled.
        words: names of files, texts, or - for standard input.
        example: an input as the task shows it: `--image photo.jpg`.

    Raises `UserError` for inputs that are given twice, and for what looks like a file that is not
    there.
    """
    if not words:
        return asked
    name = example.split()[0].removeprefix("--")
    values: dict[str, Any] = {name: tuple(words)}
    if hasattr(asked, "file"):  # texts, or one file of them: tasks.inputs.FromFile
        files = [word for word in words if word == "-" or _is_file(name, word)]
        if files and len(words) > 1:
            raise UserError(
                f"{files[0]} is a file: give one file, or texts; a text that is called as a file "
                f"goes behind `{name}`"
            )
        if files:
            values = {"file": Path(files[0])}
    for one in values:
        if getattr(asked, one) not in ((), None):
            raise UserError(f"`{one}` is given, and {words[0]} as well: give one of them")
    return dataclasses.replace(asked, **values)


def _is_file(name: str, word: str) -> bool:
    """Return whether a word names a file of texts. Raises `UserError` where it looks so and there
    is none."""
    from tasks.data import files, tables

    if any(mark in word for mark in "\n\0") or len(os.fsencode(word)) > 255:
        return False
    path = expanded(word)
    if is_file(path):
        return True
    if is_folder(path):
        way = f"for the texts in it give `file` {word}; to take this very word as one, `{name}`"
        raise UserError(f"{word} is a folder", hint=way)
    is_meant = path.suffix.lower() in {*tables.READERS, *files.OTHER_SUFFIXES}
    if is_meant and len(word.split()) == 1:
        raise UserError(
            f"there is no file {word}", hint=f"to take these very words as a text, give `{name}`"
        )
    return False
