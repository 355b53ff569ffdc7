"""Tensors as the Open Inference Protocol writes them: in JSON, or as bytes behind it.

The binary form is the extension `binary_tensor_data`: the body is JSON of so many bytes as the
header `Inference-Header-Content-Length` says, and then the tensors whose `binary_data_size` it
names, one after the other. An element of a BYTES tensor is there its length (4 bytes, little
endian) and its content; numbers are little endian, row by row.
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.errors import UserError
from zoo.serve.errors import BadRequest
from zoo.serve.protocols import bodies
from zoo.serve.protocols.bodies import check_names, list_of

LENGTH = struct.Struct("<I")
BYTES, FP32 = "BYTES", "FP32"
HEADER = "inference-header-content-length"
KNOWN = ("name", "shape", "datatype", "data", "parameters")


@dataclass(frozen=True)
class TextTensor:
    """A row of texts or files that came under a name."""

    name: str
    values: Sequence[str | bytes]
    """bytes where they came in the binary form, else text"""


@dataclass(frozen=True)
class Tensor:
    """A tensor of an answer: texts (BYTES) or numbers (FP32)."""

    name: str
    shape: tuple[int, ...]
    values: Sequence[Any]
    """str or float, row by row"""
    datatype: str = BYTES

    def described(self) -> dict[str, Any]:
        """Return its name, type and shape as JSON."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def binary(self) -> bytes:
        """Return its content in the binary form."""
        if self.datatype == FP32:
            return np.asarray(self.values, "<f4").tobytes()
        contents = [value.encode("utf-8") for value in self.values]
        return b"".join(LENGTH.pack(len(content)) + content for content in contents)


def split(content: bytes, header_length: str | None) -> tuple[dict[str, Any], memoryview]:
    """Return the JSON object of a request and the bytes behind it.

    Args:
        header_length: the value of the header `HEADER`; None: all of it is JSON.

    Raises `BadRequest` where it is no such request.
    """
    size = len(content)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()):
            raise BadRequest(f"the header {HEADER} is no number of bytes")
        size = int(header_length[:20])
        if size > len(content):
            raise BadRequest(
                f"{HEADER} is {size:,}, and the body has {len(content):,} bytes: it was cut short"
            )
    return bodies.parse_object(content[:size]), memoryview(content)[size:]


def read(described: Any, binary: memoryview) -> tuple[TextTensor, memoryview]:
    """Return an input tensor out of JSON, and what is left of the bytes behind it.

    Raises:
        BadRequest: it does not fit the bytes that there are.
        UserError: it is no tensor of texts or files, one for each input.
    """
    if not isinstance(described, Mapping):
        raise UserError(f"an input is {bodies.name_of(described)}, and not a tensor", "inputs")
    check_names(described, KNOWN, "a tensor")
    name = bodies.text_of(described.get("name"), "name")
    if described.get("datatype") != BYTES:
        raise UserError(f"`datatype` of {name} is not {BYTES}", "datatype", f"send {BYTES}")
    count = _rows(described.get("shape"), name)
    parameters = described.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise UserError(f"`parameters` of {name} is no object", "parameters")
    check_names(parameters, ("binary_data_size",), f"the parameters of {name}")
    values: Sequence[str | bytes]
    if "binary_data_size" in parameters:
        size = parameters["binary_data_size"]
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary):
            raise BadRequest(f"{name} has {size!r} bytes, of {len(binary):,} that are there")
        values, binary = _elements(binary[:size], name), binary[size:]
    else:
        values = _flat(described.get("data"), name)
    if len(values) != count:
        raise UserError(f"`shape` of {name} has {count:,}, and it {len(values):,}", "shape")
    return TextTensor(name, values), binary


def _rows(shape: Any, name: str) -> int:
    """Return how many inputs a shape has: [n] or [n, 1]."""
    sizes = list_of(shape, "shape", lambda size, _: size)
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 0 for size in sizes):
        raise UserError(f"`shape` of {name} is no list of whole numbers", "shape")
    if len(sizes) not in (1, 2) or sizes[1:] not in ([], [1]):
        shown = ", ".join(map(str, sizes[:8]))
        raise UserError(f"`shape` [{shown}] of {name} is neither [n] nor [n, 1]", "shape")
    return int(sizes[0])


def _flat(data: Any, name: str) -> list[str]:
    """Return the texts of a tensor in JSON, which may be nested as its shape is."""
    rows = list_of(data, "data", lambda value, _: value)
    if rows and all(isinstance(row, list) for row in rows):
        rows = [value for row in rows for value in row]
    for value in rows:
        if not isinstance(value, str):
            raise UserError(f"`data` of {name} has {bodies.name_of(value)}, and not a text", "data")
    return rows


def _elements(binary: memoryview, name: str) -> list[bytes]:
    found, at = [], 0
    while at < len(binary):
        if at + LENGTH.size > len(binary):
            raise BadRequest(f"{name} ends within the length of an element")
        (size,) = LENGTH.unpack_from(binary, at)
        at += LENGTH.size
        if at + size > len(binary):
            raise BadRequest(f"{name} ends within an element of {size:,} bytes")
        found.append(bytes(binary[at : at + size]))
        at += size
    return found


def texts(name: str, values: Sequence[str]) -> Tensor:
    """Return a tensor [n] of texts."""
    return Tensor(name, (len(values),), values)


def numbers(name: str, rows: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
    """Return a tensor of numbers, float32 [n] or [n, k]."""
    array = np.asarray(rows, np.float64)
    return Tensor(name, array.shape, array.reshape(-1).tolist(), FP32)
