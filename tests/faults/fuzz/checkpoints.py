"""Checkpoints and weights with one file damaged, missing, linked or added, and sums that agree."""

import contextlib
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

from tests.faults.fuzz import mutations, tensors
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import MODELS, TEXT, Model, measured, rendered

MANIFEST = "zoo.json"
JSON = (".json",)
EXTRA = ("pytorch_model.bin", "modeling_x.py", "adapter_config.json", "chat_template.jinja")
EXTRA += ("model.safetensors.index.json", "tokenizer.model", "vocab.txt", "generation_config.json")
EXTRA += ("added_tokens.json", "special_tokens_map.json", "processor_config.json", "写真", "a\nb")


def checkpoints(scene: Scene) -> Command:
    """A checkpoint of ours, to be predicted with, measured, shown, taught by, sent."""
    model = scene.draw.choice((TEXT, *MODELS))
    folder = scene.copy(model.name, "checkpoint", without=("state", "logs", "artifacts"))
    what = harm(scene.draw, folder)
    if scene.chance(0.85):
        agree(folder)
        what += ", its sums agree"
    return _used(scene, model, folder, what)


def weights(scene: Scene) -> Command:
    """Weights of somebody else, to train from."""
    folder = scene.copy("bert", "weights")
    what = harm(scene.draw, folder)
    words = TEXT.finetune(scene, "--model", folder)
    return Command(TEXT.module, words, what, run=scene.run)


def harm(draw: random.Random, folder: Path) -> str:
    """Harms a file, or two; says how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # what decides outputs stands at the root; plots are many, and nobody reads them
    files = [path for path in files if path.parent == folder or draw.random() < 0.05]
    chosen = draw.sample(files, min(len(files), draw.choice((1, 1, 1, 2))))
    return "; ".join(_harmed(draw, folder, file) for file in chosen)


def _harmed(draw: random.Random, folder: Path, file: Path) -> str:
    name = str(file.relative_to(folder))
    way = draw.random()
    if way < 0.05:
        file.unlink()
        return f"{name} is missing"
    if way < 0.1:
        return f"{name} is {_replaced(draw, file)}"
    if way < 0.15:
        extra = folder / draw.choice(EXTRA)
        extra.write_bytes(draw.choice((b"", b"{}", b"[]", b"\x80\x04.", b"import os", b"{")))
        return f"there is a {extra.name!r} beside {name}"
    content, what = spoiled(draw, name, file.read_bytes())
    file.write_bytes(content)
    return f"{name}: {what}"


def spoiled(draw: random.Random, name: str, content: bytes) -> mutations.Spoiled:
    """The content of a file damaged by its kind."""
    if name.endswith(JSON):
        return mutations.spoil_json(draw, content)
    if name.endswith(".safetensors"):
        return tensors.spoil(draw, content)
    if name.endswith(".jsonl"):
        return spoil_line(draw, content)
    return mutations.spoil(draw, content, is_text=name.endswith(".md"))


def spoil_line(draw: random.Random, content: bytes) -> mutations.Spoiled:
    """Lines of JSON, one of them changed."""
    lines = content.splitlines()
    if draw.random() < 0.15 or not lines:
        return mutations.spoil(draw, content)
    number = draw.randrange(len(lines))
    lines[number], what = mutations.spoil_json(draw, lines[number])
    with contextlib.suppress(ValueError, RecursionError):  # one line of it again
        lines[number] = json.dumps(json.loads(lines[number])).encode()
    return b"\n".join(lines) + b"\n", f"line {number + 1}: {what}"


def _replaced(draw: random.Random, file: Path) -> str:
    kind = draw.choice(("a link", "a loop", "a link to nothing", "a folder", "a link out"))
    content = file.read_bytes()
    file.unlink()
    if kind == "a link":
        other = file.with_name("other-" + file.name)
        other.write_bytes(content)
        file.symlink_to(other.name)
    elif kind == "a loop":
        file.symlink_to(file.name)
    elif kind == "a folder":
        file.mkdir()
    else:
        file.symlink_to("nowhere" if kind == "a link to nothing" else "/etc/hostname")
    return kind


def agree(folder: Path) -> None:
    """Gives zoo.json, where it can be read, the sums of the files as they are."""
    manifest = folder / MANIFEST
    if manifest.is_file():
        manifest.write_bytes(agreeing(manifest.read_bytes(), lambda name: _read(folder / name)))


def agreeing(manifest: bytes, read: Callable[[str], bytes | None]) -> bytes:
    """A zoo.json, where it can be read, with the sums of files as they are now."""
    try:
        said = json.loads(manifest)
        for sums in (said.get("files"), said.get("published")):
            for name in sums if isinstance(sums, dict) else ():
                if (content := read(name)) is not None:
                    sums[name] = hashlib.sha256(content).hexdigest()
        return json.dumps(said, indent=2).encode()
    except (ValueError, RecursionError, AttributeError):
        return manifest


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def _used(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    uses = (
        _predicted,
        _predicted,
        _predicted,
        _evaluated,
        _shown,
        _rendered,
        _sent,
        _taught,
        _exported,
    )
    return scene.draw.choice(uses)(scene, model, folder, what)


def _predicted(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    given = ("--text", "a fine film", "a dull one")
    if not model.is_text:
        data = scene.world / model.data
        given = (model.files, *map(str, sorted(data.rglob(f"*{model.suffix}"))[:2]))
    output = scene.out / "labels.jsonl" if scene.chance(0.3) else None
    words = ("predict", str(folder), *given, *(("--output", str(output)) if output else ()))
    return Command(model.module, words, what, output=output, rows=2)


def _evaluated(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    writes = measured(folder)
    return Command(model.module, ("evaluate", str(folder)), what, writes=writes)


def _shown(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    words = scene.draw.choice(
        (("info", str(folder)), ("info", str(folder)), ("verify", str(folder)))
    )
    is_terminal = scene.chance(0.5)
    return Command("zoo", words, what, writes=measured(folder), is_terminal=is_terminal)


def _rendered(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    words = (str(folder), *scene.draw.choice((("--check",), ())))
    return Command("tools.cards", words, what, writes=rendered(folder))


def _sent(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    words = ("push", str(folder), "user/x", "--dry_run", "--accept_license")
    return Command("tools.hub", words, what, writes=rendered(folder))


def _taught(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    flag = scene.draw.choice(("--teacher", "--qat"))
    words = model.finetune(scene, flag, folder)
    return Command(model.module, words, f"{flag}: {what}", run=scene.run)


def _exported(scene: Scene, model: Model, folder: Path, what: str) -> Command:
    words = ("export", str(folder), "--runtime", scene.draw.choice(("onnx", "torchscript")))
    writes = (f"{folder.name}/artifacts*", *measured(folder))
    return Command(model.module, words, what, writes=writes, limit_s=60)
