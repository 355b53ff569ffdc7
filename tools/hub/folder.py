"""A repo's files laid out as a checkpoint folder again: artifacts in `artifacts/<deployment>/`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.errors import UserError
from tools.hub import layout, onnx_layout
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store.checkpoint_schema import is_plain

Put = Callable[[Path, Path], Any]
"""Brings a file to a path: a copy, or a link."""


def lay_out(files: Mapping[str, Path], folder: Path, put: Put, partly: bool = False) -> None:
    """Puts the files of a repo where they lie in a checkpoint.

    Args:
        files: path in the repo to where the file is now.
        partly: whether programs and weights may be left out.

    Raises `UserError` for a manifest that names what is not in the repo or may not lie there.
    """
    for path, source in files.items():
        if not path.startswith(f"{layout.ONNX}/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            put(source, folder / path)
    for manifest in onnx_layout.manifests(files):
        deployment, places = _read(files[manifest], manifest)
        target = artifacts.folder_of(folder, deployment)
        target.mkdir(parents=True, exist_ok=True)
        for name, place in places.items():
            if "/" in name or not (is_plain(name) and layout.allowed(place)):
                raise UserError(f"{manifest} names {name!r} at {place!r}, outside: refused")
            if place not in files and partly:
                continue
            if place not in files:
                raise UserError(f"{manifest} names {place}, which is not in the repo")
            put(files[place], target / name)
        (target / artifacts.MANIFEST).write_bytes(files[manifest].read_bytes())


def _read(path: Path, name: str) -> tuple[Deployment, dict[str, str]]:
    """The deployment that a manifest is of, and where the files of its artifact are in the repo."""
    try:
        said = json_files.read_object(path)["zoo"]
        places = {str(key): str(place) for key, place in said[onnx_layout.IN_REPO].items()}
        deployment = Deployment.parse(said["deployment"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{name} of the repo is damaged ({error!r}): push it again") from None
    if deployment.runtime != "onnx":
        raise UserError(f"{name} of the repo says that it is {deployment}: only ONNX is loaded")
    return deployment, places
