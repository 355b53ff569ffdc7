"""What a card is rendered from: the records that lie in a checkpoint, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import json_files
from tasks.errors import UserError
from tools.cards import card_text
from tools.cards.card_text import CardText
from zoo.machine import commands
from zoo.model import registry, remote_code
from zoo.model.entry import Entry
from zoo.runtimes import artifacts
from zoo.runtimes.artifacts import Artifact
from zoo.store import evidence
from zoo.store.checkpoint import read_manifest, read_task
from zoo.store.evidence import Fact

if TYPE_CHECKING:
    from tasks.base import Task


@dataclass(frozen=True)
class Record:
    """The files of a checkpoint that a card is rendered from, as they were read."""

    folder: Path
    manifest: Mapping[str, Any]  # zoo.json
    config: Mapping[str, Any]  # config.json
    subject: str  # digest of the weights that lie there; see `zoo.store.evidence.subject_digest`
    facts: Sequence[Fact]  # all of the schema that is known here, in their order
    artifacts: Sequence[Artifact]  # those made from these very weights
    entry: Entry
    task: "Task"
    card_text: CardText

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return how the task reads its inputs, as plain JSON."""
        task: Mapping[str, Any] = self.manifest["config"]["task"]
        return task

    @property
    def data_name(self) -> str:
        """Return the name of the data set that the model was trained on."""
        return str(self.manifest["data"]["name"])


def read(folder: Path) -> Record:
    """The records of a checkpoint, or of a folder that keeps them without the weights.

    Without weights their digest is that of the sums in zoo.json. Raises `UserError` where the
    folder is no checkpoint of the zoo's, has no evidence, or a record can't be read.
    """
    manifest = read_manifest(folder)
    entry = registry.find(manifest["model"])
    task = read_task(folder, manifest)
    remote_code.refuse(folder)
    try:
        config = json_files.read_object(folder / "config.json")
        _must_be_whole(manifest, config)
    except FileNotFoundError:
        raise UserError(f"{folder} is damaged: config.json is missing") from None
    except OSError as error:
        raise UserError(f"{folder / 'config.json'} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the records of {folder} are damaged ({error!r})") from None
    subject = (
        evidence.subject_digest(folder)
        if any(folder.glob("*.safetensors"))
        else evidence.digest_of(manifest["files"])
    )
    facts = [fact for fact in evidence.read(folder) if fact.schema == evidence.SCHEMA]
    if not any(fact.subject == subject for fact in facts):
        whose = f" about the weights that lie there ({subject[:16]})" if facts else ""
        raise UserError(
            f"{folder} has no evidence{whose}, and a card says only what was measured: "
            f"{commands.python(entry.module, 'evaluate', folder)}"
        )
    return Record(
        folder,
        manifest,
        config,
        subject,
        facts,
        [one for one in _artifacts(folder) if one.manifest["source"] == subject],
        entry,
        task,
        card_text.read(folder),
    )


def _must_be_whole(manifest: Mapping[str, Any], network: object) -> None:
    """Raises KeyError or TypeError where zoo.json or config.json (`network`) lacks what a card
    says, or has it otherwise."""
    if not isinstance(network, dict):
        raise TypeError("config.json has no fields")
    data, config = manifest["data"], manifest["config"]
    texts = [manifest["pipeline"], data["name"], data["fingerprint"]]
    for part, names in (
        ("teacher", ("model", "subject")),
        ("unlabeled", ("name", "fingerprint")),
        ("qat", ("from",)),
    ):
        if said := manifest.get(part):
            texts += [said[name] for name in names]
    source = manifest.get("source") or {}
    texts += [source.get(name) or "" for name in ("model", "repo", "sha256", "license")]
    counts = [n for part in ("rows", "source_rows") for n in (data.get(part) or {}).values()]
    parts = [config["data"], config.get("options", {}), config.get("train", {})]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("a name of zoo.json is no text")
    if not all(isinstance(one, int) for one in counts):
        raise TypeError("rows of zoo.json are no counts")
    if not all(isinstance(one, Mapping) for one in parts):
        raise TypeError("a part of config of zoo.json has no fields")


def _artifacts(folder: Path) -> list[Artifact]:
    return [artifacts.read_manifest(path) for path in artifacts.all_of(folder)]
