"""The process that all others are forked from has what they need, and may be forked."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli import ROOT, run_program

LOOK = """
import importlib.metadata as metadata, json, os, sys
version = metadata.version
metadata.version = lambda name: "0.18.0" if name == "torchao" else version(name)
from bench.cases import warm
from zoo.measure.preloaded import obstacle
names = list(dict.fromkeys(warm.modules()))
assert not set(warm.MEANWHILE) & set(os.environ)
print(json.dumps([obstacle(), [name for name in names if name not in sys.modules]]))
import torchao
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
def test_it_may_be_forked_and_every_module_is_there(tmp_path: Path) -> None:
    """But for what opens CUDA: transformers imports torchao where it is installed, and torchao
    asks the GPU what it is."""
    package = tmp_path / "torchao"
    package.mkdir()
    (package / "__init__.py").write_text("print('it is imported')\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = run_program(LOOK, env={"PYTHONPATH": path, "OMP_NUM_THREADS": "2"}, cwd=ROOT)
    said = [line for line in done.lines if line.startswith("[") or line == "it is imported"]
    assert len(said) == 2 and said[1] == "it is imported", "before the others were"
    obstacle, missing = json.loads(said[0])
    assert obstacle == ""
    assert missing in ([], ["timm", "transformers.models.timm_wrapper.modeling_timm_wrapper"])
