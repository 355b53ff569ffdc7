"""The process that all others are forked from has what they need, and may be forked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import ROOT, environment, run_program

LOOK = """
import json, os, sys
from bench.cases import warm
from zoo.measure.preloaded import obstacle
names = list(dict.fromkeys(warm.modules()))
assert not set(warm.MEANWHILE) & set(os.environ)
print(json.dumps([obstacle(), [name for name in names if name not in sys.modules]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
def test_it_may_be_forked_and_every_module_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=environment() | {"OMP_NUM_THREADS": "2"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    obstacle, missing = json.loads(done.stdout.splitlines()[-1])
    assert obstacle == ""
    assert missing in ([], ["timm", "transformers.models.timm_wrapper.modeling_timm_wrapper"])


def test_what_opens_cuda_is_not_imported_with_it(tmp_path: Path) -> None:
    """transformers imports torchao where it is installed, and torchao asks the GPU what it is."""
    package = tmp_path / "torchao"
    package.mkdir()
    (package / "__init__.py").write_text("print('it is imported')\n")
    look = (
        "import importlib.metadata as metadata\n"
        "version = metadata.version\n"
        "metadata.version = lambda name: '0.18.0' if name == 'torchao' else version(name)\n"
        "from bench.cases import warm\n"
        "print('the others are')\n"
        "import torchao\n"
    )
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = run_program(look, env={"PYTHONPATH": path})
    said = [line for line in done.out.splitlines() if line.endswith(("imported", "others are"))]
    assert said == ["the others are", "it is imported"]
