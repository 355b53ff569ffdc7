"""Artifacts: `artifacts/<deployment>/` in a checkpoint, each with its `export.json`.

That file is the one that `transformers.exporters` writes, so that `ExportedModel.from_pretrained`
reads the folder too; what is ours stands in it under "zoo".
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import atomic, json_files
from tasks.data.fingerprint import sha256
from tasks.errors import UserError
from zoo.machine import commands
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.runtimes.signature import Signature
from zoo.store import evidence, typed
from zoo.store.checkpoint import read_manifest as read_checkpoint
from zoo.store.checkpoint_schema import is_plain

FOLDER = "artifacts"
MANIFEST = "export.json"
SCHEMA = 1
OWN = ("schema", "deployment", "signature", "source", "files")  # what `write_manifest` fills in
PACKED_FROM = "packed_from"  # sums of the files before a program was packed for the Hub


@dataclass(frozen=True)
class ProofRecord:
    """The proof in export.json: how near the program comes to its checkpoint."""

    sqnr: float | None = None
    inputs: str | None = None


@dataclass(frozen=True)
class Contents:
    """The fields of export.json that are ours and that something reads."""

    deployment: str
    signature: Signature
    source: str
    files: Mapping[str, str]
    proof: ProofRecord = ProofRecord()
    packed_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    in_repo: Mapping[str, str] = dataclasses.field(default_factory=dict)
    programs: Mapping[str, Signature] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """A program on disk that was found whole."""

    folder: Path
    deployment: Deployment
    signature: Signature
    manifest: Mapping[str, Any]  # of export.json, what is ours

    @property
    def component(self) -> Mapping[str, Any]:
        """Return what transformers' exporter has recorded about the program; empty where it did not
        make it."""
        path = self.folder / MANIFEST
        try:
            theirs = json_files.read_object(path)
        except ValueError as error:
            raise UserError(f"{path} is damaged ({error}): export it again") from None
        found: Any = theirs
        for name in ("components", "model", "metadata"):
            found = found.get(name, {}) if isinstance(found, dict) else {}
        return found if isinstance(found, dict) else {}

    @property
    def digest(self) -> str:
        """The subject of its evidence: sha256 over what decides its outputs, which are deployment,
        signature, source, and the names and sums of its files: as they were when it was measured,
        where the same program was packed into other files since. Never so for what is code, where
        the digest says what is trusted."""
        files = self.manifest["files"]
        if not RUNTIMES[self.deployment.runtime].is_code:
            files = self.manifest.get(PACKED_FROM, files)
        said = [str(self.deployment), self.signature.to_json()]
        said += [self.manifest["source"], files]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Return the size of its files, in bytes."""
        return sum((self.folder / name).stat().st_size for name in self.manifest["files"])


def folder_of(checkpoint: Path, deployment: Deployment) -> Path:
    """Return the folder where an artifact of a checkpoint lies or would lie."""
    return checkpoint / FOLDER / deployment.folder


def all_of(checkpoint: Path) -> list[Path]:
    """The folders of a checkpoint's artifacts, by name."""
    root = checkpoint / FOLDER
    return sorted(p for p in root.iterdir() if not p.name.startswith(".")) if root.is_dir() else []


def open_artifact(checkpoint: Path, deployment: Deployment) -> Artifact:
    """Reads and checks an artifact.

    Raises `UserError` where there is none, or it is not what was exported.
    """
    folder = folder_of(checkpoint, deployment)
    if not folder.is_dir():
        there = ", ".join(p.name for p in all_of(checkpoint)) or "none"
        raise UserError(
            f"{checkpoint} has no artifact for {deployment} (it has {there}): make it with "
            f"{how_to_make(checkpoint, deployment)}"
        )
    found = read(folder)
    if any(checkpoint.glob("*.safetensors")) and (
        evidence.subject_digest(checkpoint) != found.manifest["source"]
    ):
        raise UserError(
            f"{folder} was exported from other weights than {checkpoint} has now: export it again"
        )
    return found


def how_to_make(checkpoint: Path, deployment: Deployment) -> str:
    """The command that makes an artifact."""
    from zoo.model import registry

    module = registry.find(read_checkpoint(checkpoint)["model"]).module
    if deployment.numerics.startswith("int"):
        method = deployment.numerics.partition("-")[2]
        return commands.of_model(module, "quantize", checkpoint, "--method", method)
    return commands.of_model(module, "export", checkpoint, "--runtime", deployment)


