"""The command: what it reads once, and what it takes of the machine."""

import os
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tests.cli import run_cli
from tests.zoo.serve.protocols import described
from zoo.machine import environment
from zoo.serve.args import ServeArgs
from zoo.serve.engine import command, prepare, server


def test_keys_may_come_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of `--keys <(pass show zoo)`: a second look at it finds nothing."""
    found: list[Any] = []

    def run(service: Any, config: Any, listener: Any) -> int:
        found.append(config)
        return 0

    monkeypatch.setattr(prepare, "with_choices", lambda args: [(described.texts(), None)])
    monkeypatch.setattr(server, "run", run)
    reading, writing = os.pipe()
    os.write(writing, b"a-key-that-is-long-enough\n")
    os.close(writing)
    try:
        args = ServeArgs(("nowhere",), keys=Path(f"/dev/fd/{reading}"), port=0, host="127.0.0.1")
        assert command.serve(args) == 0
    finally:
        os.close(reading)
    assert len(found) == 1


@pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (1.5, 1, 1), (2, 4, 1)])
def test_workers_share_the_cores_that_are_granted(
    cores: float, workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a container, and not those of its host."""
    monkeypatch.setattr(environment, "machine", lambda gpu: {"cores": cores})
    assert prepare.threads_of(ServeArgs(("m",)), workers) == threads
    assert prepare.threads_of(ServeArgs(("m",), threads=3), workers) == 3


@pytest.mark.parametrize("setting", ["admin_keys", "ssl_certfile", "ssl_keyfile"])
def test_what_ray_would_not_hold_is_refused(setting: str) -> None:
    args: Any = {"models": ("m",), "engine": "ray", setting: Path("nowhere")}
    with pytest.raises(UserError, match="for the engine uvicorn"):
        command.serve(ServeArgs(**args))


@pytest.mark.parametrize(
    "words", [("~nobody-here/m",), ("~nobody-here/m=name",), ("m", "--model_root", "~nobody-here")]
)
def test_a_home_that_is_not_there_is_one_line(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[0] == "m":
        monkeypatch.setattr(prepare, "with_choices", lambda args: [(described.texts(), None)])
    done = run_cli("zoo", "serve", *words)
    assert done.code == 2 and "~nobody-here" in done.err and len(done.err.splitlines()) == 1
