"""What `python -m zoo doctor` says."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.cli import doctor
from zoo.model import registry
from zoo.nlp.presets import PRESETS


def test_doctor_never_tells_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(registry, "entries", lambda: [SimpleNamespace(presets=PRESETS)])
    monkeypatch.setenv("HF_TOKEN", "hf_topsecret")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    (tmp_path / "constraints.txt").write_text("# tested\nnumpy==0.0.1\ntorch==0.1 ; x\nabsent==1\n")
    findings = doctor.doctor()
    assert "hf_topsecret" not in str(findings)
    found = {finding.topic: finding for finding in findings}
    assert found["Hub token"].text == "present"
    assert {"python", "torch", "GPU", "disk", "Hub", "weights", "data"} <= set(found)
    assert found["versions"].status == "warn" and "numpy" in found["versions"].text
    assert "absent" not in found["versions"].text
    missing = [finding for finding in findings if finding.status == "missing"]
    assert all(finding.remedy for finding in missing)
    assert any("bert-base-uncased" in finding.text for finding in missing)
