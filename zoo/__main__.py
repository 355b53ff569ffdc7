"""`python -m zoo`: list, info, import, verify, doctor. Imports no torch, to answer at once."""

import dataclasses
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo
from tasks import json_files
from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.cli import import_verb, program
from zoo.cli.program import Program, Verb
from zoo.machine import terminal
from zoo.machine.formatting import NOT_MEASURED, short
from zoo.model import registry
from zoo.model.entry import Entry, Preset
from zoo.store import pretrained
from zoo.store.checkpoint import MANIFEST


@dataclasses.dataclass(frozen=True)
class NoFlags:
    """Of verbs that take none."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 2 for a mistake of the user's."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        code = program.overview("zoo", lambda: f"zoo {zoo.__version__}", 0)
    else:
        code = PROGRAM.main(words)
    return 0 if code == 128 + signal.SIGPIPE else code  # of `zoo list | head` all was wanted


def _list(words: Sequence[str]) -> int:
    PROGRAM.parse("list", NoFlags, words)
    for number, entry in enumerate(registry.entries()):
        if number:
            print_lines("")
        title = f"{entry.name} ({_last(entry.task)}): {entry.summary}"
        if _all_presets(entry):
            terminal.table(("preset", "weights", "has run"), _presets(entry), title=title)
        else:
            terminal.lines(title, _from_scratch(entry))
    return 0


def _from_scratch(entry: Entry) -> str:
    """Where the weights of a model without presets come from."""
    line = "trained from scratch"
    if hasattr(entry.options, "model"):
        line += ", or from a checkpoint (`model` FOLDER)"
    return spelled(line, program.FLAG)


def _presets(entry: Entry) -> list[tuple[str, str, str]]:
    """Name, where the weights are, and whether we have run with them, for each preset."""
    return [
        (
            f"{name} (default)" if name == entry.default_preset else name,
            pretrained.at_hand(preset) or "not at hand",
            "yes" if preset.has_run else "no",
        )
        for name, preset in _all_presets(entry).items()
    ]


def _all_presets(entry: Entry) -> dict[str, Preset]:
    return {**entry.presets, **{f"{k} (zero-shot)": v for k, v in entry.zero_shot.items()}}


def _info(words: Sequence[str]) -> int:
    from zoo.cli.args import InfoArgs

    what = PROGRAM.parse("info", InfoArgs, words).what
    models = {entry.name: entry for entry in registry.entries()}
    if what in models:
        _model_info(models[what])
    elif Path(what).is_dir():
        _checkpoint_info(Path(what))
    elif os.sep in what:
        raise UserError(f"there is no folder {what}")
    else:
        registry.find(what)  # says which there are
    return 0


def _model_info(entry: Entry) -> None:
    print_lines(
        f"{entry.name}: {entry.summary}",
        "",
        f"  python -m {entry.module} --help",
        f"  task {_last(entry.task)}",
        "",
    )
    if not entry.presets:
        print_lines(_from_scratch(entry))
    for (name, place, has_run), preset in zip(
        _presets(entry), _all_presets(entry).values(), strict=True
    ):
        print_lines(name)
        _pairs(
            {
                "repo": preset.repo,
                "revision": preset.revision or "not pinned",
                "sha256": preset.sha256 or "not known",
                "licence": preset.license,
                "weights": place,
                "has run": has_run,
            }
        )
    print_lines("", "recipe (what it trains with unless told otherwise)")
    _pairs(entry.recipe)
    if dataclasses.is_dataclass(entry.options) and dataclasses.fields(entry.options):
        print_lines("", "options of its own")
        _pairs({field.name: _default(field) for field in dataclasses.fields(entry.options)})


def _checkpoint_info(folder: Path) -> None:
    from zoo.store import evidence

    facts = evidence.read(folder)
    if (folder / MANIFEST).is_file():
        recorded = _record(folder / MANIFEST)
        task = str(recorded.get("task") or recorded.get("pipeline") or "?")
        print_lines(f"{folder}: {recorded.get('model', '?')} ({_last(task)})", "")
        known = ("source", "data", "seed", "commit", "versions", "config")
        shown = {key: recorded[key] for key in known if recorded.get(key) is not None}
        _pairs(dict(_flat(shown)))
    elif (folder / "config.json").is_file():
        print_lines(f"{folder}: a Hugging Face model, not made by the zoo (it has no {MANIFEST})")
    elif not facts:
        raise UserError(f"{folder} is no checkpoint: it has neither {MANIFEST} nor config.json")
    if not facts:
        print_lines("", f"evidence: {NOT_MEASURED}")
        return
    heads = ("kind", "name", "value", "interval", "n", "data", "deployment", "of", "status")
    own = _subject(folder)
    rows = [_fact_row(fact, own) for fact in facts]
    used = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    print_lines("")
    terminal.table([heads[i] for i in used], [[row[i] for i in used] for row in rows], "evidence")


def _record(path: Path) -> Mapping[str, Any]:
    try:
        return json_files.read_object(path)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _subject(folder: Path) -> str:
    """The digest of the checkpoint as it is now; empty where it is none."""
    from zoo.store import evidence

    try:
        return evidence.subject_digest(folder)
    except UserError:
        return ""


def _fact_row(fact: Any, own: str) -> tuple[str, ...]:
    """Others than `own` (a teacher, an artifact, earlier weights) are named by the beginning of
    their digest, where it is known."""
    interval = fact.interval or {}
    value = NOT_MEASURED if fact.value is None else f"{short(fact.value)} {fact.unit}"
    between = ""
    if {"low", "high", "level"} <= set(interval):
        low, high = short(interval["low"]), short(interval["high"])
        between = f"{low} to {high} ({100 * interval['level']:g}%)"
    return (
        fact.kind,
        f"{fact.name} of {fact.label}" if fact.label is not None else fact.name,
        value.removesuffix(" 1"),
        between,
        "" if fact.n is None else f"{fact.n:,}",
        " ".join(filter(None, (str((fact.dataset or {}).get("name", "")), fact.split))),
        fact.deployment or "",
        "" if fact.subject == own or not own else fact.subject[:8],
        fact.status,
    )


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


# --- printing


def _pairs(pairs: Mapping[str, Any]) -> None:
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print_lines(f"  {name.ljust(width)}  {value}")


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), value


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "(required)"


def _last(module: str) -> str:
    return module.rpartition(".")[2]


PROGRAM: Program = Program(
    "zoo",
    "python -m zoo",
    "What the zoo has, and what this machine can do with it. To train:\n"
    "python -m zoo.nlp.MODEL finetune (see `python -m zoo info MODEL`).",
    {
        "list": Verb("the models and their presets", ("list",), _list),
        "info": Verb(
            "all about a model or a checkpoint", ("info bert_cls", "info runs/bert_cls"), _info
        ),
        "import": import_verb.verb(lambda *asked: PROGRAM.parse(*asked)),
        "verify": Verb(
            "replay the proof of a checkpoint's artifacts", ("verify runs/bert_cls",), _verify
        ),
        "doctor": Verb("what is here, what is missing, how to get it", ("doctor",), _doctor),
    },
)

if __name__ == "__main__":
    sys.exit(main())
