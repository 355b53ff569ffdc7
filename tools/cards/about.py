"""What a model is, and how to use it in a few lines."""

import ast
import importlib.util
import inspect
from pathlib import Path

from bench.record.markdown import block, code, safe
from tasks.data.source import NONE
from tasks.printing import python_literal
from tasks.writes import HasNoPipeline
from tools.cards.facts import Facts
from tools.cards.metadata import HUB, base_model, languages
from tools.cards.numbers import format_fact
from tools.cards.record import Record
from zoo.model.modality import modality_of

EMBEDDED = "embedded"
FOLDER = "path/to/this/folder"


def heading(record: Record) -> list[str]:
    """Return the title of the page, as lines of Markdown."""
    data = "" if record.data_name in (EMBEDDED, NONE) else f" on {record.data_name}"
    return [f"# {safe(record.card_text.front.get('name') or record.entry.name + data)}"]


def what(facts: Facts) -> list[str]:
    """Return what the model is: the words of its module, whose weights it began with, and its size.

    Of the docstring the first paragraph and the second, which names the sources, are taken: what
    follows are claims about other runs.
    """
    found = facts.record
    lines = [*_docstring(found.entry.module)[:2], f"{_origin(found)} {_size(facts)}".strip()]
    return [line for line in lines if line]


def use(record: Record) -> list[str]:
    """Return a few lines of Python that run the checkpoint with transformers."""
    pipeline, verb = str(record.manifest["pipeline"]), record.task.verb
    where = python_literal(record.card_text.front.get("repo", FOLDER))
    if isinstance(record.task, HasNoPipeline):
        names, lines = record.task.plain_code(where, _is_english(record))
        return ["## Use", block("python", [f"from transformers import {names}", "", *lines])]
    imports = ["from transformers import pipeline"]
    if is_own(record):
        imports.append("import zoo.auto  # registers the network, which is the zoo's own")
    lines = [*imports, "", f"{verb} = pipeline({python_literal(pipeline)}, model={where})"]
    if example := record.task.example_code(_is_english(record)):
        lines.append(f"print({verb}({example}))")
    if note := modality_of(record.entry).file_note:
        lines[-1] += f"  # {note}"
    return ["## Use", block("python", lines)]


def is_own(record: Record) -> bool:
    """Return whether the network is one of the zoo's, which transformers alone can't load."""
    return str(record.config.get("model_type", "")).startswith("zoo_")


def data_of(record: Record) -> str:
    """The data set it was trained on, in words."""
    if record.data_name == EMBEDDED:
        return f"the examples that come with `{record.entry.task}`"
    return code(record.data_name)


def _is_english(record: Record) -> bool:
    return record.data_name == EMBEDDED or languages(record) == ["en"]


def _docstring(module: str) -> list[str]:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    text = inspect.cleandoc(ast.get_docstring(tree) or "")
    name, _, rest = text.partition(": ")
    return [" ".join(part.split()) for part in f"`{name}`: {rest}".split("\n\n")]


def _origin(record: Record) -> str:
    verb = "Pretrained" if "pretrain" in record.entry.verbs else "Trained"
    if record.data_name == NONE:
        own = str(record.manifest["source"]["sha256"])
        return (
            f"Trained elsewhere, and imported from weights with sha256 {code(own[:12])}; on "
            "which data, and how, is not known here."
        )
    if repo := base_model(record):
        license_ = record.manifest["source"].get("license")
        known = f" ({safe(str(license_))})" if license_ else ""
        return f"Fine-tuned from [{repo}]({HUB}/{repo}){known} on {data_of(record)}."
    if source := (record.manifest.get("source") or {}).get("sha256"):
        weights = f"weights with sha256 {code(source[:12])}, which have no id of the Hub"
        return f"Fine-tuned from {weights}, on {data_of(record)}."
    return f"{verb} from scratch on {data_of(record)}."


def _size(facts: Facts) -> str:
    parameters, size = facts.size("parameters"), facts.size("weights_size")
    if parameters is None:
        return ""
    said = f"{format_fact(parameters)} parameters"
    if size is not None:
        said += f", {format_fact(size)} in fp32"
    left = facts.size("parameters_left")
    if left is not None and left.value != parameters.value:
        said += f"; {format_fact(left)} of the parameters are not zero"
    return f"{said}."
