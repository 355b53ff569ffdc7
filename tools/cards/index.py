"""MODEL_CARDS.md: a row for every model of the zoo and its presets, from the records that are kept
under `bench/results/models`."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.record.markdown import code, safe
from tasks.atomic import write_text
from tasks.errors import UserError
from tasks.metrics.spec import title_of
from tools.cards import check, commands, record
from tools.cards.archive import MODELS
from tools.cards.facts import EAGER, Facts, Program
from tools.cards.metadata import HUB
from tools.cards.numbers import format_fact
from tools.cards.settings import machine_name
from tools.cards.tables import table
from zoo.machine.formatting import NOT_MEASURED
from zoo.model import registry
from zoo.model.entry import Entry, Preset
from zoo.store import evidence
from zoo.store.evidence import Fact

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "MODEL_CARDS.md"
MOST_LOST = 0.005  # of the main metric; the default of `quantize` and `bench decide`
TASKS = {
    "masked_lm": "Masked language modelling",
    "causal_lm": "Causal language modelling",
    "seq2seq": "Translation and summaries",
    "masked_image": "Masked image modelling",
    "image_density": "Image density estimation",
    "image_diffusion": "Image generation",
    "seq2seq_recognition": "Speech recognition, sequence to sequence",
}
HEADER = ("model", "task", "weights", "parameters", "size", "test split", "best deployments")
HEAD = f"""# Model cards

What has been measured, a row a model and its pretrained weights; below it, what has not been yet.
This page is rendered from the evidence under `bench/results/models` by
`python -m tools.cards --index`; change the evidence, not this page.
`python -m tools.cards CHECKPOINT --keep NAME` puts a run's records there.

The best deployment in a setting is the fastest one that was measured to lose at most {MOST_LOST:g}
of the metric. Numbers in brackets are intervals."""
NOT_YET = """## Not measured yet

These train as those above do, and no run of them is kept here. `python -m zoo list` says which
weights are at hand."""


def render(models: Path = MODELS) -> str:
    """The page. Raises `UserError` for records that can't be read."""
    kept = [Facts(record.read(path)) for path in _folders(models)]
    rows: list[Sequence[str]] = []
    lines: list[str] = []
    for entry in registry.entries():
        own = [facts for facts in kept if facts.record.entry.name == entry.name]
        rows += [_row(entry, facts) for facts in own]
        began = {_began_with(facts) for facts in own}
        if left := [name for name in _presets(entry) if name not in began]:
            lines.append(f"- {code(entry.name)} ({_task(entry).lower()}): {_listed(entry, left)}")
    page = [HEAD]
    if rows:
        page += ["## Measured", table(HEADER, rows, numbers=len(HEADER))]
    if lines:
        page += [NOT_YET, "\n".join(lines)]
    if commands := [part for facts in kept for part in _commands(facts)]:
        page += ["## Commands", *commands]
    return "\n\n".join(page) + "\n"


def write(models: Path = MODELS, page: Path = PAGE) -> Path:
    """Writes the page and gives its path."""
    write_text(page, render(models))
    return page


def faults(models: Path = MODELS, page: Path = PAGE) -> list[str]:
    """Return where the page differs from what the records say, and which lines of evidence can't be
    read."""
    found = [
        f"{path / evidence.FILE}:{number} is no evidence: {one}"
        for path in _folders(models)
        for number, one in evidence.scan(path)
        if isinstance(one, ValueError)
    ]
    if found:
        return found
    stands = page.read_text(encoding="utf-8") if page.exists() else ""
    facts = [fact for path in _folders(models) for fact in evidence.read(path)]
    return check.compare(page, stands, render(models), facts)


def _folders(models: Path) -> list[Path]:
    found = sorted(path for path in models.glob("*") if path.is_dir() and path.name[0] != ".")
    for path in found:
        if not any(path.glob("*.json")):
            raise UserError(f"{path} keeps no records of a model: remove it")
    return found


