"""ONNX artifacts as the Hub's tools expect them: `onnx/model.onnx`, `onnx/model_int8.onnx`, ...

transformers.js picks the file by the ending of its name, and both it and optimum look for weights
inside of the program, or, where they are too large for that, in `NAME.onnx_data`
(https://huggingface.co/docs/transformers.js/guides/dtypes). Ours lie in `model.onnx.data`; so a
program is packed for the Hub: the same graph and the same weights, in one file.

The manifest goes along as `onnx/model_int8.export.json`. It has the sums of what was pushed, says
where each file lies in the repo, and keeps the sums from before, which are what evidence is about.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.atomic import write_json
from tasks.data.fingerprint import sha256
from tasks.errors import UserError
from tools.hub import layout
from tools.hub.uploads import WAIT, Upload, copied, upload
from zoo.runtimes import artifacts
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment

ENDINGS = {
    "fp32": "",
    "int8-dynamic": "_int8",
    "int8-static": "_quantized",
    "int8-weight-only": "_int8_weights",
    "int4-weight-only": "_q4",
}
"""The end of a file's name by its numerics. transformers.js reads them as the dtypes fp32, int8, q8
and q4; it has none for weights alone in 8 bits."""
LARGEST_FILE = 1_900_000_000
"""Bytes of weights that go into the program: protobuf holds less than 2 GiB."""
IN_REPO = "in_repo"
"""The key of a manifest that has, for each file of the artifact's folder, its path in the repo."""


def pack(artifact: Artifact, shared: Mapping[str, str], workshop: Path) -> list[Upload]:
    """Writes the files of an artifact as they are published.

    Args:
        shared: sums by name of the checkpoint's own files, which are not published twice.
        workshop: folder to write to, which stays until they are sent.

    Raises `UserError` for a program that can't be read.
    """
    ending = ENDINGS[artifact.deployment.numerics]
    folder = workshop / artifact.folder.name
    folder.mkdir()
    files = artifact.manifest["files"]
    whole = _taken(artifact, workshop / f"{artifact.folder.name}.whole")
    places: dict[str, str] = {}
    sums: dict[str, str] = {}
    uploads: list[Upload] = []
    for name, total in files.items():
        source = whole / name
        if name.endswith(".onnx"):
            stem = name.removesuffix(".onnx") + ending
            source = _one_file(source, folder, stem)
        elif name.endswith((".onnx.data", ".onnx_data")):
            continue  # goes with its program
        elif shared.get(name) == total:
            places[name], sums[name] = name, total
            continue
        else:
            stem = f"model{ending}.{name.removesuffix('.json')}"
        place = f"{layout.ONNX}/{stem}{source.suffix}"
        if not layout.allowed(place):
            raise UserError(f"{source} is nothing that is published: export the artifact again")
        places[name], sums[name] = place, sha256(source)
        uploads.append(upload(place, source))
        for data in sorted(folder.glob(f"{stem}.onnx_data")):
            places[data.name] = f"{layout.ONNX}/{data.name}"
            sums[data.name] = sha256(data)
            uploads.append(upload(places[data.name], data))
    manifest = folder / f"model{ending}{layout.MANIFEST_END}"
    content = json.loads((artifact.folder / artifacts.MANIFEST).read_text(encoding="utf-8"))
    before = artifact.manifest.get(artifacts.PACKED_FROM, files)
    content["zoo"] |= {"files": sums, IN_REPO: places}
    if before != sums:
        content["zoo"][artifacts.PACKED_FROM] = before
    write_json(manifest, content)
    uploads.append(upload(f"{layout.ONNX}/{manifest.name}", manifest))
    return uploads


def _taken(artifact: Artifact, folder: Path) -> Path:
    """A copy of an artifact's files, each as the manifest has its sum.

    Raises `UserError` where one is not (any more).
    """
    for name, total in artifact.manifest["files"].items():
        copy = copied(artifact.folder / name, (folder / name).parent)
        if sha256(copy) != total:
            raise UserError(f"{artifact.folder / name} has changed since it was checked: {WAIT}")
    return folder


def _one_file(program: Path, folder: Path, stem: str) -> Path:
    """The program with its weights inside, or beside it where they are too large.

    Raises `UserError` where what was written is not the same program.
    """
    import onnx

    from zoo.runtimes.onnx_session import kept_outside, must_stay_inside, open_session, provider

    must_stay_inside(program)
    target = folder / f"{stem}.onnx"
    outside = kept_outside(program)
    if not outside:
        target.write_bytes(program.read_bytes())
        return target
    model = onnx.load(program)
    size = sum((program.parent / name).stat().st_size for name in outside)
    if size + program.stat().st_size < LARGEST_FILE:
        target.write_bytes(model.SerializeToString(deterministic=True))
    else:
        onnx.save(
            model,
            target,
            save_as_external_data=True,
            location=f"{stem}.onnx_data",
            size_threshold=1024,
        )
        model = onnx.load(program)  # saving has moved its weights
    if onnx.load(target) != model:
        raise UserError(f"{program} can't be packed for the Hub: its weights came out otherwise")
    open_session(target, [provider("cpu")], 1)
    return target


def chosen(checkpoint: Path, asked: str) -> list[Artifact]:
    """The artifacts that `--artifacts` names.

    Raises `UserError` for one that there is not, one that is damaged, was made from other weights
    or was never proven, and for what is no ONNX.
    """
    there = {path.name: path for path in artifacts.all_of(checkpoint)}
    onnx_ones = [name for name in there if name.partition("+")[0] == "onnx"]
    names = {"all": onnx_ones, "none": []}.get(asked, [])
    if asked not in ("all", "none"):
        names = [word.strip() for word in asked.split(",") if word.strip()]
    found = []
    for name in dict.fromkeys(names):
        deployment = Deployment.parse(name)
        if deployment.runtime != "onnx":
            raise UserError(
                f"--artifacts {name}: only ONNX is published; other programs are code, or are read "
                "by what may run code, and are exported anew from the weights"
            )
        if deployment.folder not in there:
            raise UserError(
                f"--artifacts {name}: {checkpoint} has no such artifact (it has "
                f"{', '.join(onnx_ones) or 'none of ONNX'}); export it first"
            )
        artifact = artifacts.open_artifact(checkpoint, deployment)
        proof = artifact.manifest.get("proof", {})
        if not any(proof.get(name) for name in ("compared", "tokens")):
            raise UserError(f"{artifact.folder} was never proven: export it again")
        found.append(artifact)
    return found


def manifests(paths: Mapping[str, Any]) -> list[str]:
    """Return the paths of a repo that are manifests of artifacts, sorted."""
    return sorted(
        path
        for path in paths
        if path.startswith(f"{layout.ONNX}/") and path.endswith(layout.MANIFEST_END)
    )
