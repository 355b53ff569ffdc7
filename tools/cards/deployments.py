"""Deployments: how fast each program is on the machines it was measured on, and what it loses."""

import json
from collections.abc import Iterable, Mapping, Sequence

from bench.record.markdown import code, safe
from tools.cards import picture
from tools.cards.facts import EAGER, Facts, Program
from tools.cards.numbers import format_fact
from tools.cards.settings import TimingSetting, machine_details, machine_name
from tools.cards.tables import table
from zoo.store.evidence import Fact

SPLITS = ("validation", "test")
NOTES = {
    "†": "† Built to be compared, and not kept in `artifacts/`.",
    "‡": "‡ Another build than the one whose losses are listed below.",
}


def section(facts: Facts) -> list[str]:
    """The section, as paragraphs; none where no program was measured."""
    lost = _lost(facts)
    speed = _speed(facts, {program.deployment: program for program, _ in lost})
    load = _load(facts)
    if not speed and not lost and not load:
        return []
    return ["## Deployments", *speed, *load, *_front(facts), *_losses(facts, lost)]


def _speed(facts: Facts, lost: Mapping[str, Program]) -> list[str]:
    """A table for each machine and workload; `lost` has the programs that the losses are of."""
    machines: dict[str, list[TimingSetting]] = {}
    for setting in facts.settings():
        machines.setdefault(setting.machine, []).append(setting)
    paragraphs: list[str] = []
    marks: set[str] = set()
    for text, settings in machines.items():
        machine = json.loads(text)
        paragraphs += [f"### {safe(machine_name(machine))}", f"{safe(machine_details(machine))}."]
        for setting in settings:
            rows = []
            for program, found in facts.timed(setting):
                signs = _signs(program, lost)
                marks.update(signs)
                rows.append((f"{code(program.deployment)}{signs}", *_speeds(program, found)))
            header = ("deployment", "a call", "p95", "times as fast", "memory")
            paragraphs += [safe(f"{setting.title}:".capitalize()), table(header, rows)]
    if not paragraphs:
        return []
    said = (
        "A call is the median; times as fast is against eager fp32, measured side by side in the "
        "same sitting, which need not be that of eager's own row. In brackets are intervals"
        f"{_levels(facts)}."
    )
    notes = [note for sign, note in NOTES.items() if sign in marks]
    return [*paragraphs, " ".join([said, *notes])]


def _load(facts: Facts) -> list[str]:
    """What the checkpoint's service holds, as a table; nothing where it was not loaded."""
    rows = []
    for fact in facts.of(kind="load", name="requests_per_s"):
        program = facts.programs.get((fact.deployment or EAGER, fact.subject))
        if program is None:
            continue
        setting = TimingSetting.of(fact)
        alike = [
            each
            for each in facts.of(kind="load", name="cpu_per_request", subject=fact.subject)
            if TimingSetting.of(each) == setting
        ]
        work = dict(fact.workload or {})
        limit, options = work.get("p99_ms"), str(work.get("options", ""))
        within = f"{limit:g} ms" if isinstance(limit, int | float) else str(limit)
        machine = machine_name(json.loads(setting.machine))
        rows.append(
            (
                " ".join(filter(None, (code(program.deployment), safe(options)))),
                within,
                format_fact(fact),
                format_fact(facts.newest(alike)) if alike else "",
                safe(machine),
            )
        )
    if not rows:
        return []
    header = ("deployment", "p99 within", "requests", "processor time of one", "machine")
    said = (
        "Requests a second that `python -m zoo serve` answers over HTTP, 99 of 100 within the "
        "limit, counted from the moment that each was meant to start (open loop)."
    )
    return ["### Under load", said, table(header, rows)]


def _signs(program: Program, lost: Mapping[str, Program]) -> str:
    signs = "" if program.is_kept else " †"
    other = lost.get(program.deployment)
    return f"{signs} ‡" if other is not None and other != program else signs


def _speeds(program: Program, facts: Mapping[str, Fact]) -> list[str]:
    names = ("latency", "latency_p95", "speedup", "peak_memory")
    cells = [format_fact(facts[name]) if name in facts else "" for name in names]
    if program.deployment == EAGER:
        cells[names.index("speedup")] = "baseline"
    return cells


def _levels(facts: Facts) -> str:
    levels = {
        fact.interval["level"]
        for fact in facts.of(kind="latency")
        if fact.interval and fact.name in ("latency", "speedup")
    }
    return f" at {100 * min(levels):g}%" if len(levels) == 1 else ""


def _front(facts: Facts) -> list[str]:
    path = picture.path(facts)
    if path is None or not path.exists():
        return []
    return [f"![What each deployment takes and loses]({path.parent.name}/{path.name})"]


def _losses(facts: Facts, lost: Sequence[tuple[Program, Sequence[str]]]) -> list[str]:
    timed = {p.deployment for setting in facts.settings() for p, _ in facts.timed(setting)}
    silent = timed - {program.deployment for program, _ in lost} - {EAGER}
    others = f"What {_listed(silent)} lose{'s' * (len(silent) == 1)} is not recorded."
    if not lost:
        return [others] if silent else []
    metric = facts.record.task.primary.title.lower()
    header = ["deployment", "size", *(f"{metric} lost, {split}" for split in SPLITS)]
    header += ["SQNR", "same answer (share)", "largest difference", "same tokens (share)"]
    header += ["cosine similarity (mean)", "IoU of boxes (mean)", "IoU of masks (mean)"]
    rows = [(code(program.deployment) + _signs(program, {}), *row) for program, row in lost]
    said = ["Against the weights in eager fp32; minus is a gain.", *([others] if silent else [])]
    return ["### What they lose", " ".join(said), table(header, rows)]


def _listed(deployments: Iterable[str]) -> str:
    *most, last = [code(one) for one in sorted(deployments)] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _lost(facts: Facts) -> list[tuple[Program, tuple[str, ...]]]:
    """Return the row about the metric of one program of each deployment: the artifact, or else the
    newest program that something is known of."""
    newest: dict[str, tuple[Program, tuple[str, ...]]] = {}
    for program in facts.programs.values():
        row = _loss(facts, program)
        before = newest.get(program.deployment)
        if any(row) and (before is None or program.is_kept or not before[0].is_kept):
            newest[program.deployment] = program, row
    return sorted(newest.values(), key=lambda one: (not one[0].is_kept, one[0].deployment))


def _loss(facts: Facts, program: Program) -> tuple[str, ...]:
    found = [
        facts.about(program, "size", "artifact_size"),
        *(facts.drop(program, split) for split in SPLITS),
        facts.about(program, "parity", "sqnr"),
        facts.about(program, "parity", "argmax_agreement"),
        facts.about(program, "parity", "max_absolute_difference"),
        facts.about(program, "parity", "token_agreement"),
        facts.about(program, "parity", "cosine_similarity"),
        facts.about(program, "parity", "box_iou"),
        facts.about(program, "parity", "mask_iou"),
    ]
    return tuple(format_fact(fact) if fact else "" for fact in found)
