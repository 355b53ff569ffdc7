"""Flags with values that nobody should give them, unknown flags, flags twice, misspelled verbs."""

import dataclasses
import importlib
import random
import typing
from collections.abc import Iterator
from typing import Any

from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import MODELS, TEXT, Model, measured

WHOLE = ("-1", "0", "-0", "1_000", "１２", str(2**31), str(2**63), str(2**64), str(-(2**63)))
REAL = ("nan", "inf", "-inf", "-1", "0", "1e-320", "1e308", "1e400", "-0.0", "1.0000001")
NO_NUMBERS = ("", " ", "text", "0x10", "1,5", "None", "True", "[1]", "0.5", "nan")
LARGE = frozenset(("1e308", "inf", "1e400", "1_000", *WHOLE[-4:-1]))
WRONG = ("nan", "-inf", "-1", "", "text", "[1]")
"""What every number refuses."""
TEXTS = (
    "",
    " ",
    "no/such",
    "/",
    "写真",
    "a\nb",
    "@",
    "[/b]",
    "\x1b[2J",
    "x" * 5000,
    "--",
    "user/no-such",
)
TEXTS += ("cuda:99", "nan", "~nobody/x", "*", "?", "https://me:secret@127.0.0.1:9/x", "file:///etc")
NO_FLAGS = (("--no_such", "3"), ("--no-such",), ("extra", "words"), ("--=3",), ("-",), ("--",))
ENDLESS = frozenset(("max_steps", "steps", "stages", "num_train_epochs"))
"""What a large number makes long by right."""
SLOW = frozenset(("torch_compile", "compile_layers", "fsdp", "report_to", "config"))


@dataclasses.dataclass(frozen=True)
class Verb:
    """A command that works, and the dataclasses its flags come from."""

    program: str
    words: tuple[str, ...]
    kinds: tuple[Any, ...]
    numbers: tuple[str, ...] = ()
    """all that is given to it, where it would measure for minutes"""
    writes: tuple[str, ...] = ()
    makes_run: bool = False


def flags(scene: Scene) -> Command:
    """A command that works but for a flag or two."""
    verb = scene.draw.choice((_finetune,) * 6 + (_evaluate, _predict) * 2 + OTHERS)(scene)
    odd = [_odd(scene.draw, verb) for _ in range(scene.draw.choice((1, 1, 1, 2)))]
    words = (*verb.words, *(word for one in odd for word in one))
    if scene.chance(0.03):
        words = (words[0][:-1], *words[1:])
    what = " ".join(word for one in odd for word in one)[:200]
    run = scene.run if verb.makes_run else None
    return Command(
        verb.program, words, what, run=run, writes=(*verb.writes, "cwd/*"), stdin=_stdin(verb)
    )


def _stdin(verb: Verb) -> bytes | None:
    """predict reads texts where an odd flag takes --text away from it."""
    return b"y\n" if "predict" in verb.words else None


def _odd(draw: random.Random, verb: Verb) -> tuple[str, ...]:
    hints = {field.name: hint for kind in verb.kinds for field, hint in _fields(kind)}
    if verb.numbers:
        name = draw.choice([name for name, hint in hints.items() if _is_number(hint)])
        return (f"--{name}={draw.choice(verb.numbers)}",)
    way = draw.random()
    if way < 0.05:
        return draw.choice(NO_FLAGS)
    name = draw.choices([*hints], [_interest(hint) for hint in hints.values()])[0]
    if way < 0.1:
        return (f"--{name}",)
    value = _value(draw, name, hints[name])
    if way < 0.2:
        return f"--{name}={value}", f"--{name}={_value(draw, name, hints[name])}"
    if way < 0.3:
        return f"--{name}", value
    if way < 0.4:
        return (f"--{name.replace('_', '-')}={value}",)
    return (f"--{name}={value}",)


def _value(draw: random.Random, name: str, hint: Any) -> str:
    if not _is_number(hint):
        return draw.choice(TEXTS)
    values = REAL if "float" in str(hint) else WHOLE
    if name in ENDLESS:
        values = tuple(value for value in values if value not in LARGE)
    return draw.choice(values if draw.random() < 0.8 else NO_NUMBERS)


def _interest(hint: Any) -> float:
    """How often a flag is chosen: a choice of words is told by the parser, whatever is given."""
    if _is_number(hint):
        return 3
    return 1 if "str" in str(hint) or "Path" in str(hint) else 0.2


