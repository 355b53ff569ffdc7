"""What a program takes and gives: names, types, and which dimensions may vary, and how far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, get_args

from tasks.base import OutputKind
from tasks.errors import UserError

Size = int | str
"""A size that is fixed, or the name of one that varies ("batch", "length")."""


@dataclass(frozen=True)
class TensorSpec:
    """The name, type and dimensions of an input or output."""

    name: str
    dtype: str  # as numpy calls it: "int64", "float32"
    dims: tuple[Size, ...]


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a program."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    limits: Mapping[str, tuple[int, int | None]]  # least and most of each size that varies
    kinds: Mapping[str, OutputKind] = field(default_factory=dict)
    """What each output is, by name; empty where nothing was recorded."""

    def kind(self, output: str) -> OutputKind | None:
        """Return what an output is, or None where nobody has said. Where nothing at all is
        recorded, "logits" are logits: programs had no other kind of that name then."""
        if not self.kinds and output == "logits":
            return "logits"
        return self.kinds.get(output)

    def check(self, arrays: Mapping[str, Any]) -> dict[str, int]:
        """The sizes of arrays that the program takes.

        Args:
            arrays: by name; anything with `shape` and `dtype`.

        Raises `UserError` for a name that is missing or not known, another type or rank, sizes that
        differ between inputs, or one outside its limits.
        """
        wanted = {port.name for port in self.inputs}
        if strange := sorted(set(arrays) - wanted):
            raise UserError(f"no input {strange[0]!r}; there are {', '.join(sorted(wanted))}")
        sizes: dict[str, int] = {}
        for port in self.inputs:
            if port.name not in arrays:
                raise UserError(f"input {port.name!r} is missing")
            array = arrays[port.name]
            dtype, shape = str(array.dtype).removeprefix("torch."), tuple(array.shape)
            if dtype != port.dtype:
                raise UserError(f"input {port.name!r} is {dtype}, and wants {port.dtype}")
            if len(shape) != len(port.dims):
                raise UserError(f"input {port.name!r} is {_say(shape)}, wants {_say(port.dims)}")
            for wants, has in zip(port.dims, shape, strict=True):
                expected = sizes.setdefault(wants, has) if isinstance(wants, str) else wants
                if has != expected:
                    raise UserError(
                        f"input {port.name!r} is {_say(shape)}, and wants {_say(port.dims)} with "
                        f"{wants} {expected}"
                    )
        for name, size in sizes.items():
            self._check_limit(name, size)
        return sizes

    def _check_limit(self, name: str, size: int) -> None:
        least, most = self.limits.get(name, (1, None))
        if size < least or (most is not None and size > most):
            to = "" if most is None else f" to {most}"
            raise UserError(f"{name} {size}: this program takes {least}{to}")

    def to_json(self) -> dict[str, Any]:
        """Return the signature as the mapping that `from_json` reads."""
        content: dict[str, Any] = {
            "inputs": [
                {"name": p.name, "dtype": p.dtype, "dims": list(p.dims)} for p in self.inputs
            ],
            "outputs": list(self.outputs),
            "limits": {name: list(between) for name, between in self.limits.items()},
        }
        if self.kinds:  # a signature from before stays as it was: digests are taken of it
            content["kinds"] = dict(self.kinds)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError for what `to_json` did not write."""
        kinds = dict(content.get("kinds", {}))
        if strange := [name for name, kind in kinds.items() if kind not in get_args(OutputKind)]:
            raise ValueError(f"output {strange[0]!r} is of a kind that is not known here")
        return cls(
            tuple(
                TensorSpec(str(p["name"]), str(p["dtype"]), tuple(p["dims"]))
                for p in content["inputs"]
            ),
            tuple(map(str, content["outputs"])),
            {str(name): (int(low), high) for name, (low, high) in content["limits"].items()},
            kinds,
        )


def _say(dims: tuple[Size, ...]) -> str:
    return f"[{', '.join(map(str, dims))}]"