def _presets(entry: Entry) -> dict[str | None, Preset | None]:
    """Return the presets of a model by name; None stands for weights from scratch, where they are
    the default."""
    scratch: dict[str | None, Preset | None] = {} if entry.default_preset else {None: None}
    return scratch | dict(entry.presets)


def _began_with(facts: Facts) -> str | None:
    """The preset of the weights that training began with, or what else they are called; None
    where it began anew."""
    source = facts.record.manifest.get("source") or {}
    if facts.record.manifest["config"].get("options", {}).get("from_scratch"):
        return None
    named = {preset.repo: name for name, preset in facts.record.entry.presets.items()}
    asked: str | None = source.get("model")
    return named.get(str(source.get("repo")), asked)


def _task(entry: Entry) -> str:
    """Return the task of a model in words."""
    name = entry.task.rpartition(".")[2]
    return TASKS.get(name, name.replace("_", " ").capitalize())


def _weights(entry: Entry, name: str | None) -> str:
    """Return the weights that a training begins with, as a link where they are a preset."""
    preset = _presets(entry).get(name)
    if name is None or preset is None:
        return "from scratch" if name is None else code(name)
    return f"[{code(name)}]({HUB}/{preset.repo})"


def _license(entry: Entry, name: str | None) -> str:
    """Return the licence of a preset in brackets; nothing for weights from scratch."""
    preset = _presets(entry).get(name)
    return f" ({preset.license})" if preset else ""


def _listed(entry: Entry, names: Sequence[str | None]) -> str:
    """Return weights in a row, the licence once behind those that share it."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_license(entry, name), []).append(_weights(entry, name))
    return "; ".join(f"{', '.join(weights)}{license_}" for license_, weights in found.items())


def _row(entry: Entry, facts: Facts) -> Sequence[str]:
    return [
        code(entry.name),
        _task(entry),
        _weights(entry, _began_with(facts)) + _license(entry, _began_with(facts)),
        format_fact(facts.size("parameters")),
        format_fact(facts.size("weights_size")),
        _measured(facts),
        "<br>".join(_best(facts)) or NOT_MEASURED,
    ]


def _measured(facts: Facts) -> str:
    main = facts.main
    if main is None or main.dataset is None:
        return NOT_MEASURED
    title = title_of(main.name).lower()
    n = f", n = {main.n:,}" if main.n else ""
    name = facts.record.folder.name
    said = f"{title} {format_fact(main)} on {safe(main.dataset['name'])}{n}"
    return f"{said} ([commands](#{name.lower()}))"


def _best(facts: Facts) -> list[str]:
    """The best deployment in each setting that speed was measured in."""
    found = []
    for setting in facts.settings():
        rows = [row for row in facts.timed(setting) if row[0].deployment != EAGER]
        if not rows:
            continue
        where = safe(f"{setting.title} on {machine_name(json.loads(setting.machine))}")
        for program, measured in rows:  # the fastest first
            lost = _lost(facts, program)
            if lost is not None and lost.value is not None and lost.value <= MOST_LOST:
                ratio = f", {format_fact(measured['speedup'])}" if "speedup" in measured else ""
                call = f"{code(program.deployment)}, {format_fact(measured['latency'])} a call"
                found.append(f"{where}: {call}{ratio}, loses {format_fact(lost, interval=False)}")
                break
        else:
            found.append(f"{where}: none")
    return found


def _lost(facts: Facts, program: Program) -> Fact | None:
    return facts.drop(program, "test") or facts.drop(program, "validation")


def _commands(facts: Facts) -> list[str]:
    """Return the commands that made a record, each once, in the order of the evidence."""
    said = [fact.command for fact in facts.all if fact.command and _makes(fact)]
    if not said:
        return []
    name = facts.record.folder.name
    lines: Sequence[str] = list(dict.fromkeys(said))
    return [f"### {safe(name)}", *commands.paragraphs(facts.record, lines)]


def _makes(fact: Fact) -> bool:
    """Return whether the command of a fact measured something, and did more than write a card."""
    return fact.kind != "size" or fact.name not in ("parameters", "weights_size")
