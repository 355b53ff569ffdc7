"""`zoo info`: a model or a checkpoint on one screen; `--json` has all there is to know."""

import dataclasses
import json
import shlex
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.cli import settings
from zoo.machine import commands, terminal
from zoo.machine.formatting import NOT_MEASURED, short
from zoo.model import registry
from zoo.model.entry import Entry, Preset
from zoo.store import evidence, pretrained
from zoo.store.checkpoint import MANIFEST

WIDTH = 80
ROWS = 10
"""Rows of a table at most, so that all is on one screen."""
OF_ROWS = "_weighted"
"""End of the names of averages that are left out here: where accuracy stands, they say little."""
NOT_TOLD = {"output_dir", "data", "resume"}
"""Settings that say nothing of how a checkpoint was trained, or stand elsewhere."""


def show_model(entry: Entry, as_json: bool) -> None:
    """Print what there is to know of a model."""
    _, default = settings.of_training(entry)
    if as_json:
        content = {
            "name": entry.name,
            "module": entry.module,
            "summary": entry.summary,
            "task": entry.task,
            "verbs": entry.verbs,
            "default_preset": entry.default_preset,
            "presets": {
                name: dataclasses.asdict(preset) | {"at_hand": pretrained.at_hand(preset)}
                for name, preset in all_presets(entry).items()
            },
            "recipe": dict(entry.recipe),
            "settings": dataclasses.asdict(default),
        }
        _print_json(content)
        return
    command = commands.program() or "python -m zoo"
    print_lines(*textwrap.wrap(f"{entry.name}: {entry.summary}", WIDTH))
    options = [f for f in dataclasses.fields(entry.options) if f.name != "model"]
    _pairs(
        {
            "task": entry.task.rpartition(".")[2],
            "verbs": ", ".join(entry.verbs),
            "recipe": _listed(entry.recipe.items()),
            "options": _listed((f.name, getattr(default.options, f.name)) for f in options),
        }
    )
    presets = all_presets(entry)
    print_lines("")
    if presets:
        rows = [
            (_called(entry, name), preset.repo, preset.license) for name, preset in presets.items()
        ]
        terminal.table(("preset", "repo", "licence"), rows)
    else:
        print_lines(from_scratch(entry))
    verb = next(verb for verb in entry.verbs if verb in ("finetune", "pretrain"))
    print_lines(
        "",
        f"its flags: {command} {verb} {entry.name} --help",
        f"revisions, sums and every default: {command} info {entry.name} --json",
    )


def _called(entry: Entry, name: str) -> str:
    return f"{name} (default)" if name == entry.default_preset else name


def from_scratch(entry: Entry) -> str:
    """Return a line on where the weights of a model without presets come from."""
    if not hasattr(entry.options, "model"):
        return "trained from scratch"
    return "trained from scratch, or from a checkpoint (--model FOLDER)"


def all_presets(entry: Entry) -> dict[str, Preset]:
    """Return the presets of a model, those for zero-shot predictions included."""
    return {**entry.presets, **{f"{k} (zero-shot)": v for k, v in entry.zero_shot.items()}}


def show_checkpoint(folder: Path, as_json: bool) -> None:
    """Print what there is to know of a checkpoint.

    Raises `UserError` where the folder holds none, or a damaged one.
    """
    facts = evidence.read(folder)
    recorded: Mapping[str, Any] = {}
    if (folder / MANIFEST).is_file():
        recorded = _record(folder / MANIFEST)
    elif not (folder / "config.json").is_file() and not facts:
        raise UserError(f"{folder} is no checkpoint: it has neither {MANIFEST} nor config.json")
    if as_json:
        content = {MANIFEST: recorded, "evidence": [fact.content() for fact in facts]}
        _print_json(content)
        return
    if recorded:
        _show_record(folder, recorded)
    else:
        print_lines(f"{folder}: a Hugging Face model, not made by the zoo (it has no {MANIFEST})")
    _show_facts(folder, facts)


