"""A deployment: what runs a model, and how it computes. Written `runtime[:mode][+numerics]`.

    eager   eager+bf16   compile:max-autotune+bf16   onnx   onnx+int8-dynamic

The two parts behind the runtime may come in either order; `str` gives the order above. Device,
threads, batch and length are no part of it.
"""

import difflib
from dataclasses import dataclass
from typing import Self

from tasks.errors import UserError
from zoo.runtimes.known import RUNTIMES


@dataclass(frozen=True)
class Deployment:
    """A way to run a model: runtime, numerics and mode."""

    runtime: str
    numerics: str = "fp32"
    mode: str = "default"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The deployment a text names.

        Raises `UserError` for what is not known, with the nearest that is.
        """
        runtime, parts = _cut(text)
        _must_be_known(text, "runtime", runtime, tuple(RUNTIMES))
        known = RUNTIMES[runtime]
        found: dict[str, str] = {}
        for mark, value in parts:
            modes = known.modes + known.training_modes
            name, choices = ("numerics", known.numerics) if mark == "+" else ("mode", modes)
            if name in found:
                raise UserError(f"deployment {text!r}: more than one {name}")
            _must_be_known(text, f"{name} of {runtime}", value, choices)
            found[name] = value
        return cls(runtime, **found)

    def __str__(self) -> str:
        mode = "" if self.mode == "default" else f":{self.mode}"
        numerics = "" if self.numerics == "fp32" else f"+{self.numerics}"
        return f"{self.runtime}{mode}{numerics}"

    @property
    def only_trains(self) -> bool:
        """Whether it is a way to run a training step, and nothing else."""
        return self.mode in RUNTIMES[self.runtime].training_modes

    @property
    def folder(self) -> str:
        """Name of its folder in `artifacts/`: the same, but for what file systems forbid."""
        return str(self).replace(":", "=")


def _cut(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The runtime, and each further part with the mark before it."""
    runtime, parts, mark = "", [], ""
    rest = text
    while True:
        places = [i for i in (rest.find(":"), rest.find("+")) if i >= 0]
        end = min(places, default=len(rest))
        if mark:
            parts.append((mark, rest[:end]))
        else:
            runtime = rest[:end]
        if not places:
            return runtime, parts
        mark, rest = rest[end], rest[end + 1 :]


def _must_be_known(text: str, what: str, value: str, choices: tuple[str, ...]) -> None:
    if value in choices:
        return
    near = difflib.get_close_matches(value, choices, n=1)
    hint = f"did you mean {near[0]}? There are" if near else "there are"
    raise UserError(f"deployment {text!r}: no {what} {value!r}; {hint} {', '.join(choices)}")
