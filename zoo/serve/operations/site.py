"""What is run elsewhere: the models, how they are served, and what all files say alike of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UserError
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES

LIVE, READY, METRICS = "/v2/health/live", "/v2/health/ready", "/metrics"
"""Paths of the service that are asked by what runs it; none of them needs a key."""
KEYS = "ZOO_SERVE_KEYS"
"""The variable that holds the keys of those who may ask."""
MODELS = "/models"
"""Where checkpoints lie in a container, each under its name."""
USER = 10001
"""Number of the user and group in a container; Kubernetes knows by the number that it is no root."""
COMPILERS = ("compile", "torchao")
"""Runtimes that compile a model when it is loaded."""
CODE = tuple(name for name, runtime in RUNTIMES.items() if runtime.is_code)
"""Runtimes whose programs are trusted on the machine alone that exported them."""
SLACK_S = 10.0
"""Seconds that a process has to end after it has drained."""


@dataclass(frozen=True)
class ServedModel:
    """A checkpoint that is served.

    Args:
        name: in URLs.
        folder: of the checkpoint, on this machine.
        deployment: what runs it: "onnx+int8-dynamic".
        sha256: digest of what is served, in hexadecimal.
    """

    name: str
    folder: Path
    deployment: str
    sha256: str

    @property
    def weight_bytes(self) -> int:
        """Size of the program or the weights that are loaded, in bytes."""
        own = self.folder / "artifacts" / Deployment.parse(self.deployment).folder
        folder = own if own.is_dir() else self.folder
        return sum(each.stat().st_size for each in folder.iterdir() if each.is_file())


@dataclass(frozen=True)
class Site:
    """Models and the settings they are served under.

    Args:
        models: at least one.
        host: the address that is listened on by a service without a container.
        port: of the service.
        workers: processes a model.
        threads: of a worker; None: as many as the service takes by itself.
        device: "auto", "cpu", "cuda".
        max_body_bytes: of a request.
        timeout_s: a request's deadline, in seconds.
        drain_s: how long accepted requests may take once the service is told to end, in seconds.
        flags: words of the command line that say all else.
    """

    models: tuple[ServedModel, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    threads: int | None = None
    device: str = "auto"
    max_body_bytes: int = 10 * 1024 * 1024
    timeout_s: float = 30.0
    drain_s: float = 30.0
    flags: tuple[str, ...] = ()

    @property
    def on_gpu(self) -> bool:
        """Whether the models are to run on a GPU of NVIDIA."""
        return self.device.startswith("cuda")

    @property
    def is_public(self) -> bool:
        """Whether others than this machine are to reach the service."""
        return self.host not in ("127.0.0.1", "::1", "localhost")

    @property
    def name(self) -> str:
        """A name for containers and Kubernetes: small letters, digits and hyphens, at most 40."""
        words = re.sub(r"[^a-z0-9]+", "-", "-".join(m.name.lower() for m in self.models))
        words = words.strip("-")[:36].strip("-")
        return f"zoo-{words or self.models[0].sha256[:12]}"

    @property
    def version(self) -> str:
        """A tag that changes with what is served: twelve digits of one digest, or of several."""
        if len(self.models) == 1:
            return self.models[0].sha256[:12]
        import hashlib

        every = "".join(f"{m.name}={m.sha256}\n" for m in self.models)
        return hashlib.sha256(every.encode()).hexdigest()[:12]

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes of all models, each once."""
        return tuple(dict.fromkeys(Deployment.parse(m.deployment).runtime for m in self.models))

    @property
    def compiles(self) -> bool:
        """Whether loading a model takes a compiler."""
        return any(name in COMPILERS for name in self.runtimes)

    @property
    def grace_s(self) -> float:
        """Seconds from the signal to end until a process is killed."""
        return self.drain_s + SLACK_S

    def words(self, gpu: bool = False, threads: int | None = None) -> list[str]:
        """Return the arguments of `zoo serve` in a container.

        Args:
            gpu: whether the container has a GPU, which is then used.
            threads: of a worker, where the settings leave it open.
        """
        words = [f"{MODELS}/{model.name}={model.name}" for model in self.models]
        words += ["--host", "0.0.0.0", "--port", str(self.port), "--workers", str(self.workers)]
        words += ["--device", (self.device if self.on_gpu else "cuda") if gpu else "cpu"]
        if len(deployments := {model.deployment for model in self.models}) == 1:
            words += ["--deployment", *deployments]
        if (chosen := self.threads or threads) is not None:
            words += ["--threads", str(chosen)]
        return [*words, *self.flags]

    def runs_on(self, device: str) -> bool:
        """Return whether all models have a runtime for "cpu" or "cuda"."""
        return all(device in RUNTIMES[name].devices for name in self.runtimes)

    def must_run_elsewhere(self) -> None:
        """Raise `UserError` for a model whose program no other machine may load."""
        for model in self.models:
            if Deployment.parse(model.deployment).runtime in CODE:
                raise UserError(
                    f"`deployment` {model.deployment} of {model.name} is code, which is loaded on "
                    "the machine alone that exported it, and a container is another",
                    hint="serve it as eager, compile, onnx or openvino",
                )


def seconds(value: float) -> int:
    """Return a time in whole seconds, rounded up, at least one."""
    return max(1, -int(-value // 1))


def heading(mark: str, lines: Sequence[str]) -> str:
    """Return lines as comments, with the end of a line behind each."""
    return "".join(f"{mark} {line}".rstrip().replace("\n", " ") + "\n" for line in lines)
