"""The process that all others are forked from has what they need, and may be forked."""

import json
import subprocess
import sys

import pytest

from tests.cli import ROOT, environment

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
