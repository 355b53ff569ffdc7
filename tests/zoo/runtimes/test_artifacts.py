"""An artifact's digest: what its evidence is about, and for code, what is trusted."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tests.cli import ROOT
from zoo.runtimes.artifacts import PACKED_FROM, Artifact, read_manifest
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature

SIGNATURE: dict[str, Any] = {
    "inputs": [{"name": "x", "dtype": "float32", "dims": ["batch", 2]}],
    "outputs": ["logits"],
    "limits": {"batch": [1, None]},
}

BEFORE = "3a02f510a504054b8d4ddca9c23cb2a655f0175f54554ccc240b1c5cb2949db4"


def _artifact(deployment: str, **more: Any) -> Artifact:
    manifest = {"source": "weights", "files": {"model": "sum"}, **more}
    signature = Signature.from_json(SIGNATURE)
    return Artifact(Path("nowhere"), Deployment.parse(deployment), signature, manifest)


def test_a_digest_from_before_outputs_had_kinds() -> None:
    """As commit b7db848 computed it for this artifact."""
    assert _artifact("onnx").digest == BEFORE
    told = Signature.from_json({**SIGNATURE, "kinds": {"logits": "logits"}})
    assert dataclasses.replace(_artifact("onnx"), signature=told).digest != BEFORE


@pytest.mark.parametrize("folder", sorted(ROOT.glob("bench/results/models/*/artifacts/*")))
def test_manifests_from_before_outputs_had_kinds(folder: Path) -> None:
    """Some that were written then and are kept here, without their programs."""
    found = read_manifest(folder)
    assert found.signature.to_json() == found.manifest["signature"]
    assert {found.signature.kind(name) for name in found.signature.outputs} == {"logits"}


def test_a_kind_that_nobody_knows(tmp_path: Path) -> None:
    folder = tmp_path / "onnx"
    folder.mkdir()
    signature = {**SIGNATURE, "kinds": {"logits": "smell"}}
    manifest = {"deployment": "onnx", "signature": signature, "source": "s", "files": {}}
    (folder / "export.json").write_text(json.dumps({"zoo": manifest}))
    with pytest.raises(UserError, match=r"zoo.signature.kinds.logits is 'smell', none of logits"):
        read_manifest(folder)


def test_a_program_that_was_packed_keeps_its_evidence() -> None:
    exported = _artifact("onnx")
    packed = _artifact("onnx", files={"model": "other"}, **{PACKED_FROM: {"model": "sum"}})
    assert packed.digest == exported.digest != _artifact("onnx", files={"model": "other"}).digest


def test_code_is_known_by_its_own_bytes_only() -> None:
    """Else whoever writes a manifest could pass for what was exported here."""
    exported = _artifact("pt2")
    forged = _artifact("pt2", files={"model": "evil"}, **{PACKED_FROM: {"model": "sum"}})
    assert forged.digest != exported.digest
    assert forged.digest == _artifact("pt2", files={"model": "evil"}).digest
