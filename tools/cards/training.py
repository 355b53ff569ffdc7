"""Training: which data, with what settings, how long, by which command."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bench.record.markdown import code, safe
from tasks.data.source import NONE
from tools.cards import commands
from tools.cards.about import data_of
from tools.cards.facts import Facts
from tools.cards.metadata import HUB, hub_revision
from tools.cards.numbers import format_fact
from tools.cards.record import Record
from tools.cards.settings import machine_name
from tools.cards.tables import table
from zoo.store.evidence import Fact
from zoo.store.portable import is_telling
from zoo.train.args import TrainArgs

ALWAYS = (
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "learning_rate",
    "optim",
    "weight_decay",
    "lr_scheduler_type",
    "warmup_steps",
    "seed",
)
# They say where and when things were written, or what a machine did; not what was learned.
PLUMBING = frozenset(
    (
        "output_dir",
        "per_device_eval_batch_size",
        "token_budget",
        "device",
        "threads",
        "dtype",
        "eval_strategy",
        "eval_steps",
        "save_steps",
        "save_minutes",
        "save_total_limit",
        "resume",
        "logging_steps",
        "report_to",
        "dataloader_num_workers",
        "speedups",
        "torch_compile",
        "compile_layers",
        "cuda_graphs",
        "gradient_checkpointing",
        "auto_find_batch_size",
        "fsdp",
        "teacher",  # folders; their digests stand in the record
        "unlabeled",
        "qat",
    )
)
SHAPES = ("model", "architecture")  # options that are worth saying though they are the default
PACKAGES = ("zoo", "torch", "transformers", "timm", "python")


def section(facts: Facts) -> list[str]:
    """Return the section about the training of the model, as paragraphs of Markdown."""
    found = facts.record
    if found.data_name == NONE:  # as is said at the beginning
        return []
    paragraphs = ["## Training", *_data(found), *_taught(found)]
    paragraphs.append(table(("setting", "value"), _settings(found), numbers=2))
    return [*paragraphs, *_run(facts)]


def _data(record: Record) -> list[str]:
    data, trained_on = record.manifest["config"]["data"], record.manifest["data"]
    name = data_of(record)
    if revision := hub_revision(trained_on):
        repo = trained_on["name"]
        name = f"[{safe(repo)}]({HUB}/datasets/{repo}) at {revision[0][:12]}"
        if revision[1]:
            name += f", configuration {code(revision[1])}"
    said = f"Data: {name}, fingerprint {code(trained_on['fingerprint'][:12])}."
    rows: Mapping[str, int] = trained_on.get("rows") or {}
    if own := trained_on.get("source_rows"):
        has = [f"{count:,} rows of {safe(split)}" for split, count in _in_order(own)]
        said += f" The data itself has {_listed(has)}."
        if cut := [safe(split) for split in rows if split not in own]:
            were = "was" if len(cut) == 1 else "were"
            said += f" {_listed(cut).capitalize()} {were} cut from its train split, "
            said += f"seed {data.get('split_seed')}."
    if rows:
        counts = [f"{count:,} of {safe(split)}" for split, count in _in_order(rows)]
        said += f" Rows: {', '.join(counts)}."
    for split, count in (trained_on.get("unlabelled") or {}).items():
        said += (
            f" Its {count:,} rows of {safe(split)} have no labels: nothing was measured on them."
        )
    return [said, *_cleaned(record, trained_on.get("cleaned") or {})]


def _cleaned(record: Record, counts: Mapping[str, int]) -> list[str]:
    """Return what was done to the texts before training, as a paragraph; none where nothing was."""
    if not counts:
        return []
    clean = record.manifest["config"]["task"].get("args", {}).get("clean", "")
    rows, before = counts.get("rows", 0), counts.get("rows_before", 0)
    said = f"The data were cleaned ({code(str(clean))}): {counts.get('texts_changed', 0):,} texts "
    said += f"changed, and {before - rows:,} of {before:,} rows dropped that repeated another"
    if contradicted := counts.get("contradicted"):
        said += f", {contradicted:,} of them with another label than the row that stays"
    return [f"{said}."]


def _in_order(rows: Mapping[str, int]) -> list[tuple[str, int]]:
    """Splits and their rows, the usual ones first."""
    usual = ("train", "validation", "test")
    place = {name: i for i, name in enumerate(usual)}
    return sorted(rows.items(), key=lambda one: place.get(one[0], len(usual)))


def _listed(parts: list[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _taught(record: Record) -> list[str]:
    said = []
    if teacher := record.manifest.get("teacher"):
        whom = f"{code(teacher['model'])} {safe(teacher['subject'][:12])}"
        said.append(f"Taught by {whom}, beside the labels.")
    if pool := record.manifest.get("unlabeled"):
        name, digest = pool["name"], pool["fingerprint"][:12]
        said.append(
            f"Learned from unlabelled examples too: {code(name)}, fingerprint {code(digest)}."
        )
    if qat := record.manifest.get("qat"):
        said.append(
            f"Trained on from {safe(qat['from'][:12])} while its layers computed as in int8."
        )
    return said


def _settings(record: Record) -> list[tuple[str, str]]:
    config = record.manifest["config"]
    trained = config.get("train", {})
    usual = {one.name: one.default for one in dataclasses.fields(TrainArgs)}
    kept = [
        name
        for name in trained
        if name not in PLUMBING and (name in ALWAYS or trained[name] != usual.get(name))
    ]
    if (trained.get("max_steps") or -1) > 0:
        kept = [name for name in kept if name != "num_train_epochs"]
    else:
        kept = [name for name in kept if name != "max_steps"]
    order = [*(name for name in ALWAYS if name in kept), *(n for n in kept if n not in ALWAYS)]
    rows = [(code(name), _value(trained[name])) for name in order]
    own = record.entry.options()
    options: Mapping[str, Any] = config.get("options", {})
    rows += [
        (code(name), _value(value))
        for name, value in options.items()
        if value != getattr(own, name, None) or (name in SHAPES and value != "none")
    ]
    return [(name, safe(value)) for name, value in rows if value]


def _value(value: Any) -> str:
    if isinstance(value, str) and is_telling(value):
        return "a folder"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _run(facts: Facts) -> list[str]:
    seconds = facts.one(kind="training", name="train_seconds", subject=facts.record.subject)
    if seconds is None:
        return []
    machine = machine_name(seconds.machine or {})
    parts = [
        f"It took {format_fact(seconds)} on {safe(machine)}, {safe(_numerics(seconds.deployment))}"
    ]
    for fact in facts.of(kind="training", subject=seconds.subject, run=seconds.run):
        if fact.name.endswith("samples_per_second"):
            parts.append(f"at {format_fact(fact)}")
    peak = facts.one(kind="memory", name="train_peak_memory", run=seconds.run)
    if peak is not None:
        parts.append(f"with {format_fact(peak)} of memory at most")
    return [f"{', '.join(parts)}.", *_command(facts.record, seconds)]


def _command(record: Record, fact: Fact) -> list[str]:
    if not fact.command:
        return []
    versions = fact.versions or {}
    known = ", ".join(f"{name} {safe(versions[name])}" for name in PACKAGES if name in versions)
    state = " with changes that were not committed" if fact.dirty else ""
    commit = f" at commit {safe(fact.commit[:12])}{state}" if fact.commit else ""
    said = [f"By this command{commit}{f', with {known}' if known else ''}:"]
    return [*said, *commands.paragraphs(record, [fact.command])]


def _numerics(deployment: str | None) -> str:
    _, _, numerics = (deployment or "").partition("+")
    return f"in {numerics.replace('autocast-', '')}" if numerics else "in fp32"
