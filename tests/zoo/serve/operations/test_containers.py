"""Dockerfiles and compose.yaml: read as text, held against the checkout and the command line."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tasks.errors import UserError
from tests.cli import ROOT
from tests.zoo.serve.operations.balanced import instances, program_of, site_of
from zoo.__main__ import PROGRAM
from zoo.serve import health, keys
from zoo.serve.args import ServeArgs
from zoo.serve.engine import app
from zoo.serve.operations import compose, containers, write
from zoo.serve.operations.site import METRICS_KEY


@dataclass(frozen=True)
class Stage:
    """What stands behind a FROM: (instruction, rest) each."""

    base: str
    steps: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        """The rest of each such instruction."""
        return [rest for name, rest in self.steps if name == instruction]

    def one(self, instruction: str) -> str:
        """The rest of the only such instruction."""
        (rest,) = self.all(instruction)
        return rest


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    steps = [tuple(line.split(maxsplit=1)) for line in lines if not line.startswith("#")]
    starts = [i for i, (name, _) in enumerate(steps) if name == "FROM"]
    ends = [*starts[1:], len(steps)]
    return [
        Stage(steps[start][1], tuple(steps[start + 1 : end]))
        for start, end in zip(starts, ends, strict=True)
    ]


@pytest.mark.parametrize("gpu", [False, True], ids=["cpu", "cuda"])
def test_an_image_is_built_of_what_is_there(gpu: bool) -> None:
    site = site_of(deployment="onnx+int8-dynamic")
    build, last = stages(containers.dockerfile(site, gpu))
    kept = [line[1:] for line in containers.dockerignore().splitlines() if line[0] == "!"]
    for copied in build.all("COPY"):
        for source in copied.split()[:-1]:
            assert (ROOT / source).exists() and source in kept
    installs = [step for step in build.all("RUN") if "pip" in step and " install " in step]
    assert len(installs) == 3 and all("-c constraints.txt" in step for step in installs)
    assert ("cu1" if gpu else "/cpu") in build.one("ARG")
    assert ("onnxruntime-gpu" in installs[1]) == gpu and (".[serve,onnx]" in installs[1]) != gpu
    assert last.all("COPY") == ["--from=build /opt/zoo /opt/zoo"]
    for step in last.all("RUN"):
        assert "apt-get" not in step and "pip install" not in step
    assert "uninstall -y pip" in " ".join(last.all("RUN"))
    user = last.one("USER")
    assert user.partition(":")[0].isdigit() and user != "0:0"
    assert last.steps[-1][0] == "CMD", "the command is the last word"
    assert "HF_HUB_OFFLINE=1" in last.one("ENV").split()


def test_its_base_has_the_python_of_the_constraints() -> None:
    (line,) = (x for x in (ROOT / "constraints.txt").read_text().splitlines() if "Python 3" in x)
    assert f"Python {containers.BASE.partition(':')[2][:4]}" in line


def test_its_command_is_one_that_the_program_takes() -> None:
    """And says the very settings that were asked for."""
    more = {"max_queue": 7, "timeout_s": 2.5, "cors": ("https://a.org", "https://b.org")}
    more |= {"quiet": True, "ready_below": 0, "workers": 3, "port": 9001, "drain_s": 0.0}
    site = site_of("bert_cls", "b.2", deployment="eager+bf16", keys=Path("keys.txt"), **more)
    for gpu in (False, True):
        last = stages(containers.dockerfile(site, gpu))[-1]
        python, *module = json.loads(last.one("ENTRYPOINT"))
        assert python == containers.PYTHON and module == ["-m", "zoo", "serve"]
        asked = PROGRAM.parse("serve", ServeArgs, json.loads(last.one("CMD")))
        assert asked.models == ("/models/bert_cls=bert_cls", "/models/b.2=b.2")
        assert asked.host == "0.0.0.0" and asked.device == ("cuda" if gpu else "cpu")
        assert asked.deployment == "eager+bf16" and asked.keys is None
        assert {name: getattr(asked, name) for name in more} == more


def test_its_health_is_asked_where_the_service_tells_it() -> None:
    last = stages(containers.dockerfile(site_of(port=9001), gpu=False))[-1]
    assert health.LIVE in app.OPEN_PATHS
    assert f"http://127.0.0.1:9001{health.LIVE}'" in last.one("HEALTHCHECK")
    assert last.one("EXPOSE") == "9001" and last.one("STOPSIGNAL") == "SIGTERM"


def test_its_health_is_asked_by_no_proxy() -> None:
    """Docker gives a container the one that the machine has."""
    with instances(1) as (one,):
        last = stages(containers.dockerfile(site_of(port=one.port), gpu=False))[-1]
        _, *look = json.loads(last.one("HEALTHCHECK").partition(" CMD ")[2])
        env = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
        env["http_proxy"] = "http://127.0.0.1:9"
        assert subprocess.run([sys.executable, *look], env=env).returncode == 0


def test_what_compiles_brings_a_compiler() -> None:
    text = containers.dockerfile(site_of(deployment="compile:max-autotune"), gpu=True)
    assert "g++" in " ".join(stages(text)[-1].all("RUN"))


def test_code_of_this_machine_goes_nowhere() -> None:
    for deployment in ("aoti", "pt2", "torchscript"):
        with pytest.raises(UserError, match="the machine alone that exported it"):
            write.contents("docker", Path("there"), site_of(deployment=deployment))
    assert write.contents("haproxy", Path("there"), site_of(deployment="aoti"))


def test_a_device_without_a_runtime_gets_no_image() -> None:
    assert "Dockerfile.cuda" not in write.contents("docker", Path(), site_of(deployment="openvino"))
    assert "Dockerfile" not in write.contents(
        "docker", Path(), site_of(deployment="tensorrt", device="cuda")
    )


def test_compose_runs_the_image_with_its_checkpoints(tmp_path: Path) -> None:
    odd = tmp_path / "my $runs, 模型: 1"
    site = site_of("bert_cls", folder=str(odd), drain_s=12.5, host="0.0.0.0")
    content = yaml.safe_load(compose.compose(site, tmp_path))
    serve = content["services"]["serve"]
    (mount,) = serve["volumes"]
    assert mount["source"] == str(odd).replace("$", "$$") and mount["read_only"] is True
    assert mount["target"] == "/models/bert_cls"
    assert serve["ports"] == ["8080:8080"] and serve["read_only"] is True
    assert serve["stop_grace_period"] == "23s", "longer than it drains"
    assert Path(serve["build"]["context"]) == ROOT
    assert serve["build"]["dockerfile"] == str(tmp_path / "Dockerfile")
    (name,) = serve["environment"]
    assert name == keys.VARIABLE and METRICS_KEY in serve["environment"][name]
    assert content["secrets"]["metrics_key"] == {"environment": METRICS_KEY}
    local = yaml.safe_load(compose.compose(site_of(), tmp_path))
    assert local["services"]["serve"]["ports"] == ["127.0.0.1:8080:8080"]
    taken = yaml.safe_load(compose.compose(site_of(port=9090), tmp_path))["services"]
    assert taken["prometheus"]["ports"] == ["127.0.0.1:9091:9090"], "both at one port of the host"
    gpu = yaml.safe_load(compose.compose(site_of(device="cuda"), tmp_path))["services"]["serve"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert gpu["build"]["dockerfile"].endswith("Dockerfile.cuda")


def test_compose_mounts_what_is_written(tmp_path: Path) -> None:
    files = write.contents("compose", tmp_path, site_of())
    services = yaml.safe_load(files["compose.yaml"])["services"]
    for name in ("prometheus", "grafana"):
        for mount in services[name]["volumes"]:
            if mount["type"] == "bind":
                folder = mount["source"].removeprefix("./")
                assert any(path.startswith(f"{folder}/") for path in files), folder
    for service in services.values():
        assert service["image"].partition(":")[2] not in ("", "latest")


def test_an_image_of_checkpoints_leaves_out_what_training_left() -> None:
    odd = site_of("bert_cls", "b.2", folder="/tmp/my runs/模型")
    text = containers.model_dockerfile(odd, "zoo:cpu", "Dockerfile")
    checkpoints, last = stages(text)
    assert [json.loads(x.split(maxsplit=1)[1]) for x in checkpoints.all("COPY")] == [
        [".", "/models/bert_cls"],
        [".", "/models/b.2"],
    ]
    assert "/models/*/state" in checkpoints.one("RUN")
    assert not last.all("USER") and last.base == "zoo:cpu", "the user is that of the image"
    built = next(line for line in text.splitlines() if "--build-context" in line)
    assert "model1=/tmp/my runs/模型" in shlex.split(built.removeprefix("#"))
    assert odd.version != site_of("bert_cls").version == "ab" * 6


def test_hadolint_finds_no_fault(tmp_path: Path) -> None:
    program = program_of("hadolint")
    if program is None:
        pytest.skip("no hadolint here")
    site = site_of(folder=str(tmp_path), deployment="compile")
    for kind in ("docker", "kubernetes"):
        for name, text in write.contents(kind, tmp_path, site).items():
            if name.startswith("Dockerfile") and not name.endswith("ignore"):
                (tmp_path / name).write_text(text)
                # a stage of root's that is copied from; contexts by name; no fixed Debian packages
                flags = [f"--ignore={rule}" for rule in ("DL3002", "DL3022", "DL3008")]
                done = subprocess.run(
                    [program, *flags, tmp_path / name], capture_output=True, text=True
                )
                assert done.returncode == 0, f"{name}: {done.stdout}"
