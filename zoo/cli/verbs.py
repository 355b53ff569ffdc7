"""The command line of a model: `python -m zoo.nlp.bert_cls VERB ...`.

Flags are the fields of frozen dataclasses, flat, with - or _ alike. `--config FILE.yaml` sets
defaults; flags win. Nothing here imports torch: a verb does, once its arguments are read.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tasks.printing import print_lines
from zoo.cli import config_file, program, settings
from zoo.cli.program import Program, Verb
from zoo.machine import commands, places
from zoo.model.entry import Entry


def main(entry: Entry, argv: Sequence[str] | None = None) -> int:
    """Run a verb; return the exit code: 0, 2 for a user's mistake, 128 + signal for a stop."""
    return program_of(entry).main(argv)


def program_of(entry: Entry) -> Program:
    """Return the command-line program of a model: the verbs it supports, with examples for this
    model."""
    example_input = importlib.import_module(entry.task).EXAMPLE_INPUT
    command = commands.program()
    if command:  # the folder tells the model, and an input needs no flag
        example_input = example_input.partition(" ")[2]
    domain = entry.module.split(".")[1]
    words = {"name": entry.name, "input": example_input, "data": DATA.get(domain, "DATA")}

    def of(name: str) -> Verb:
        summary, examples, run = VERBS[name]
        again = "go on with --resume" if name in TRAINING else "try again"
        shown = entry.examples.get(name) or [example.format(**words) for example in examples]
        typed = f"{name} {entry.name}" if command and name in TRAINING else name
        return Verb(
            summary,
            tuple(example.replace(name, typed, 1) for example in shown),
            lambda arguments: run(entry, arguments),
            again,
            tuple(flag for flag in USUAL.get(name, ()) if entry.zero_shot or flag not in ZERO_SHOT),
            typed,
        )

    verbs = {name: of(name) for name in entry.verbs}
    about = f"{entry.name}: {entry.summary}"
    return Program(entry.name, command or f"python -m {entry.module}", about, verbs)


def parse(entry: Entry, verb: str, arguments: Sequence[str], default: Any, kind: Any) -> Any:
    """Return arguments as an instance of the dataclass `kind`; exit as argparse does for --help and
    errors."""
    arguments, lines = config_file.take(arguments)
    if lines:
        default = config_file.apply(default, lines)
    more = "\n\n--config FILE.yaml sets defaults for these flags."
    return program_of(entry).parse(verb, kind, arguments, default=default, more=more)


def _finetune(entry: Entry, arguments: Sequence[str]) -> int:
    return _train(entry, "finetune", arguments)


def _pretrain(entry: Entry, arguments: Sequence[str]) -> int:
    return _train(entry, "pretrain", arguments)


def _train(entry: Entry, verb: str, arguments: Sequence[str]) -> int:
    from zoo.machine.signals import Stopped

    def read(default: Any, kind: type) -> Any:
        return parse(entry, verb, arguments, default, kind)

    try:
        settings.train(entry, read, verb, config_file.named(arguments))
    except Stopped as stop:
        words = commands.of_model(entry.module, verb, *arguments)
        if "--resume" not in arguments:
            words += " --resume"
        print_lines("stopped; the state is saved. To go on:", f"  {words}", file=sys.stderr)
        return 128 + stop.signum
    return 0


