"""Dockerfiles of a service, and how files are written in YAML."""

import importlib.metadata
import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import UserError
from zoo.runtimes.known import RUNTIMES
from zoo.serve.engine import ray_engine
from zoo.serve.health import LIVE
from zoo.serve.keys import VARIABLE as KEYS
from zoo.serve.operations.site import MODELS, USER, Site, heading, seconds

BASE = "python:3.11-slim-bookworm"
"""The image all stages start from; the version of Python is that of constraints.txt."""
INDEX = "https://download.pytorch.org/whl/{}"
"""Where a build of PyTorch comes from: that of the package index is for CUDA, of several GB."""
CUDA = "cu130"
PYTHON = "/opt/zoo/bin/python"
SOURCES = ("constraints.txt", "pyproject.toml", "README.md", "LICENSE", "tasks", "zoo")
"""What of a checkout goes into an image."""
GPU_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime-gpu")}
"""What a runtime needs on a GPU in place of its extra."""
START_S = 600
"""Seconds that models have to be loaded and warmed up until a container counts as broken."""


def dockerfile(site: Site, gpu: bool, ray: bool = False) -> str:
    """Return a Dockerfile for a service whose checkpoints are mounted.

    Args:
        gpu: for a GPU of NVIDIA, else for the processor.
        ray: with Ray, which starts it, in place of a command of its own.
    """
    name = "Dockerfile.ray" if ray else "Dockerfile.cuda" if gpu else "Dockerfile"
    tag = f"{site.name}:ray" if ray else f"{site.name}:{'cuda' if gpu else 'cpu'}"
    mounts = " ".join(
        shlex.quote(
            f"--mount=type=bind,source={m.folder.resolve()},target={MODELS}/{m.name},readonly"
        )
        for m in site.models
    )
    head = [
        f"The service of {site.titles}"
        + (" on Ray" if ray else f" on {'a GPU' if gpu else 'the processor'}")
        + ", its checkpoints mounted read-only.",
        "",
        f"build: docker build -t {tag} -f {name} {shlex.quote(str(checkout()))}",
    ]
    if not ray:
        gpus = "--gpus all " if gpu else ""
        port = f"{'' if site.is_public else '127.0.0.1:'}{site.port}:{site.port}"
        safe = "--init --read-only --tmpfs /tmp:exec --cap-drop ALL"
        head.append(f"run:   docker run {gpus}{safe} -e {KEYS} -p {port} {mounts} {tag}")
        head.append(f"       {KEYS} holds the key that clients send: export it before")
        head.append(f"       docker stop -t {seconds(site.grace_s)} NAME: it ends what it began")
    head += ["", "What constraints.txt does not name is not pinned. BASE can be, by its digest."]
    return (
        "# syntax=docker/dockerfile:1\n"
        + heading("#", head)
        + "\n".join([*_build_stage(site, gpu, ray), "", *_last_stage(site, gpu, ray)])
        + "\n"
    )


def dockerignore() -> str:
    """Return which files of a checkout a build is given; it lies beside the Dockerfile."""
    lines = ["*", *(f"!{name}" for name in SOURCES), "**/__pycache__"]
    return "\n".join(lines) + "\n"


def model_dockerfile(site: Site, base: str, dockerfile_name: str, suffix: str = "") -> str:
    """Return a Dockerfile that adds the checkpoints to the image of the service, so that a tag says
    what is served, and an earlier one brings it back.

    Args:
        base: tag of the image without checkpoints.
        dockerfile_name: of that image.
        suffix: behind the version, in the tag.
    """
    contexts = " ".join(
        f"--build-context model{i}={shlex.quote(str(m.folder.resolve()))}"
        for i, m in enumerate(site.models)
    )
    tag = f"{site.name}:{site.version}{suffix}"
    head = [
        "The service with its checkpoints; the tag is the digest of what is served.",
        "",
        f"build: docker build -t {base} -f {dockerfile_name} {shlex.quote(str(checkout()))}",
        f"       docker build -t {tag} -f Dockerfile.model {contexts} .",
        f"       docker tag {tag} REGISTRY/{tag} && docker push REGISTRY/{tag}",
    ]
    lines = [f"FROM {base} AS checkpoints", "USER 0:0"]
    for i, model in enumerate(site.models):
        there = json.dumps([".", f"{MODELS}/{model.name}"], ensure_ascii=False)
        lines.append(f"COPY --from=model{i} {there}")
    lines += [
        "# what training left is not served; what is served all may read",
        f"RUN rm -rf {MODELS}/*/state {MODELS}/*/logs && chmod -R a+rX,go-w {MODELS}",
        "",
        f"FROM {base}",
        f"COPY --from=checkpoints {MODELS} {MODELS}",
        *(f'LABEL zoo.sha256.{i}="{model.sha256}"' for i, model in enumerate(site.models)),
    ]
    return "# syntax=docker/dockerfile:1\n" + heading("#", head) + "\n".join(lines) + "\n"


