"""What a checkpoint is on the Hub: its files by their names there, its card, its sums."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.atomic import write_json, write_text
from tasks.errors import UserError
from tools.hub import folder, layout, onnx_layout, variant
from tools.hub.refused import PushRefused
from tools.hub.uploads import Upload, taken, upload
from zoo.runtimes.artifacts import Artifact
from zoo.store import private
from zoo.store.checkpoint import Checkpoint

SHA256 = re.compile("[0-9a-f]{64}")
SUMS = "published"
"""The key of a published zoo.json that has, by its path, the sha256 of every other file of the
push."""
WORDS = (".json", ".jsonl", ".md", ".jinja", ".yaml")
RENDERED = (layout.CARD, layout.EVIDENCE, layout.PICTURES, layout.RESULTS)
"""The files of a checkpoint that rendering the card may write."""


@dataclass(frozen=True)
class Publication:
    """The files that are to lie in a repo, and a folder that holds them as a pull would give
    them."""

    uploads: tuple[Upload, ...]
    folder: Path
    """the same laid out as it will be when it is pulled"""

    @property
    def size(self) -> int:
        """Return the size of all files, in bytes."""
        return sum(one.size for one in self.uploads)


def publication(
    checkpoint: Checkpoint,
    chosen: Sequence[Artifact],
    repo: str,
    workshop: Path,
    base: str | None = None,
) -> Publication:
    """Makes the files that go to a repo. The card is rendered from what will lie there, so that
    it says nothing about what stays here.

    Args:
        base: the repo with the weights, for one that has only the artifacts.
        workshop: a folder that stays until they are sent.

    Raises:
        UserError: a file belongs to the checkpoint and may not go.
        Refused: a text tells what should not leave this machine.
    """
    made = workshop / "made"
    made.mkdir(parents=True)
    uploads = list(_own_files(checkpoint, made / "own", weights=base is None))
    shared = {name: str(total) for name, total in checkpoint.manifest["files"].items()}
    for artifact in chosen:
        uploads += onnx_layout.pack(artifact, shared, made)
    write_text(made / layout.PROSE, _with_repo(checkpoint.folder / layout.PROSE, repo))
    uploads.append(upload(layout.PROSE, made / layout.PROSE))
    record = private.published(checkpoint.manifest)
    record.pop(variant.BASE, None)
    if base is not None:
        record[variant.BASE] = base
    write_json(made / layout.RECORD, record | {SUMS: {}})
    target = workshop / "folder"
    files = {one.path: one.source for one in uploads} | {
        layout.RECORD: made / layout.RECORD,
        layout.EVIDENCE: checkpoint.folder / layout.EVIDENCE,
    }
    folder.lay_out(files, target, _put)
    _write_card(target, base)
    for pattern in RENDERED:
        for path in sorted(target.glob(pattern)):
            uploads.append(upload(path.relative_to(target).as_posix(), path))
    uploads.sort(key=lambda one: one.path)
    write_json(made / layout.RECORD, record | {SUMS: {one.path: one.sha256 for one in uploads}})
    uploads.append(upload(layout.RECORD, made / layout.RECORD))
    if told := list(_told(uploads)):
        raise PushRefused(*told, "this would leave your machine: nothing was sent")
    return Publication(tuple(uploads), target)


def sums(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the sha256 of the files beside a published zoo.json, by their paths; empty where it
    has none.

    Raises ValueError where it says what are no sums.
    """
    if SUMS not in manifest:
        return {}
    if not is_sums(manifest[SUMS]):
        raise ValueError(f"{SUMS} are no sums of files")
    return dict(manifest[SUMS])


def is_sums(said: object) -> bool:
    """Return whether a value is a mapping of paths to sha256 sums, with at least one in it."""
    return (
        isinstance(said, Mapping)
        and bool(said)
        and all(isinstance(one, str) and SHA256.fullmatch(one) for one in said.values())
    )


def _own_files(checkpoint: Checkpoint, folder: Path, weights: bool) -> Iterator[Upload]:
    for name, total in checkpoint.manifest["files"].items():
        if not layout.allowed(name):
            raise UserError(
                f"{checkpoint.folder / name} belongs to the checkpoint, and nothing of its name is "
                "published"
            )
        if weights or not name.endswith(".safetensors"):
            yield taken(name, checkpoint.folder / name, str(total), (folder / name).parent)


def _with_repo(card_text: Path, repo: str) -> str:
    """card.md with the repo's name, so that the card tells how to load it from there."""
    text = card_text.read_text(encoding="utf-8") if card_text.exists() else ""
    first, *lines = text.splitlines(keepends=True) or [""]
    if first.strip() != "---":
        return f"---\nrepo: {repo}\n---\n{text}"
    end = next(i for i, line in enumerate(lines) if line.strip() == "---")  # that card.md was read
    kept = [line for line in lines[:end] if not line.startswith("repo:")]
    return "".join((first, f"repo: {repo}\n", *kept, *lines[end:]))


def _write_card(target: Path, base: str | None) -> None:
    if base is not None:
        write_text(target / layout.CARD, variant.card(target))
        return
    from tools.cards import write

    write.write(target)


def _put(source: Path, target: Path) -> None:
    """Large files are linked; what the card's writing may change is a copy."""
    if source.name.endswith(layout.LARGE):
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)


def _told(uploads: Sequence[Upload]) -> Iterator[str]:
    """Return what the texts among the uploads give away, a sentence each. Vocabularies are left
    out: their words may look like anything."""
    for one in uploads:
        name = Path(one.path).name
        if name.endswith(WORDS) and not name.startswith(("tokenizer.", "vocab", "merges")):
            text = one.source.read_text(encoding="utf-8", errors="replace")
            yield from private.faults(one.path, text, name.endswith((".json", ".jsonl")))
