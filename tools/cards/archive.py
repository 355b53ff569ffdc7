"""Keeps the records of a checkpoint under `bench/results/models`: what was measured, no weights."""

import re
import shutil
from pathlib import Path

from tasks.atomic import put_in_place, staged, write_json
from tasks.errors import UserError
from tools.cards import check, record, sizes
from tools.cards.card_text import FILE as PROSE
from zoo.runtimes import artifacts
from zoo.store import evidence
from zoo.store.checkpoint import MANIFEST
from zoo.store.private import published

MODELS = Path(__file__).resolve().parents[2] / "bench" / "results" / "models"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)


def archive(folder: Path, name: str, models: Path = MODELS) -> Path:
    """Copies evidence, zoo.json (its paths shortened), config.json and the manifests of artifacts,
    and gives the folder they lie in; what lay there under this name goes.

    Raises `UserError` where the evidence is not about what lies in the checkpoint.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"--keep {name!r} wants letters, digits, dots, - and _: a folder's name")
    found = record.read(folder)
    if faults := check.record_faults(folder):
        raise UserError(f"its records are not kept, since they do not fit: {faults[0]}")
    if made := sizes.unknown(found):
        evidence.append(folder, made)
    target = models / name
    with staged(models) as staging:
        kept = staging / name
        kept.mkdir()
        for file in (evidence.FILE, "config.json", PROSE):
            if (folder / file).exists():
                shutil.copyfile(folder / file, kept / file)
        write_json(kept / MANIFEST, published(found.manifest))
        for artifact in found.artifacts:
            place = kept / artifact.folder.relative_to(folder)
            place.mkdir(parents=True)
            shutil.copyfile(artifact.folder / artifacts.MANIFEST, place / artifacts.MANIFEST)
        put_in_place(kept, target)
    return target
