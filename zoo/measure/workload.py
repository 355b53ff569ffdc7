"""Workload: what a call computes and on how much, as one value that is timed, recorded and
compared.

    Forward({"batch": 16, "length": 128})
    Generate({"batch": 1}, new_tokens=64)

It is one of three values that say what was measured; the others are the deployment, and the device
with its threads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tasks.errors import UserError

BATCH, LENGTH = "batch", "length"
LARGEST = 2**31
NEW_TOKENS = 32
"""That every deployment writes, so that times compare."""


class Sizes(Mapping[str, float]):
    """Sizes by the name of their axis, always including the batch; an immutable, hashable mapping.

    Other axes are those of a `zoo.runtimes.signature.Signature`. As long as no model was opened,
    `length` is that of every sample in tokens, pixels of a side, or seconds; without it, the usual
    one of the model is meant.

    Raises `UserError` for an invalid size.
    """

    def __init__(self, sizes: Mapping[str, float]) -> None:
        self._sizes = {BATCH: 1, **sizes}
        for name, size in self._sizes.items():
            if isinstance(size, bool) or not isinstance(size, int | float):
                raise UserError(f"{name} {size!r}: a number")
            if name == BATCH and not isinstance(size, int):
                raise UserError(f"{name} {size!r}: a whole number")
            if not 0 < size < LARGEST:
                raise UserError(f"{name} {size}: above 0, and below {LARGEST:,}")
            if size == int(size):  # 128.0 is 128, in every key
                self._sizes[name] = int(size)

    def __getitem__(self, name: str) -> float:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __hash__(self) -> int:
        return hash(frozenset(self._sizes.items()))

    def __repr__(self) -> str:
        return repr(self._sizes)

    def __str__(self) -> str:
        return ", ".join(f"{name} {size:.12g}" for name, size in self._sizes.items())


@dataclass(frozen=True)
class _Sized:
    """The fields that all workloads share. Raises `UserError` for invalid sizes."""

    sizes: Mapping[str, float] = field(default_factory=dict)

    phase: ClassVar[str]
    """As flags and records name it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", Sizes(self.sizes))

    @property
    def batch(self) -> int:
        """Number of samples per call."""
        return int(self.sizes[BATCH])

    @property
    def length(self) -> float | None:
        """Length of every sample in tokens, pixels of a side, or seconds; None: the usual one."""
        return self.sizes.get(LENGTH)

    @property
    def title(self) -> str:
        """Return the phase, with what else of it is not as usual."""
        return self.phase

    def record(self) -> dict[str, float]:
        """Return the sizes as evidence has them."""
        return dict(self.sizes)

    def __str__(self) -> str:
        return f"{self.sizes}, {self.title}"


@dataclass(frozen=True)
class Forward(_Sized):
    """A forward pass that returns the outputs of a batch."""

    phase = "inference"

    def __str__(self) -> str:
        return str(self.sizes)


@dataclass(frozen=True)
class TrainStep(_Sized):
    """A training step on one batch: forward, backward and optimizer."""

    phase = "training"


@dataclass(frozen=True)
class Generate(_Sized):
    """Generation of `new_tokens` tokens for each sample of a batch, ignoring end tokens, or of as
    many as the model can write if that is fewer."""

    new_tokens: int = NEW_TOKENS

    phase = "generation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.new_tokens, bool) or not isinstance(self.new_tokens, int):
            raise UserError(f"new_tokens {self.new_tokens!r}: a whole number")
        if not 1 < self.new_tokens < LARGEST:
            raise UserError(f"new_tokens {self.new_tokens}: above 1, and below {LARGEST:,}")

    @property
    def title(self) -> str:
        """Return the phase, with the number of tokens where it is not the usual one."""
        usual = self.new_tokens == NEW_TOKENS
        return self.phase if usual else f"{self.phase} of {self.new_tokens:,} tokens"

    def record(self) -> dict[str, float]:
        """Return the sizes as evidence has them, and the number of new tokens."""
        return {**self.sizes, "new_tokens": self.new_tokens}


@dataclass(frozen=True)
class Serve(_Sized):
    """Requests to a service over HTTP, of one sample each, as many a second as it answers within
    a limit."""

    p99_ms: float = 100.0
    """milliseconds within which 99 of 100 requests are answered"""
    server: str = "zoo"
    """what serves: "zoo", the name of a peer, or "url" """
    options: str = ""
    """further flags that it was started with"""

    phase = "serving"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("server", "options"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"{name} {getattr(self, name)!r}: a text")
        limit = self.p99_ms
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit < LARGEST:
            raise UserError(f"p99_ms {limit!r}: a number above 0")

    def __str__(self) -> str:
        server = " ".join(filter(None, (self.server, self.options)))
        return f"served by {server}, p99 within {self.p99_ms:g} ms"


Workload = Forward | TrainStep | Generate | Serve
PHASES: Mapping[str, type[Workload]] = {
    kind.phase: kind for kind in (Forward, TrainStep, Generate, Serve)
}


def workload_of(phase: Any, sizes: Mapping[str, float], **more: Any) -> Workload:
    """Return the workload of a phase, by its name. Raises `UserError` for an unknown phase."""
    if phase not in PHASES:
        raise UserError(f"phase {phase!r}: one of {', '.join(PHASES)}")
    return PHASES[phase](sizes, **more)
