"""YAML files for --config: every type for every flag, and YAML that is more than values."""

import dataclasses
import json
from typing import Any

from tests.faults.fuzz import flags, mutations
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import MODELS, TEXT

PLAIN = ("no", "off", "yes", "two", "~", "", "[1e-4]", "2.5", "1e-4", ".nan", ".inf", "-1", "0x10")
PLAIN += (
    "2026-01-01",
    "12:30:45",
    "!!binary aGVsbG8=",
    "!!set {a, b}",
    "{a: 1}",
    "[]",
    "'1'",
    "1_0",
)
PLAIN += (
    "!!python/object/apply:os.system ['true']",
    "&a [*a]",
    "|\n  two\n  lines",
    "!x 3",
    "写真",
)
LAUGHS = "".join(
    f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else 'ha'}]\n" for i in range(9)
)
WHOLE = ("", "- 1\n- 2\n", "seed", "1: 2\n", "null: 2\n", "? [a, b]\n: 3\n", "seed: 1\nseed: 2\n")
WHOLE += ("\tseed: 1\n", "seed: 1\n---\nseed: 2\n", "{" * 3000, f"{LAUGHS}seed: *l8\n", "seed: [\n")
WHOLE += (
    "%YAML 9.9\n---\nseed: 1\n",
    "seed: &x 1\nmax_steps: *y\n",
    "<<: {seed: 1}\n",
    "a: " + "[" * 5000,
)


def configs(scene: Scene) -> Command:
    """A training whose settings come from a file."""
    draw = scene.draw
    model = draw.choice((TEXT, TEXT, *MODELS))
    fields = [
        field.name
        for kind in flags.training_flags(model)
        for field, _ in flags._fields(kind)
        if field.name not in (*flags.ENDLESS, "output_dir", "model")
    ]
    file = scene.inputs / draw.choice(("config.yaml", "my config.yml", "写真"))
    if scene.chance(0.2):
        content, what = draw.choice(WHOLE), "a file of another form"
    else:
        chosen = draw.sample(fields, draw.choice((1, 1, 1, 2, 3)))
        lines = [f"{name}: {_value(scene)}" for name in chosen]
        content, what = "\n".join(lines) + "\n", "; ".join(lines)
    written = content.encode("utf-8", "surrogatepass")
    if scene.chance(0.1):
        written, how = mutations.spoil(draw, written)
        what = f"{what}, {how}"
    file.write_bytes(written)
    words = model.finetune(scene, "--config", file)
    return Command(model.module, words, what[:200], run=scene.run)


def _value(scene: Scene) -> str:
    if scene.chance(0.6):
        return scene.draw.choice(PLAIN)
    return json.dumps(scene.draw.choice(mutations.VALUES[:-1]))


def _names(kinds: tuple[Any, ...]) -> list[str]:
    return [field.name for kind in kinds for field in dataclasses.fields(kind)]
