"""Programs of ONNX: opened by ONNX Runtime once they are known to stay inside their folder."""

from collections.abc import Iterator, MutableSequence, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import UserError

COMPILED = "EPContext"
"""The operator whose program is an engine of a device's, which may be code."""


def open_session(program: Path, providers: Sequence[Any], threads: int | None) -> Any:
    """An `onnxruntime.InferenceSession`. Raises `UserError` for a program that is not to be trusted
    or can't be read."""
    import onnxruntime

    must_stay_inside(program)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(program, options, providers=providers)
    except Exception as error:  # its own kinds, which have no common base
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{program} can't be opened: {reason}; export it again") from error


def opset_of(program: Path) -> int:
    """The opset of the standard operators in a program."""
    import onnx

    proto = onnx.load(program, load_external_data=False)
    return max(int(used.version) for used in proto.opset_import if not used.domain)


def provider(device: str) -> str:
    """Raises `UserError` for a device that the installed onnxruntime does not have."""
    import onnxruntime

    wanted = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UserError(
            f"the installed onnxruntime has no {wanted}: pip install onnxruntime-gpu, or "
            "--device cpu"
        )
    return wanted


def to_host(array: Any) -> Any:
    """numpy's array of an array or tensor, wherever it lies."""
    import numpy as np

    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def must_stay_inside(program: Path) -> None:
    """Raises `UserError` where a program keeps weights outside its folder, holds what was compiled
    for some device, or can't be read."""
    import onnx

    folder = program.parent
    for part in _parts(_read(program)):
        if isinstance(part, onnx.NodeProto) and part.op_type == COMPILED:
            raise UserError(f"{program} holds what was compiled elsewhere ({COMPILED}): refused")
    for name in sorted(kept_outside(program)):
        place = folder / name
        if place.is_symlink() or place.resolve().parent != folder.resolve():
            raise UserError(f"{program} keeps weights in {name}, outside its folder: refused")


def kept_outside(program: Path) -> set[str]:
    """The files in which a program keeps weights outside of itself, those of its inner graphs too.

    Raises `UserError` for a program that can't be read.
    """
    import onnx

    return {
        entry.value
        for part in _parts(_read(program))
        if isinstance(part, onnx.TensorProto)
        for entry in part.external_data
        if entry.key == "location"
    }


def _read(program: Path) -> Any:
    import onnx

    try:
        return onnx.load(program, load_external_data=False)
    except Exception as error:  # protobuf's own, which onnx does not name
        raise UserError(f"{program} is damaged: {' '.join(str(error).split())}") from None


def _parts(message: Any) -> Iterator[Any]:
    """A program with all that is in it: nodes, attributes, inner graphs, functions, weights, sparse
    ones, and what is kept for training."""
    yield message
    for _, value in message.ListFields():
        for one in value if isinstance(value, MutableSequence) else [value]:
            if hasattr(one, "ListFields"):
                yield from _parts(one)
