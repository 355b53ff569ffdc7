"""The command `zoo`, and `python -m zoo`: the verbs of all models, and what there is to know.

Imports no torch, so that it answers at once; a verb does when it runs.
"""

import dataclasses
import functools
import os
import signal
import sys
from collections.abc import Sequence

import zoo
from tasks.errors import UserError
from tasks.paths import expanded
from tasks.printing import print_lines
from zoo.cli import import_verb, program, serve_verb
from zoo.cli.program import Program, Verb
from zoo.machine import commands, terminal
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.ship import verb as ship_verb
from zoo.store import pretrained


@dataclasses.dataclass(frozen=True)
class NoFlags:
    """Of verbs that take none."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 2 for a mistake of the user's."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        code = program.overview("zoo", lambda: f"zoo {zoo.__version__}", 0)
    elif words[:1] == ["complete"]:  # what the shell asks, not a verb for people
        from zoo.cli import completion

        code = completion.complete(words[1:], tuple(VERBS))
    elif words and words[0] in {entry.name for entry in registry.entries()}:
        verb = words[1] if words[1:] and words[1] in VERBS else "finetune"
        way = f"the verb comes first: {PROGRAM.command} {verb} {words[0]}"
        code = program.fail("zoo", f"{words[0]} is a model; {way}")
    else:
        code = PROGRAM.main(words)
    return 0 if code == 128 + signal.SIGPIPE else code  # of `zoo list | head` all was wanted


def _train(verb: str, words: Sequence[str]) -> int:
    from zoo.cli import dispatch

    return dispatch.train(verb, words)


def _of_checkpoint(verb: str, words: Sequence[str]) -> int:
    from zoo.cli import dispatch

    return dispatch.of_checkpoint(verb, words)


def _list(words: Sequence[str]) -> int:
    PROGRAM.parse("list", NoFlags, words)
    from zoo.cli.info import from_scratch

    for number, entry in enumerate(registry.entries()):
        if number:
            print_lines("")
        title = f"{entry.name} ({entry.task.rpartition('.')[2]}): {entry.summary}"
        if entry.presets or entry.zero_shot:
            terminal.table(("preset", "weights", "has run"), _presets(entry), title=title)
        else:
            terminal.lines(title, from_scratch(entry))
    return 0


def _presets(entry: Entry) -> list[tuple[str, str, str]]:
    """Name, where the weights are, and whether we have run with them, for each preset."""
    from zoo.cli.info import all_presets

    return [
        (
            f"{name} (default)" if name == entry.default_preset else name,
            pretrained.at_hand(preset) or "not at hand",
            "yes" if preset.has_run else "no",
        )
        for name, preset in all_presets(entry).items()
    ]


def _info(words: Sequence[str]) -> int:
    from zoo.cli import info
    from zoo.cli.args import InfoArgs

    args = PROGRAM.parse("info", InfoArgs, words)
    models = {entry.name: entry for entry in registry.entries()}
    if args.what in models:
        info.show_model(models[args.what], args.json)
    elif (folder := expanded(args.what)).is_dir():
        info.show_checkpoint(folder, args.json)
    elif os.sep in args.what:
        raise UserError(f"there is no folder {args.what}")
    else:
        registry.find(args.what)  # says which there are
    return 0


def _runs(words: Sequence[str]) -> int:
    from zoo.cli import runs
    from zoo.cli.args import RunsArgs

    args = PROGRAM.parse("runs", RunsArgs, words)
    runs.show(args.folder, args.json)
    return 0


def _verify(words: Sequence[str]) -> int:
    from zoo.cli.args import VerifyArgs

    asked = PROGRAM.parse("verify", VerifyArgs, words)
    from zoo.deploy import verify

    return verify.show(asked.checkpoint, verify.verify(asked.checkpoint, asked.data))


def _doctor(words: Sequence[str]) -> int:
    PROGRAM.parse("doctor", NoFlags, words)
    from zoo.cli import doctor

    findings = doctor.doctor()
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        print_lines(f"{finding.status:<7}  {finding.topic.ljust(width)}  {finding.text}")
        if finding.remedy:
            print_lines(f"{'':<{width + 11}}-> {finding.remedy}")
    return 0


def _completion(words: Sequence[str]) -> int:
    from zoo.cli import completion

    return completion.show(words)


def _model_verb(verb: str, summary: str) -> Verb:
    """Return a verb that a model's program has, found by the name of the model or its
    checkpoint."""
    run = _train if verb in ("finetune", "pretrain") else _of_checkpoint
    return Verb(summary, (f"{verb} {EXAMPLES[verb]}",), functools.partial(run, verb))


ABOUT = "Models for text, images and sound: train one on your data, measure it, use it."
EXAMPLES = {
    "finetune": "bert_cls --data reviews.csv",
    "pretrain": "bert_mlm --data texts/",
    "evaluate": "runs/bert_cls",
    "predict": 'runs/bert_cls "fine, I loved it"',
    "export": "runs/bert_cls --runtime onnx",
    "quantize": "runs/bert_cls --max_drop 0.005",
    "prune": "runs/bert_cls --sparsity 0.5",
}

VERBS = {
    verb: _model_verb(verb, summary)
    for verb, summary in (
        ("finetune", "train a model on your data"),
        ("pretrain", "train a model without labels"),
        ("evaluate", "metrics of a checkpoint, with intervals"),
        ("predict", "label new texts, images or sounds"),
        ("export", "make a program for another runtime"),
        ("quantize", "make a faster int8 program"),
        ("prune", "remove weights"),
    )
} | {
    "list": Verb("the models and their presets", ("list",), _list),
    "info": Verb(
        "a model or a checkpoint on one screen", ("info bert_cls", "info runs/bert_cls"), _info
    ),
    "runs": Verb("compare the runs in a folder", ("runs", "runs experiments"), _runs),
    "ship": ship_verb.verb(lambda *asked: PROGRAM.parse(*asked)),
    "import": import_verb.verb(lambda *asked: PROGRAM.parse(*asked)),
    "serve": serve_verb.verb(lambda *asked, **more: PROGRAM.parse(*asked, **more)),
    "verify": Verb(
        "replay the proof of a checkpoint's artifacts", ("verify runs/bert_cls",), _verify
    ),
    "doctor": Verb("what is here, what is missing, how to get it", ("doctor",), _doctor),
    "completion": Verb("complete this command in a shell", ("completion bash",), _completion),
}

PROGRAM: Program = Program("zoo", commands.program() or "python -m zoo", ABOUT, VERBS)

if __name__ == "__main__":
    sys.exit(main())
