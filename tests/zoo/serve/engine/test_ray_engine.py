"""The same application on Ray Serve: what it is told, and two real replicas."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from tasks.errors import UserError
from tests.cli import environment
from zoo.serve.args import ServeArgs
from zoo.serve.description import describe
from zoo.serve.engine import ray_engine


def test_a_command_is_read_as_it_was_written() -> None:
    args = ServeArgs(
        ("runs/a=b", "c"), keys=Path("keys file"), port=1, cors=("https://a.b",), max_replicas=3
    )
    assert ray_engine.read(ray_engine.written(args)) == args
    assert ray_engine.read(yaml.safe_load(yaml.safe_dump(ray_engine.written(args)))) == args
    assert set(ray_engine.written(args)) == {"models", "keys", "port", "cors", "max_replicas"}
    with pytest.raises(UserError, match="no setting 'modles'"):
        ray_engine.read({"modles": ["a"]})


def test_a_config_names_each_model(checkpoints: dict[str, Path]) -> None:
    models = [describe(checkpoints[name], name, "onnx") for name in ("bert_cls", "cnn_cls")]
    args = ServeArgs(("ignored",), deployment="onnx", replicas=2, max_replicas=4, threads=1)
    written = yaml.safe_load(ray_engine.config(args, models))
    applications = {one["name"]: one for one in written["applications"]}
    assert [one["route_prefix"] for one in applications.values()] == ["/bert_cls", "/cnn_cls"]
    for name, one in applications.items():
        assert one["import_path"] == "zoo.serve.engine.ray_engine:build"
        own = ray_engine.read(one["args"])
        assert own.models == (f"{checkpoints[name].resolve()}={name}",)
        assert own.deployment == "onnx" and own.threads == 1
        scaling = one["deployments"][0]["autoscaling_config"]
        assert (scaling["min_replicas"], scaling["max_replicas"]) == (2, 4)


@pytest.mark.slow
def test_one_of_two_replicas_is_killed(checkpoints: dict[str, Path]) -> None:
    """Requests that it had are answered 500 by Ray's proxy; all others are answered."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "zoo", "serve", str(checkpoints["bert_cls"]), "--port", "8765"]
    command += ["--engine", "ray", "--replicas", "2", "--threads", "1", "--deployment", "onnx"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        assert any(line.startswith("ready: http") for line in process.stdout)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        found = Counter[int]()
        for number in range(300):
            if number == 100:
                _replicas(process)[0].kill()
            answer = requests.post(
                "http://127.0.0.1:8765/predict", json={"text": f"film {number}"}, timeout=60
            )
            found[answer.status_code] += 1
        assert found[200] >= 295 and set(found) <= {200, 500}
        deadline = time.monotonic() + 60
        while len(_replicas(process)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def _replicas(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    below = psutil.Process(process.pid).children(recursive=True)
    return [one for one in below if any("ServeReplica" in word for word in one.cmdline())]