def _show_record(folder: Path, recorded: Mapping[str, Any]) -> None:
    task = str(recorded.get("task") or recorded.get("pipeline") or "?").rpartition(".")[2]
    print_lines(f"{folder}: {recorded.get('model', '?')} ({task})")
    data, source = recorded.get("data") or {}, recorded.get("source") or {}
    rows = ", ".join(f"{split} {n:,}" for split, n in (data.get("rows") or {}).items())
    commit, versions = recorded.get("commit") or {}, recorded.get("versions") or {}
    libraries = ("python", "torch", "transformers")
    _pairs(
        {
            "data": f"{data.get('name', '?')}{f' ({rows})' if rows else ''}",
            "fingerprint": str(data.get("fingerprint", "?"))[:16],
            "weights from": source.get("repo") or source.get("model") or "scratch",
            "settings": _listed(_unusual(recorded).items()) or "the model's own",
            "seed": recorded.get("seed", "?"),
            "commit": f"{str(commit.get('commit') or 'not known')[:12]}"
            f"{' with changes' if commit.get('dirty') else ''}",
            "versions": ", ".join(f"{n} {versions[n]}" for n in libraries if n in versions) or "?",
        }
    )
    artifacts = sorted(path.parent.name for path in folder.glob("artifacts/*/export.json"))
    if artifacts:
        _pairs({"artifacts": ", ".join(artifacts)})


def _unusual(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a training that are not the model's defaults."""
    config = recorded.get("config") or {}
    try:
        _, default = settings.of_training(registry.find(str(recorded.get("model"))))
    except UserError:  # of another version of the zoo
        return {}
    usual = json.loads(json.dumps(dataclasses.asdict(default), default=str))
    given = {**config, "task": (config.get("task") or {}).get("args") or {}}
    return {
        name: value
        for part in usual
        for name, value in (given.get(part) or {}).items()
        if name not in NOT_TOLD and name in usual[part] and usual[part][name] != value
    }


def _show_facts(folder: Path, facts: Sequence[evidence.Fact]) -> None:
    if not facts:
        print_lines("", f"evidence: {NOT_MEASURED}")
        return
    own = _subject(folder)
    newest: dict[tuple[Any, ...], evidence.Fact] = {}
    for fact in facts:
        if fact.kind == "metric" and not fact.name.endswith(OF_ROWS):
            data = (fact.dataset or {}).get("fingerprint")
            features = (fact.workload or {}).get("features")
            where = (data, fact.split, fact.deployment, fact.subject, features)
            newest.pop(key := (fact.name, *where), None)
            newest[key] = fact
    shown = list(newest.values())
    if shown:
        heads = ("metric", "value", "interval", "n", "data", "deployment", "of")
        rows = [_fact_row(fact, own) for fact in shown[-ROWS:]]
        used = [i for i in range(len(heads)) if any(row[i] for row in rows)]
        print_lines("")
        terminal.table([heads[i] for i in used], [[row[i] for i in used] for row in rows])
    else:
        print_lines("", f"metrics: {NOT_MEASURED}")
    kinds = Counter(fact.kind for fact in facts)
    counted = ", ".join(f"{n:,} {kind}" for kind, n in kinds.items())
    command = commands.program() or "python -m zoo"
    print_lines("", *textwrap.wrap(f"{len(facts):,} facts ({counted}); all of them:", WIDTH))
    print_lines(f"  {command} info {shlex.quote(str(folder))} --json")


def _print_json(content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    print_lines(*text.split("\n"))  # what stands in the values is escaped


def _record(path: Path) -> Mapping[str, Any]:
    try:
        return json_files.read_object(path)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _subject(folder: Path) -> str:
    """Return the digest of the checkpoint as it is now; empty where it is none."""
    try:
        return evidence.subject_digest(folder)
    except UserError:
        return ""


def _fact_row(fact: evidence.Fact, own: str) -> tuple[str, ...]:
    """Return the cells of a metric. Others than `own` (a teacher, an artifact, earlier weights) are
    named by the beginning of their digest, where it is known."""
    interval = fact.interval or {}
    value = NOT_MEASURED if fact.value is None else f"{short(fact.value)} {fact.unit}"
    between = ""
    if {"low", "high", "level"} <= set(interval):
        low, high = short(interval["low"]), short(interval["high"])
        between = f"{low} to {high} ({100 * interval['level']:g}%)"
    classifier = (fact.workload or {}).get("classifier")
    return (
        f"{fact.name} in {classifier}" if classifier else fact.name,
        value.removesuffix(" 1"),
        between,
        "" if fact.n is None else f"{fact.n:,}",
        " ".join(filter(None, (str((fact.dataset or {}).get("name", "")), fact.split))),
        fact.deployment or "",
        "" if fact.subject == own or not own else fact.subject[:8],
    )


def _pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values, long values over several lines."""
    for name, value in pairs.items():
        text = textwrap.wrap(str(value), WIDTH - 16) or ["none"]
        print_lines(f"  {name:<12}  {text[0]}", *(f"{'':16}{line}" for line in text[1:]))


def _listed(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return settings as a line of text."""
    return ", ".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, tuple | list) else value}"
        for name, value in pairs
        if value is not None and value not in ((), [], "")
    )