def _evaluate(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.cli.args import EvaluateArgs

    kind = settings.joined("Evaluate", ("common", EvaluateArgs))
    args = parse(entry, "evaluate", arguments, kind(EvaluateArgs(tyro.MISSING)), kind)
    places.check_cache()
    from zoo.predict.evaluate import evaluate_checkpoint

    evaluate_checkpoint(entry, args.common)
    return 0


def _predict(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.cli.args import PredictArgs

    inputs = importlib.import_module(entry.task).Inputs
    kind = settings.joined("Predict", ("inputs", inputs), ("common", PredictArgs))
    default = kind(inputs(), PredictArgs(tyro.MISSING))
    args = parse(entry, "predict", arguments, default, kind)
    places.check_file("--output", args.common.output)
    example = importlib.import_module(entry.task).EXAMPLE_INPUT
    asked = settings.with_inputs(args.inputs, args.common.inputs, example)
    from zoo.predict.command import predict

    predict(entry, asked, args.common)
    return 0


def _export(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.cli.args import ExportArgs

    kind = settings.joined("Export", ("common", ExportArgs))
    default = kind(ExportArgs(tyro.MISSING, tyro.MISSING))
    args = parse(entry, "export", arguments, default, kind)
    from zoo.deploy.export import export_checkpoint
    from zoo.deploy.file_formats import export_file

    if export_file(entry, args.common) is not None:
        return 0
    return _unless_refused(entry, export_checkpoint, args.common)


def _quantize(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.cli.args import QuantizeArgs

    kind = settings.joined("Quantize", ("common", QuantizeArgs))
    args = parse(entry, "quantize", arguments, kind(QuantizeArgs(tyro.MISSING)), kind)
    from zoo.quantization.quantize import quantize

    return _unless_refused(entry, quantize, args.common)


def _unless_refused(entry: Entry, make: Callable[[Entry, Any], Any], args: Any) -> int:
    """Call `make`; return exit code 1 if the result did not pass its proof or contract, else 0."""
    places.check_cache()
    if args.checkpoint.is_dir():
        places.check_folder("artifacts in", args.checkpoint)
    from zoo.deploy.export import ContractNotMet

    try:
        make(entry, args)
    except ContractNotMet as refused:
        return program.fail(entry.name, str(refused), code=1)
    return 0


def _prune(entry: Entry, arguments: Sequence[str]) -> int:
    import tyro

    from zoo.cli.args import PruneArgs

    kind = settings.joined("Prune", ("common", PruneArgs))
    args = parse(entry, "prune", arguments, kind(PruneArgs(tyro.MISSING)), kind)
    places.check_cache()
    from zoo.machine.signals import Stopped
    from zoo.pruning.prune import prune

    try:
        prune(entry, args.common)
    except Stopped as stop:
        print_lines("stopped; what the stages before have left is whole", file=sys.stderr)
        return 128 + stop.signum
    return 0


TRAINING = ("finetune", "pretrain")
DATA = {"nlp": "reviews.csv", "vision": "photos/", "speech": "recordings/", "tabular": "rows.csv"}
"""Data as the examples name it: photos/LABEL/*.jpg, recordings/ with a metadata.csv."""
USUAL = {
    "finetune": (
        *("data", "text_column", "label_column", "max_train_samples", "model", "tune"),
        *("output_dir", "resume", "num_train_epochs", "minutes", "learning_rate"),
        *("per_device_train_batch_size", "early_stopping_patience", "device", "seed"),
    ),
    "pretrain": (
        *("data", "text_column", "max_train_samples", "model", "output_dir", "resume"),
        *("num_train_epochs", "learning_rate", "per_device_train_batch_size", "device", "seed"),
    ),
    "evaluate": ("data", "split", "max_eval_samples", "deployment", "device", "mistakes"),
    "predict": (
        *("text", "prompt", "file", "row", "interactive", "image", "audio", "stream"),
        *("max_new_tokens", "temperature", "top_p", "num_beams", "stop", "samples", "label"),
        *("seed", "draft", "steps", "guidance_scale", "walk", "mask", "grid", "columns"),
        *("output", "format", "top_k", "batch_size"),
        *("deployment", "device", "zero_shot", "labels"),
    ),
    "quantize": (
        *("max_drop", "min_speedup", "batch_size", "method", "minutes"),
        *("device", "all"),
    ),
    "prune": ("sparsity", "structured", "stages", "steps", "output_dir", "data", "device"),
}
"""The flags that --help shows of a verb, in this order; --help-all shows the rest."""
ZERO_SHOT = ("zero_shot", "labels")
"""Of these, those of models that have weights which choose without training."""

VERBS: dict[str, tuple[str, tuple[str, ...], Callable[[Entry, Sequence[str]], int]]] = {
    "finetune": (
        "train on your data and leave a checkpoint",
        (
            "finetune",
            "finetune --data {data} --num_train_epochs 2 --output_dir runs/mine",
            "finetune --data {data} --resume --output_dir runs/mine",
            "finetune --qat runs/{name}",
        ),
        _finetune,
    ),
    "pretrain": (
        "train without labels and leave a checkpoint to start from",
        (
            "pretrain",
            "pretrain --data DATA --num_train_epochs 2 --output_dir runs/start",
            "pretrain --data DATA --resume --output_dir runs/start",
        ),
        _pretrain,
    ),
    "evaluate": (
        "metrics of a checkpoint with n and 95% intervals",
        ("evaluate runs/{name}", "evaluate runs/{name} --data {data} --split test"),
        _evaluate,
    ),
    "predict": (
        "label new inputs with a checkpoint",
        (
            "predict runs/{name} {input}",
            "predict runs/{name} {input} --output labels.jsonl",
        ),
        _predict,
    ),
    "export": (
        "write a program for another runtime, proven against the checkpoint",
        (
            "export runs/{name} --runtime onnx",
            "export runs/{name} --runtime openvino+bf16",
            "export runs/{name} --runtime aoti",
        ),
        _export,
    ),
    "prune": (
        "remove weights of a checkpoint, with training in between",
        (
            "prune runs/{name} --sparsity 0.5",
            "prune runs/{name} --sparsity 0.5 --structured --output_dir runs/{name}-half",
        ),
        _prune,
    ),
    "quantize": (
        "make an int8 program that keeps to a contract for accuracy and speed",
        (
            "quantize runs/{name} --max_drop 0.005 --min_speedup 1.2",
            "quantize runs/{name} --batch_size 16 --all",
        ),
        _quantize,
    ),
}
"""Summary, examples and what runs it, of each verb a model may have; {name} is the model's, {input}
an input of its task, {data} data of its kind."""
