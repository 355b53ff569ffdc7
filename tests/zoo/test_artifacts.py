"""An artifact's digest: what its evidence is about, and for code, what is trusted."""

from pathlib import Path
from typing import Any

from zoo.artifacts import PACKED_FROM, Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature

SIGNATURE: dict[str, Any] = {
    "inputs": [{"name": "x", "dtype": "float32", "dims": ["batch", 2]}],
    "outputs": ["logits"],
    "limits": {"batch": [1, None]},
}


def _artifact(deployment: str, **more: Any) -> Artifact:
    manifest = {"source": "weights", "files": {"model": "sum"}, **more}
    signature = Signature.from_json(SIGNATURE)
    return Artifact(Path("nowhere"), Deployment.parse(deployment), signature, manifest)


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
