"""Which artifacts are published: those that were proven."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tests.tools.cards.folders import make
from tools.hub import onnx_layout

PROVEN: list[dict[str, Any]] = [
    {"compared": 29, "sqnr": 120.0},
    {"compared": 29, "token_agreement": 1.0},  # gives ids alone, which have no SQNR
    {"compared": 0, "tokens": 300},
]


@pytest.mark.parametrize("proof", [*PROVEN, {"compared": 0}, None])
def test_only_what_was_proven_goes(proof: dict[str, Any] | None, tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    path = folder.export().folder / "export.json"
    if proof is not None:
        manifest = json.loads(path.read_text())
        manifest["zoo"]["proof"] = proof
        path.write_text(json.dumps(manifest))
    if proof in PROVEN:
        assert [one.folder for one in onnx_layout.chosen(folder.path, "all")] == [path.parent]
    else:
        with pytest.raises(UserError, match="was never proven: export it again"):
            onnx_layout.chosen(folder.path, "all")
