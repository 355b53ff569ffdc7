"""Arms of a comparison: what is measured, as plain data, and how it failed."""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Failure = Literal["oom", "error", "unavailable"]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Arm:
    """One of the programs that are compared. Raises ValueError where it cannot be started.

    `target` names a function, "module:function". It is called with `kwargs` in a fresh process and
    returns what is timed: a function without arguments, or an object with `call()`. That may have

    - `synchronize()`, which waits until the device is done and belongs to the time of a sample;
    - `violations()`, which returns a list of texts: what happened since its last call that must not
      happen in a timed region (a recompile, a graph break).
    """

    name: str
    target: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """what JSON can say"""
    threads: int | None = None
    """of OpenMP, MKL and OpenBLAS; None leaves it to the environment"""
    environ: Mapping[str, str] = field(default_factory=dict)
    """more variables for the process; they win over those that are set here"""

    def __post_init__(self) -> None:
        module, colon, function = self.target.partition(":")
        if not (module and colon and function):
            raise ValueError(f"the target of {self.name} is {self.target!r}, not module:function")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"{self.name} needs at least one thread, not {self.threads}")
        try:
            json.dumps(dict(self.kwargs), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the kwargs of {self.name} are nothing for JSON: {error}") from error

    def environment(self) -> dict[str, str]:
        """Return the environment variables of the arm's process: ours, threads, import path.

        OMP_WAIT_POLICY stays as the user has it: with PASSIVE, threads sleep between operators, and
        eager PyTorch took 1.5 times as long here (BERT of 6 layers, 26 tokens, two cores).
        """
        threads = {} if self.threads is None else dict.fromkeys(THREADS, str(self.threads))
        path = {"PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
        return {**os.environ, **threads, **path, **self.environ}


@dataclass(frozen=True)
class ArmFailed:
    """Why an arm has no times; a result, not an exception."""

    arm: str
    status: Failure
    """oom: out of memory; unavailable: it cannot run here; error: all else"""
    reason: str
    """one line"""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready data."""
        return dataclasses.asdict(self)
