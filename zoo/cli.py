"""The command line of a model: `python -m zoo.nlp.bert_cls VERB ...`.

Flags are the fields of frozen dataclasses, flat, with - or _ alike. `--config FILE.yaml` sets
defaults; flags win. Nothing here imports torch: a verb does, once its arguments are read.
"""

import dataclasses
import errno
import importlib
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.data import DataArgs
from tasks.errors import UserError
from zoo.entry import Entry
from zoo.train.args import TrainArgs


@dataclass(frozen=True)
class Verb:
    """One thing that can be done with a model."""

    summary: str
    examples: tuple[str, ...]
    run: Callable[[Entry, Sequence[str]], int]


def main(entry: Entry, argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 0, 2 for a user's mistake, 128 + signal for a stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(entry))
        return 0 if arguments else 2
    verb, *rest = arguments
    if verb not in entry.verbs:
        import difflib

        near = difflib.get_close_matches(verb, entry.verbs, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(entry.verbs)}"
        return fail(entry.name, f"no verb {verb!r}; {hint}")
    again = "go on with --resume" if verb in TRAINING else "try again"
    return guarded(entry.name, lambda: VERBS[verb].run(entry, rest), again)


def guarded(name: str, run: Callable[[], int], again: str) -> int:
    """Runs a verb of the program `name`; what goes wrong becomes one line and an exit code.

    Args:
        again: what to do where the disk was full, once there is room.
    """
    from zoo import terminal

    terminal.escape_unencodable()
    try:
        return run()
    except UserError as error:
        return fail(name, str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" {error.filename}" if error.filename else ""
        return fail(
            name,
            f"can't write{where}: {error.strerror}; what was saved before stays: free some space, "
            f"then {again}",
        )


def fail(name: str, message: str) -> int:
    """Says what the user has done wrong; returns the exit code for it."""
    print(f"{name}: {message}", file=sys.stderr)
    return 2


def _overview(entry: Entry) -> str:
    program = f"python -m {entry.module}"
    offered = {name: VERBS[name] for name in entry.verbs}
    width = max(map(len, offered))
    verbs = "\n".join(f"  {name.ljust(width)}  {verb.summary}" for name, verb in offered.items())
    examples = "\n".join(
        f"  {program} {example.format(name=entry.name, input=_example_input(entry))}"
        for verb in offered.values()
        for example in verb.examples[:1]
    )
    return (
        f"usage: {program} VERB ...\n\n{entry.name}: {entry.summary}\n\nverbs:\n{verbs}\n\n"
        f"examples:\n{examples}\n\n{program} VERB --help lists its flags."
    )


def _example_input(entry: Entry) -> str:
    example: str = importlib.import_module(entry.task).EXAMPLE_INPUT
    return example


def parse(entry: Entry, verb: str, arguments: Sequence[str], default: Any, kind: Any) -> Any:
    """Arguments as an instance of the dataclass `kind`; exits as argparse does for --help and
    errors."""
    import tyro

    arguments, settings = _take_config(arguments)
    if settings:
        default = _with_settings(default, settings)
    examples = "\n".join(
        f"  python -m {entry.module} {example.format(name=entry.name, input=_example_input(entry))}"
        for example in VERBS[verb].examples
    )
    return tyro.cli(
        kind,
        prog=f"python -m {entry.module} {verb}",
        description=f"{VERBS[verb].summary}\n\nexamples:\n{examples}\n\n"
        "--config FILE.yaml sets defaults for these flags.",
        args=list(arguments),
        default=default,
        config=(
            tyro.conf.OmitArgPrefixes,
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.OmitSubcommandPrefixes,
        ),
    )


def _take_config(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    rest = list(arguments)
    for i, argument in enumerate(rest):
        name, _, value = argument.partition("=")
        if name != "--config":
            continue
        if not value:
            if i + 1 == len(rest):
                raise UserError("--config wants a YAML file")
            value = rest.pop(i + 1)
        rest.pop(i)
        return rest, _read_config(Path(value))
    return rest, {}


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"--config {path}: there is no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f", line {line + 1}" if line is not None else ""
        raise UserError(f"--config {path}{where}: not valid YAML") from None
    if not isinstance(settings, dict):
        raise UserError(f"--config {path}: wants lines of `flag: value`")
    return {str(name).replace("-", "_"): value for name, value in settings.items()}


def _with_settings(default: Any, settings: dict[str, Any]) -> Any:
    import difflib

    parts = {f.name: getattr(default, f.name) for f in dataclasses.fields(default)}
    places = {
        field.name: part
        for part, value in parts.items()
        if dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
    }
    for name, value in settings.items():
        if name not in places:
            near = difflib.get_close_matches(name, places, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"--config: no flag {name!r}{hint}")
        part = places[name]
        current = getattr(parts[part], name)
        if isinstance(current, float) and isinstance(value, str | int):
            try:
                value = float(value)  # YAML reads 1e-4 as text
            except ValueError:
                raise UserError(f"--config: {name} wants a number, not {value!r}") from None
        parts[part] = dataclasses.replace(parts[part], **{name: value})
    return type(default)(**parts)


def _finetune(entry: Entry, arguments: Sequence[str]) -> int:
    return _train(entry, "finetune", arguments)


def _pretrain(entry: Entry, arguments: Sequence[str]) -> int:
    return _train(entry, "pretrain", arguments)


def _train(entry: Entry, verb: str, arguments: Sequence[str]) -> int:
    task_args = importlib.import_module(entry.task).Args
    kind = dataclasses.make_dataclass(
        verb.capitalize(),
        [("options", entry.options), ("data", DataArgs), ("task", task_args), ("train", TrainArgs)],
        frozen=True,
    )
    default = kind(
        entry.options(), DataArgs(), task_args(**entry.reading), TrainArgs(**entry.recipe)
    )
    asked = parse(entry, verb, arguments, default, kind)
    if asked.train.qat is not None:  # what is not asked is as in the training of that checkpoint
        from zoo.train import qat

        asked = parse(
            entry, verb, arguments, qat.defaults(entry, Path(asked.train.qat), default), kind
        )
    from zoo.train.finetune import Job, finetune
    from zoo.train.signals import Stopped

    try:
        finetune(entry, Job(asked.options, asked.data, asked.task, asked.train))
    except Stopped as stop:
        words = shlex.join(["python", "-m", entry.module, verb, *arguments])
        if "--resume" not in arguments:
            words += " --resume"
        print(f"stopped; the state is saved. To go on:\n  {words}", file=sys.stderr)
        return 128 + stop.signum
    return 0


def _evaluate(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.verbs import EvaluateArgs

    kind = dataclasses.make_dataclass("Evaluate", [("common", EvaluateArgs)], frozen=True)
    asked = parse(entry, "evaluate", arguments, kind(EvaluateArgs(tyro.MISSING)), kind)
    from zoo.evaluate import evaluate_checkpoint

    evaluate_checkpoint(entry, asked.common)
    return 0


def _predict(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.verbs import PredictArgs

    inputs = importlib.import_module(entry.task).Inputs
    kind = dataclasses.make_dataclass(
        "Predict", [("inputs", inputs), ("common", PredictArgs)], frozen=True
    )
    default = kind(inputs(), PredictArgs(tyro.MISSING))
    asked = parse(entry, "predict", arguments, default, kind)
    from zoo.predict import predict

    predict(entry, asked.inputs, asked.common)
    return 0


def _export(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.verbs import ExportArgs

    kind = dataclasses.make_dataclass("Export", [("common", ExportArgs)], frozen=True)
    default = kind(ExportArgs(tyro.MISSING, tyro.MISSING))
    asked = parse(entry, "export", arguments, default, kind)
    from zoo.export import export_checkpoint

    return _unless_refused(entry, export_checkpoint, asked.common)


def _quantize(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.verbs import QuantizeArgs

    kind = dataclasses.make_dataclass("Quantize", [("common", QuantizeArgs)], frozen=True)
    asked = parse(entry, "quantize", arguments, kind(QuantizeArgs(tyro.MISSING)), kind)
    from zoo.quantize import quantize

    return _unless_refused(entry, quantize, asked.common)


def _unless_refused(entry: Entry, make: Callable[[Entry, Any], Any], args: Any) -> int:
    """Exit code 1 where what was made did not pass its proof or contract."""
    from zoo.export import Refused

    try:
        make(entry, args)
    except Refused as refused:
        print(f"{entry.name}: {refused}", file=sys.stderr)
        return 1
    return 0


def _prune(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.verbs import PruneArgs

    kind = dataclasses.make_dataclass("Prune", [("common", PruneArgs)], frozen=True)
    asked = parse(entry, "prune", arguments, kind(PruneArgs(tyro.MISSING)), kind)
    from zoo.prune import prune
    from zoo.train.signals import Stopped

    try:
        prune(entry, asked.common)
    except Stopped as stop:
        print("stopped; what the stages before have left is whole", file=sys.stderr)
        return 128 + stop.signum
    return 0


TRAINING = ("finetune", "pretrain")

VERBS = {
    "finetune": Verb(
        "train on your data and leave a checkpoint",
        (
            "finetune",
            "finetune --data reviews.csv --num_train_epochs 2 --output_dir runs/reviews",
            "finetune --data reviews.csv --resume --output_dir runs/reviews",
            "finetune --qat runs/{name}",
        ),
        _finetune,
    ),
    "pretrain": Verb(
        "train without labels and leave a checkpoint to start from",
        (
            "pretrain",
            "pretrain --data DATA --num_train_epochs 2 --output_dir runs/start",
            "pretrain --data DATA --resume --output_dir runs/start",
        ),
        _pretrain,
    ),
    "evaluate": Verb(
        "metrics of a checkpoint with n and 95% intervals",
        ("evaluate runs/{name}", "evaluate runs/{name} --data reviews.csv --split test"),
        _evaluate,
    ),
    "predict": Verb(
        "label new inputs with a checkpoint",
        (
            "predict runs/{name} {input}",
            "predict runs/{name} {input} --output labels.jsonl",
        ),
        _predict,
    ),
    "export": Verb(
        "write a program for another runtime, proven against the checkpoint",
        (
            "export runs/{name} --runtime onnx",
            "export runs/{name} --runtime openvino+bf16",
            "export runs/{name} --runtime aoti",
        ),
        _export,
    ),
    "prune": Verb(
        "remove weights of a checkpoint, with training in between",
        (
            "prune runs/{name} --sparsity 0.5",
            "prune runs/{name} --sparsity 0.5 --structured --output_dir runs/{name}-half",
        ),
        _prune,
    ),
    "quantize": Verb(
        "make an int8 program that keeps to a contract for accuracy and speed",
        (
            "quantize runs/{name} --max_drop 0.005 --min_speedup 1.2",
            "quantize runs/{name} --batch_size 16 --all",
        ),
        _quantize,
    ),
}
