"""What a model is, and how to use it in a few lines."""

import ast
import importlib.util
import inspect
import json
import shlex
from pathlib import Path

from bench.record.markdown import block, code, safe
from tasks.printing import visible
from tools.cards.facts import Facts
from tools.cards.metadata import HUB, base_model, languages
from tools.cards.numbers import shown
from tools.cards.record import Record

VERBS = {  # what a pipeline's function would be called
    "text-classification": "classify",
    "image-classification": "classify",
    "audio-classification": "classify",
    "automatic-speech-recognition": "transcribe",
    "fill-mask": "fill",
    "image-feature-extraction": "describe",
}
OF_SOUNDS = ("audio-classification", "automatic-speech-recognition")
EMBEDDED = "embedded"
FOLDER = "path/to/this/folder"


def heading(found: Record) -> list[str]:
    """The title of the page."""
    data = "" if found.data_name == EMBEDDED else f" on {found.data_name}"
    return [f"# {safe(found.prose.front.get('name') or found.entry.name + data)}"]


def what(facts: Facts) -> list[str]:
    """What it is: the model module's words, whose weights it began with, and how large it is.

    Of the docstring the first paragraph and the second, which names the sources, are taken: what
    follows are claims about other runs.
    """
    found = facts.record
    lines = [*_docstring(found.entry.module)[:2], f"{_origin(found)} {_size(facts)}".strip()]
    return [line for line in lines if line]


def use(found: Record) -> list[str]:
    """A few lines of transformers."""
    pipeline = str(found.manifest["pipeline"])
    verb = VERBS.get(pipeline, "run")
    where = _literal(found.prose.front.get("repo", FOLDER))
    imports = ["from transformers import pipeline"]
    if is_own(found):
        imports.append("import zoo.auto  # registers the network, which is the zoo's own")
    lines = [*imports, "", f"{verb} = pipeline({_literal(pipeline)}, model={where})"]
    if example := _example(found):
        lines.append(f"print({verb}({example}))")
    if pipeline in OF_SOUNDS:
        lines[-1] += "  # reading a file takes ffmpeg"
    return ["## Use", block("python", lines)]


def _literal(text: str) -> str:
    """A text as Python writes it."""
    return json.dumps(visible(text), ensure_ascii=False)


def is_own(found: Record) -> bool:
    """Whether the network is one of the zoo's, which transformers alone can't load."""
    return str(found.config.get("model_type", "")).startswith("zoo_")


def data_of(found: Record) -> str:
    """The data set it was trained on, in words."""
    if found.data_name == EMBEDDED:
        return f"the examples that come with `{found.entry.task}`"
    return code(found.data_name)


def _example(found: Record) -> str:
    """An input as Python writes it; empty where nobody knows a text in the language of the data.

    The zoo's own texts are English. A label of the data is published with the weights anyway.
    """
    pipeline = str(found.manifest["pipeline"])
    if pipeline == "fill-mask":
        mask = "{fill.tokenizer.mask_token}"
        return f'f"a film that is {mask} to watch"' if _is_english(found) else f'f"{mask}"'
    said = shlex.split(importlib.import_module(found.entry.task).EXAMPLE_INPUT)
    if pipeline != "text-classification" or _is_english(found):
        return _literal(said[1] if said else "photo.jpg")
    labels = map(str, found.settings.get("labels", ()))
    return next((_literal(one) for one in labels if any(map(str.isalpha, one))), "")


def _is_english(found: Record) -> bool:
    return found.data_name == EMBEDDED or languages(found) == ["en"]


def _docstring(module: str) -> list[str]:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    text = inspect.cleandoc(ast.get_docstring(tree) or "")
    name, _, rest = text.partition(": ")
    return [" ".join(part.split()) for part in f"`{name}`: {rest}".split("\n\n")]


def _origin(found: Record) -> str:
    verb = "Pretrained" if "pretrain" in found.entry.verbs else "Trained"
    if repo := base_model(found):
        license_ = found.manifest["source"].get("license")
        known = f" ({safe(str(license_))})" if license_ else ""
        return f"Fine-tuned from [{repo}]({HUB}/{repo}){known} on {data_of(found)}."
    if digest := (found.manifest.get("source") or {}).get("sha256"):
        weights = f"weights with sha256 {code(digest[:12])}, which have no id of the Hub"
        return f"Fine-tuned from {weights}, on {data_of(found)}."
    return f"{verb} from scratch on {data_of(found)}."


def _size(facts: Facts) -> str:
    parameters, size = facts.size("parameters"), facts.size("weights_size")
    if parameters is None:
        return ""
    said = f"{shown(parameters)} parameters"
    if size is not None:
        said += f", {shown(size)} in fp32"
    left = facts.size("parameters_left")
    if left is not None and left.value != parameters.value:
        said += f"; {shown(left)} of the parameters are not zero"
    return f"{said}."