def read(folder: Path) -> Artifact:
    """The artifact in a folder.

    Raises `UserError` where a file is missing, changed, strange, or a link, and where the folder
    has another deployment's name: what is trusted is decided by it.
    """
    found = read_manifest(folder)
    files = found.manifest["files"]
    for name, total in files.items():
        _must_be_plain(folder, name)
        if sha256(folder / name) != total:
            raise UserError(
                f"{folder} is damaged: {name} is not the file that was exported: export it again"
            )
    if strange := sorted(_files(folder) - set(files) - {MANIFEST}):
        raise UserError(f"{folder / strange[0]} was not there when it was exported: remove it")
    return found


def read_manifest(folder: Path) -> Artifact:
    """Return an artifact by its export.json alone; its files are not looked at.

    Raises `UserError` as `read` does, for all that is not about the files.
    """
    path = folder / MANIFEST
    if folder.is_symlink() or path.is_symlink():
        raise UserError(f"{folder} is a link: refused; export it again")
    try:
        manifest = json_files.read_object(path)["zoo"]
        if wrong := typed.fault(Contents, manifest, "zoo"):
            raise ValueError(wrong)
        deployment = Deployment.parse(manifest["deployment"])
        signature = Signature.from_json(manifest["signature"])
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is no artifact: it has no {MANIFEST}") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error!r}): export it again") from None
    if folder.parent.name == FOLDER and folder.name != deployment.folder:
        raise UserError(f"{folder} says that it is {deployment}: refused; export it again")
    return Artifact(folder, deployment, signature, manifest)


def subject_of(checkpoint: Path, deployment: Deployment) -> str:
    """Return the subject of evidence about a checkpoint under a deployment: the digest of the
    artifact, or else of the checkpoint itself."""
    if RUNTIMES[deployment.runtime].artifact:
        return open_artifact(checkpoint, deployment).digest
    return evidence.subject_digest(checkpoint)


def _must_be_plain(folder: Path, name: str) -> None:
    path = folder / name
    if (
        not is_plain(name)
        or path.is_symlink()
        or not path.resolve().is_relative_to(folder.resolve())
    ):
        raise UserError(f"{folder}: {name} is a link or lies outside the folder; export it again")
    if not path.is_file():
        raise UserError(f"{folder} is damaged: {name} is missing: export it again")


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


@contextlib.contextmanager
def staged(checkpoint: Path, deployment: Deployment) -> Iterator[Path]:
    """A folder for a new artifact that goes away unless `put_in_place` took it."""
    with workshop(checkpoint) as shop:
        staging = shop / deployment.folder
        staging.mkdir()
        yield staging


@contextlib.contextmanager
def workshop(checkpoint: Path) -> Iterator[Path]:
    """A folder to work in that goes away, on the disk of the checkpoint: what is kept is renamed
    into place. SIGTERM ends the work as Ctrl-C does; what a killed process left goes first.

    Raises `UserError` where another process is at work in the checkpoint.
    """
    root = checkpoint / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root), atomic.exit_on_sigterm():
        try:
            atomic.put_back(root)
            with atomic.staged(root) as shop:
                yield shop
        finally:
            with contextlib.suppress(OSError):  # artifacts are in it
                root.rmdir()


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Locks a folder for this process; the lock goes with it, however it ends."""
    try:
        handle = atomic.lock_folder(root.resolve(), wait=False)
    except BlockingIOError:
        raise UserError(
            f"another export or quantize is at work in {root}{_by(root)}: wait for it to end"
        ) from None
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _by(root: Path) -> str:
    """Return who is at work in a folder, as the name of its workshop says."""
    for shop in root.glob(f"{atomic.PREFIX}*"):
        number = shop.name.removeprefix(atomic.PREFIX).partition("-")[0]
        if number.isdigit():
            return f" (process {number})"
    return ""


def write_manifest(
    folder: Path,
    deployment: Deployment,
    signature: Signature,
    source: str,
    more: Mapping[str, Any],
) -> Artifact:
    """Says in export.json what a staged folder holds.

    Args:
        source: digest of the checkpoint it was made from (`zoo.store.evidence.subject`).
        more: JSON; what else to record, such as opset and versions.
    """
    path = folder / MANIFEST
    theirs = json_files.read_object(path) if path.exists() else {}
    files = {name: sha256(folder / name) for name in sorted(_files(folder) - {MANIFEST})}
    manifest = {
        "schema": SCHEMA,
        "deployment": str(deployment),
        "signature": signature.to_json(),
        "source": source,
        **more,
        "files": files,
    }
    atomic.write_json(path, theirs | {"zoo": manifest})
    return Artifact(folder, deployment, signature, manifest)


def put_in_place(staging: Path, checkpoint: Path, deployment: Deployment) -> Path:
    """Renames a staged folder to where it belongs; what stood there goes."""
    target = folder_of(checkpoint, deployment)
    atomic.put_in_place(staging, target)
    return target