def ray_version() -> str:
    """Return the version of Ray that an image gets: the one that is installed here.

    Raises `UserError` where none is.
    """
    try:
        return importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "`write_config` kuberay wants Ray, not installed here", hint="pip install -e '.[ray]'"
        ) from None


class _Dumper(yaml.SafeDumper):
    """Writes for readers: no references, and lines as lines."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return that nothing is written as a reference."""
        return True

    def lines(self, text: str) -> yaml.ScalarNode:
        """Return a text; one of several lines as a block of them."""
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.lines)


def dumped(content: Any) -> str:
    """Return YAML, in the order given."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def checkout() -> Path:
    """Return the folder of the project that this process runs from; `CHECKOUT`, to be filled in,
    where it runs from an installed package, since images are built from a checkout."""
    folder = Path(__file__).resolve().parents[3]
    return folder if (folder / "constraints.txt").is_file() else Path("CHECKOUT")


def _build_stage(site: Site, gpu: bool, ray: bool) -> list[str]:
    """Return the stage that installs: what changes seldom comes first."""
    extras = ["serve"]
    packages = [f"ray[serve]=={ray_version()}"] if ray else []
    for name in site.runtimes:
        if gpu and name in GPU_PACKAGES:
            packages += GPU_PACKAGES[name]
        elif (extra := RUNTIMES[name].extra) is not None:
            extras.append(extra)
    wanted = shlex.join([f".[{','.join(dict.fromkeys(extras))}]", *packages])
    install = f"python -m pip --python {PYTHON} install --no-cache-dir -c constraints.txt"
    return [
        f"ARG BASE={BASE}",
        "FROM ${BASE} AS build",
        f"ARG TORCH_INDEX={INDEX.format(CUDA if gpu else 'cpu')}",
        "WORKDIR /src",
        "RUN python -m venv --without-pip /opt/zoo",
        "COPY constraints.txt ./",
        f'RUN {install} --no-deps --index-url "${{TORCH_INDEX}}" torch torchaudio torchvision',
        "COPY pyproject.toml README.md LICENSE ./",
        f"RUN {install} {wanted}",
        "COPY tasks tasks",
        "COPY zoo zoo",
        f"RUN {install} --no-deps --force-reinstall .",
    ]


def _last_stage(site: Site, gpu: bool, ray: bool) -> list[str]:
    """Return the stage that runs: an environment, a user, and a command."""
    tools = [*(["g++"] if site.compiles else []), *(["wget"] if ray else [])]
    lines = ["FROM ${BASE}"]
    if site.compiles:
        lines.append("# the models are compiled when they are loaded")
    if ray:
        lines.append("# KubeRay asks a pod's health by wget, and calls ray from a login shell")
    if tools:
        lines.append(
            f"RUN apt-get update && apt-get install -y --no-install-recommends {' '.join(tools)} "
            "&& rm -rf /var/lib/apt/lists/*"
        )
    lines += [
        "RUN python -m pip uninstall -y pip setuptools wheel"
        f" && useradd --uid {USER} --user-group --no-create-home --home-dir /tmp zoo",
        "COPY --from=build /opt/zoo /opt/zoo",
    ]
    if ray:
        lines.append("RUN ln -s /opt/zoo/bin/ray /usr/local/bin/ray")
    variables = {
        "PATH": "/opt/zoo/bin:${PATH}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": "/tmp/huggingface",
        "ZOO_CACHE": "/tmp/zoo",
        "XDG_STATE_HOME": "/tmp/state",
    }
    if ray:
        variables |= ray_engine.NEVER_SENT
    if gpu:
        variables |= {
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        }
    lines.append("ENV " + " \\\n    ".join(f"{name}={value}" for name, value in variables.items()))
    lines += ["WORKDIR /tmp", f"USER {USER}:{USER}"]
    if ray:
        return lines
    # by no proxy: Docker passes on that of its own settings, which knows no address of a container
    look = (
        "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open("
        f"'http://127.0.0.1:{site.port}{LIVE}', timeout=3)"
    )
    return [
        *lines,
        f"EXPOSE {site.port}",
        "STOPSIGNAL SIGTERM",
        f"HEALTHCHECK --interval=10s --timeout=5s --start-period={START_S}s --retries=3 "
        f"CMD {json.dumps([PYTHON, '-c', look])}",
        f"ENTRYPOINT {json.dumps([PYTHON, '-m', 'zoo', 'serve'])}",
        f"CMD {json.dumps(site.words(gpu), ensure_ascii=False)}",
    ]
