"""What is run elsewhere: the models, how they are served, and what all files say alike of it."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UserError
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.serve import keys
from zoo.serve.args import ServeArgs
from zoo.serve.description import VERSION_DIGITS, Description

METRICS_KEY = "ZOO_METRICS_KEY"
"""The variable that holds the key with which Prometheus asks."""
MODELS = "/models"
"""Where checkpoints lie in a container, each under its name."""
USER = 10001
"""Number of the user and group in a container; by a number Kubernetes sees that it is no root."""
COMPILERS = ("compile", "torchao")
"""Runtimes that compile a model when it is loaded."""
CODE = tuple(name for name, runtime in RUNTIMES.items() if runtime.is_code)
"""Runtimes whose programs are trusted on the machine alone that exported them."""
SLACK_S = 10.0
"""Seconds that a process has to end after it has drained."""


OTHERWISE_SAID = {
    *("models", "deployment", "host", "port", "workers", "threads", "device", "keys"),
    *("ssl_certfile", "ssl_keyfile", "write_config", "instances"),
    *("engine", "replicas", "max_replicas"),
}
"""Settings that are no flags of a container as they stand."""


@dataclass(frozen=True)
class Site:
    """Models, and the settings they are served under.

    Args:
        models: at least one.
        args: the settings of the service.
    """

    models: tuple[Description, ...]
    args: ServeArgs

    def __post_init__(self) -> None:
        """Raise `UserError` for what can't be run elsewhere as it stands."""
        if self.args.port == 0:
            raise UserError("`port` 0 is known to nobody beforehand: name one")
        for name in ("ssl_certfile", "ssl_keyfile"):
            if getattr(self.args, name) is not None:
                raise UserError(
                    f"`{name}` is a file of this machine: leave it out, and end TLS before the "
                    "service, at the balancer or the ingress"
                )

    @property
    def port(self) -> int:
        """The port of the service."""
        return self.args.port

    @property
    def max_body(self) -> int:
        """The most bytes of a request."""
        return int(self.args.max_body_mb * 2**20)

    @property
    def titles(self) -> str:
        """The names of the models, in a row."""
        return ", ".join(model.name for model in self.models)

    @property
    def labels(self) -> dict[str, str]:
        """What objects of Kubernetes are found by."""
        return {"app.kubernetes.io/name": "zoo", "app.kubernetes.io/instance": self.name}

    @property
    def on_gpu(self) -> bool:
        """Whether the models are to run on a GPU of NVIDIA."""
        return self.args.device.startswith("cuda")

    @property
    def is_public(self) -> bool:
        """Whether others than this machine are to reach the service."""
        return not keys.is_own(self.args.host)

    @property
    def name(self) -> str:
        """A name for containers and Kubernetes: small letters, digits and hyphens, at most 40."""
        words = re.sub(r"[^a-z0-9]+", "-", "-".join(m.name.lower() for m in self.models))
        return f"zoo-{words[:36].strip('-')}"

    @property
    def version(self) -> str:
        """A tag that changes with what is served: the version of the model, or one of several."""
        if len(self.models) == 1:
            return self.models[0].version
        import hashlib

        every = "".join(f"{m.name}={m.sha256}\n" for m in self.models)
        return hashlib.sha256(every.encode()).hexdigest()[:VERSION_DIGITS]

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
        return self.args.drain_s + SLACK_S

    def words(self, gpu: bool = False, threads: int | None = None) -> list[str]:
        """Return the arguments of `zoo serve` in a container.

        Args:
            gpu: whether the container has a GPU, which is then used.
            threads: of a worker, where the settings leave it open.
        """
        words = [f"{MODELS}/{model.name}={model.name}" for model in self.models]
        words += ["--host", "0.0.0.0", "--port", str(self.port)]
        words += ["--workers", str(self.args.processes)]
        words += ["--device", (self.args.device if self.on_gpu else "cuda") if gpu else "cpu"]
        if len(deployments := {model.deployment for model in self.models}) == 1:
            words += ["--deployment", *deployments]
        if (chosen := self.args.threads or threads) is not None:
            words += ["--threads", str(chosen)]
        return [*words, *_other_flags(self.args)]

    def runs_on(self, device: str) -> bool:
        """Return whether all models have a runtime for "cpu" or "cuda"."""
        return all(device in RUNTIMES[name].devices for name in self.runtimes)

    def must_run_elsewhere(self) -> None:
        """Raise `UserError` for a model whose program no other machine may load, and for a setting
        that names a file of this machine; keys come by the environment instead."""
        for field in dataclasses.fields(self.args):
            if field.name != "keys" and isinstance(getattr(self.args, field.name), Path):
                raise UserError(
                    f"`{field.name}` is a place of this machine, which a container has not: "
                    "leave it out"
                )
        for model in self.models:
            if Deployment.parse(model.deployment).runtime in CODE:
                raise UserError(
                    f"`deployment` {model.deployment} of {model.name} is code, which is loaded on "
                    "the machine alone that exported it, and a container is another",
                    hint="serve it as eager, compile, onnx or openvino",
                )


def weight_bytes(model: Description) -> int:
    """Return the size of the program or the weights that are loaded, in bytes."""
    own = model.folder / "artifacts" / Deployment.parse(model.deployment).folder
    folder = own if own.is_dir() else model.folder
    return sum(each.stat().st_size for each in folder.iterdir() if each.is_file())


def _other_flags(args: ServeArgs) -> list[str]:
    """Return the settings that differ from their defaults as words of the command line."""
    words: list[str] = []
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if field.name in OTHERWISE_SAID or value == field.default:
            continue
        words.append(f"--{field.name}")
        if isinstance(value, tuple):
            words += map(str, value)
        elif value is not True:
            words.append(str(value))
    return words


def seconds(value: float) -> int:
    """Return a time in whole seconds, rounded up, at least one."""
    return max(1, -int(-value // 1))


def heading(mark: str, lines: Sequence[str]) -> str:
    """Return lines as comments, with the end of a line behind each."""
    return "".join(f"{mark} {line}".rstrip().replace("\n", " ") + "\n" for line in lines)
