"""The steps of a Dockerfile in a folder that stands for the image: there is no daemon to build it.

What the base image brings is this machine's Python; the last stage's commands of an administrator's
(a user, packages of Debian) are not run.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import ROOT
from tests.zoo.serve.operations.balanced import ask, free_ports, site_of, wait_until
from tests.zoo.serve.operations.test_containers import Stage, stages
from zoo.serve import health, keys
from zoo.serve.operations import containers

KEY = "k" * 32
INDEX = "https://pypi.org/simple"
PYTHON = Path(sys.base_prefix) / "bin" / "python3"


def inside(root: Path, text: str) -> str:
    """Text with the paths of an image as paths below a folder."""
    return re.sub(r"(?<![\w/.])/(opt/zoo|models|src|tmp)\b", rf"{root}/\1", text)


def environment(root: Path, stage: Stage) -> dict[str, str]:
    """The variables of an image, and no others but where packages come from here."""
    own = dict(word.split("=", 1) for each in stage.all("ENV") for word in shlex.split(each))
    own["PATH"] = own.get("PATH", "${PATH}").replace("${PATH}", "/usr/bin:/bin")
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return pip | {name: inside(root, value) for name, value in own.items()}


@pytest.fixture(scope="module")
def port() -> int:
    """Of the service."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def image(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path], port: int
) -> Iterator[tuple[Path, Stage]]:
    """The folder in which the first stage was run, and the last stage."""
    root = tmp_path_factory.mktemp("image")
    site = site_of("cnn_cls", folder=str(checkpoints["cnn_cls"]), deployment="eager", port=port)
    build, last = stages(containers.dockerfile(site, gpu=False))
    (root / "tmp").mkdir()
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(PYTHON)
    (root / "models").mkdir()
    (root / "models" / "cnn_cls").symlink_to(checkpoints["cnn_cls"])
    env = environment(root, build) | {"TORCH_INDEX": INDEX, "HOME": str(root / "tmp")}
    env["PATH"] = f"{root}/bin:{env['PATH']}"
    probe = [PYTHON, "-m", "pip", "download", "-q", "--no-deps", "--dest", root / "tmp", "mdurl"]
    if subprocess.run(probe, env=env, capture_output=True).returncode:
        pytest.skip("no package index can be reached")
    folder = root
    for name, rest in build.steps:
        if name == "WORKDIR":
            folder = Path(inside(root, rest))
            folder.mkdir(parents=True)
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                words = ["cp", "-r", ROOT / source, folder / target]
                subprocess.run(words, check=True)
        elif name == "RUN":
            command = inside(root, rest)
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    yield root, last


@pytest.mark.slow
@pytest.mark.timeout(3600)  # of which most is the installation of 2 GB
def test_the_image_serves(image: tuple[Path, Stage], port: int) -> None:
    root, last = image
    env = environment(root, last) | {keys.VARIABLE: f"{KEY},{KEY}2"}
    words = [*json.loads(last.one("ENTRYPOINT")), *json.loads(last.one("CMD"))]
    python = inside(root, containers.PYTHON)
    where = subprocess.run(
        [python, "-c", "import zoo, torch; print(zoo.__file__, torch.__file__)"],
        cwd=root / "tmp",
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(path.startswith(f"{root}/opt/zoo/lib") for path in where.stdout.split())
    assert not (root / "opt/zoo/bin/pip").exists()
    before = written(root)
    process = subprocess.Popen(
        [inside(root, word) for word in [*words, "--quiet"]], cwd=root / "tmp", env=env
    )
    try:
        wait_until(port, health.READY, 200, process)
        look = json.loads(last.one("HEALTHCHECK").partition(" CMD ")[2])
        subprocess.run([inside(root, word) for word in look], env=env, check=True, timeout=20)
        assert ask(port).status == 401
        assert ask(port, health.METRICS, method="GET").status == 401
        head = {"Authorization": f"Bearer {KEY}"}
        about = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/cnn_cls", headers=head)
        with urllib.request.urlopen(about, timeout=20) as answer:
            assert json.load(answer)["name"] == "cnn_cls"
        process.send_signal(getattr(signal, last.one("STOPSIGNAL")))
        assert process.wait(40) == 0
    finally:
        process.kill()
    assert subprocess.run([inside(root, word) for word in look], env=env).returncode != 0
    assert written(root) == before, "it wrote where an image is read-only"


def written(root: Path) -> set[tuple[str, int]]:
    """All files but those in /tmp, with the time of their last change."""
    every = [*(root / "opt").rglob("*"), *(root / "models" / "cnn_cls").resolve().rglob("*")]
    return {(str(path), path.stat().st_mtime_ns) for path in every if path.is_file()}