def _fields(kind: Any) -> Iterator[tuple[Any, Any]]:
    """The flags of a dataclass, with their types."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if field.name not in SLOW and "Positional" not in str(field.type):
            yield field, hints[field.name]


def _is_number(hint: Any) -> bool:
    return "int" in str(hint) or "float" in str(hint)


# --- commands that work


def _finetune(scene: Scene) -> Verb:
    model = scene.draw.choice((TEXT, TEXT, *MODELS))
    words = model.finetune(scene)
    return Verb(model.module, words, training_flags(model), makes_run=True)


def training_flags(model: Model) -> tuple[Any, ...]:
    """The dataclasses behind the flags of `finetune`."""
    from tasks.data.source import DataArgs
    from zoo.train.args import TrainArgs

    entry = importlib.import_module(model.module).ENTRY
    return entry.options, DataArgs, importlib.import_module(entry.task).Args, TrainArgs


def _evaluate(scene: Scene) -> Verb:
    from zoo.cli.args import EvaluateArgs

    model = scene.draw.choice(MODELS)
    checkpoint = scene.copy(model.name, without=("state",))
    writes = measured(checkpoint)
    return Verb(model.module, ("evaluate", str(checkpoint)), (EvaluateArgs,), writes=writes)


def _predict(scene: Scene) -> Verb:
    from zoo.cli.args import PredictArgs

    model = scene.draw.choice(MODELS)
    entry = importlib.import_module(model.module).ENTRY
    file = next(iter(sorted((scene.world / model.data).rglob(f"*{model.suffix}"))), None)
    given = ("--text", "a fine film") if model.is_text else (model.files, str(file))
    words = ("predict", str(scene.world / model.name), *given)
    return Verb(model.module, words, (importlib.import_module(entry.task).Inputs, PredictArgs))


def _export(scene: Scene) -> Verb:
    from zoo.cli.args import ExportArgs

    checkpoint = scene.copy("vision")
    words = ("export", str(checkpoint), "--runtime", "onnx")
    return Verb("zoo.vision.cnn_cls", words, (ExportArgs,), writes=(f"{checkpoint.name}/*",))


def _prune(scene: Scene) -> Verb:
    from zoo.cli.args import PruneArgs

    words = ("prune", str(scene.world / "vision"), "--steps", "1", "--stages", "1")
    words += ("--output_dir", str(scene.run))
    return Verb("zoo.vision.cnn_cls", words, (PruneArgs,), makes_run=True)


def _quantize(scene: Scene) -> Verb:
    from zoo.cli.args import QuantizeArgs

    words = ("quantize", str(scene.copy("vision")), "--minutes", "0.3", "--method", "dynamic")
    return Verb("zoo.vision.cnn_cls", words, (QuantizeArgs,), WRONG, ("vision/*",))


def _cards(scene: Scene) -> Verb:
    from tools.cards.cli import CardArgs

    return Verb("tools.cards", (str(scene.world / "text"), "--check"), (CardArgs,))


def _hub(scene: Scene) -> Verb:
    from tools.hub import args

    verbs = {
        "push": ((str(scene.world / "text"), "user/x", "--dry_run"), args.PushArgs),
        "pull": (("user/x", "--output_dir", str(scene.run)), args.PullArgs),
        "verify": (("user/x",), args.VerifyArgs),
        "diff": (("user/x", "a", "b"), args.DiffArgs),
    }
    name = scene.draw.choice([*verbs])
    words, kind = verbs[name]
    return Verb("tools.hub", (name, *words), (kind,), makes_run=name == "pull")


def _bench(scene: Scene) -> Verb:
    from bench.cases import args

    results, out = str(scene.world / "results.jsonl"), str(scene.out / "x")
    checkpoint = str(scene.copy("vision"))
    verbs = {
        "report": ((results, "--out", out), args.ReportArgs, ()),
        "compare": (("--results", results, results), args.CompareArgs, ()),
        "run": (
            (checkpoint, "--out", out, "--minutes_per_case", "0.02", "--launches", "1"),
            args.RunArgs,
            WRONG,
        ),
        "decide": ((checkpoint, "--minutes", "0.3"), args.DecideArgs, WRONG),
    }
    name = scene.draw.choice([*verbs])
    words, kind, numbers = verbs[name]
    return Verb("bench", (name, *words), (kind,), numbers, writes=("vision/*",))


OTHERS = (_export, _prune, _quantize, _cards, _hub, _bench)
