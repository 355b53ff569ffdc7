"""With every socket but loopback forbidden, all verbs work and nothing hangs."""

import json
import os
from pathlib import Path

import pytest

from tests.cases import Case, params
from tests.cli import run_process
from tests.finetuning import MODEL, arguments

GUARD = '''
"""Forbids every address but loopback, and notes who asked."""
import os, socket

def _local(address):
    return not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1", "localhost")

def _guarded(method):
    own = getattr(socket.socket, method)
    def call(self, address, *rest):
        if not _local(address):
            with open(os.environ["ASKED"], "a") as file:
                file.write(f"{address}\\n")
            raise OSError(101, "Network is unreachable")
        return own(self, address, *rest)
    return call

class Guarded(socket.socket):
    connect = _guarded("connect")
    connect_ex = _guarded("connect_ex")

_getaddrinfo = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{host}\\n")
        raise socket.gaierror(-3, "Temporary failure in name resolution")
    return _getaddrinfo(host, *rest, **more)

socket.socket = Guarded
socket.getaddrinfo = getaddrinfo
'''


VERBS = """
import importlib, json, sys
from zoo.cli import verbs
for argv in json.load(sys.stdin):
    code = verbs.main(importlib.import_module(sys.argv[1]).ENTRY, argv)
    if code:
        sys.exit(code)
"""


@pytest.mark.parametrize("case", params("diffusion"), indirect=True)  # it draws, and says nothing
def test_all_verbs_without_a_network(case: Case, tmp_path: Path) -> None:
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "guard" / "verbs.py").write_text(VERBS)
    asked = tmp_path / "asked"
    asked.touch()
    env = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "guard"), os.environ["PYTHONPATH"]]),
        "ASKED": str(asked),
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
        "ZOO_CACHE": str(tmp_path / "cache"),
    }
    folder = tmp_path / "run"
    verbs = [
        case.arguments(folder, "--max_steps", 2),
        ["evaluate", str(folder)],
        case.predicted(folder),
    ]
    done = run_process("verbs", case.module, env=env, timeout=200, stdin=json.dumps(verbs))
    assert done.code == 0, done.err
    assert {"label", "text", "labels", "bits_per_dim"} & set(json.loads(done.lines[-1]))
    assert asked.read_text() == ""  # nobody even tried
    probe = "import socket; socket.create_connection(('192.0.2.1', 80))"
    refused = run_process("timeit", "-n", 1, "-r", 1, probe, env=env)
    assert refused.code != 0 and asked.read_text()  # the guard does guard


def test_a_preset_that_would_be_fetched_fails_in_one_line(reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    env = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]),
        "ASKED": str(tmp_path / "asked"),
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
    }
    argv = arguments(Path("distilbert"), reviews, tmp_path / "run")
    done = run_process(MODEL, *argv, env=env, timeout=100)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1 and "not at hand" in done.err, done.err
