"""Programs of ONNX: opened by ONNX Runtime once they are known to stay inside their folder."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import UserError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
COMPILED = "EPContext"
"""The operator whose program is an engine of a device's, which may be code."""


def open_session(program: Path, providers: Sequence[Any], threads: int | None) -> Any:
    """An `onnxruntime.InferenceSession`. Raises `UserError` for a program that is not to be trusted
    or can't be read, and where a provider can't be started: by itself onnxruntime would compute on
    the processor then, under the GPU's name."""
    import onnxruntime

    must_stay_inside(program)
    wanted = [each if isinstance(each, str) else each[0] for each in providers]
    if CUDA in wanted and "torch" not in sys.modules and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # of the packages that pip has installed
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(program, options, providers=providers)
    except Exception as error:  # its own kinds, which have no common base
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{program} can't be opened: {reason}; export it again") from error
    if absent := set(wanted) - set(session.get_providers()):
        raise UserError(
            f"onnxruntime could not start {' and '.join(sorted(absent))}: it is of another version "
            "of CUDA or cuDNN than is here (onnxruntime.ai, CUDA Execution Provider, Requirements)"
        )
    return session


def opset_of(program: Path) -> int:
    """The opset of the standard operators in a program."""
    import onnx

    proto = onnx.load(program, load_external_data=False)
    return max(int(used.version) for used in proto.opset_import if not used.domain)


def provider(device: str) -> Any:
    """Return the provider of a device as a session takes it, with its settings.

    fp32 is fp32: onnxruntime by itself rounds inputs of products to TF32 on a GPU.

    Raises `UserError` for a device that the installed onnxruntime does not have.
    """
    import onnxruntime

    wanted = CPU if device == "cpu" else CUDA
    if wanted not in onnxruntime.get_available_providers():
        raise UserError(
            f"the installed onnxruntime has no {wanted}: pip install onnxruntime-gpu, or "
            "`device` cpu"
        )
    if wanted == CPU:
        return wanted
    return wanted, {"device_id": int(device.partition(":")[2] or 0), "use_tf32": 0}


def must_stay_inside(program: Path) -> None:
    """Raises `UserError` where a program keeps weights outside its folder, holds what was compiled
    for some device, or can't be read."""
    folder = program.parent
    operators, files = _named_in(program)
    if COMPILED in operators:
        raise UserError(f"{program} holds what was compiled elsewhere ({COMPILED}): refused")
    for name in sorted(files):
        place = folder / name
        if place.is_symlink() or place.resolve().parent != folder.resolve():
            raise UserError(f"{program} keeps weights in {name}, outside its folder: refused")


def kept_outside(program: Path) -> set[str]:
    """The files in which a program keeps weights outside of itself, those of its inner graphs too.

    Raises `UserError` for a program that can't be read.
    """
    return _named_in(program)[1]


# What of onnx.proto leads to operators and weights: message -> number of a field -> its message.
# The package onnx would read all of it, and take longer to import than a small program to run.
PARTS: Mapping[str, Mapping[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "StringStringEntry"},
    "StringStringEntry": {},
}
OP_TYPE, KEY, VALUE = 4, 1, 2
TEXTS: Mapping[str, Sequence[int]] = {"Node": (OP_TYPE,), "StringStringEntry": (KEY, VALUE)}
"""The fields with text that are asked for."""


def _named_in(program: Path) -> tuple[set[str], set[str]]:
    """The operators of a program, and the files outside of it that its weights name.

    Raises `UserError` for a program that can't be read.
    """
    operators, files = set(), set()
    try:
        waiting = [("Model", memoryview(program.read_bytes()))]
        while waiting:
            kind, message = waiting.pop()
            texts: dict[int, bytes] = {}
            for number, content in _fields(message):
                if part := PARTS[kind].get(number):
                    waiting.append((part, content))
                elif number in TEXTS.get(kind, ()):
                    texts[number] = bytes(content)  # of several the last counts
            if kind == "Node":
                operators.add(texts.get(OP_TYPE, b"").decode())
            elif kind == "StringStringEntry" and texts.get(KEY) == b"location":
                files.add(texts.get(VALUE, b"").decode())
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{program} is damaged: {' '.join(str(error).split())}") from None
    return operators, files


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields of a protobuf message that are texts, bytes or messages.

    Raises ValueError or IndexError where it is none.
    https://protobuf.dev/programming-guides/encoding
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:  # protobuf itself would cut it off to 32 bits and read on
            raise ValueError(f"it has a field with the number {number}")
        if wire == 0:
            _, place = _varint(message, place)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            length, place = _varint(message, place)
            yield number, message[place : place + length]
            place += length
        else:  # groups, which ONNX never had
            raise ValueError(f"it has a field of wire type {wire}")
        if place > len(message):
            raise ValueError("it ends within a field")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of variable length at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("it has a number of more than 64 bits")
