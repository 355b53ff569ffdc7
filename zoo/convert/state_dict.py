"""Tensors out of a file that another program saved: a state dict of torch.save, or safetensors.

A pickle can run any code when it is read. torch reads it here with an unpickler that makes tensors
and plain values and nothing else (`weights_only`); what wants more is refused. Archives must be as
torch writes them, uncompressed, so that none unfolds to more than it is.
"""

import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.errors import UserError, foreign
from zoo.store import pretrained
from zoo.store.checkpoint_schema import is_plain

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights", "params")
"""Names under which training scripts put the state dict, beside optimizer and epoch; best first."""
PREFIXES = ("module.", "model.", "net.", "network.")
"""Of DataParallel, and of modules that hold nothing but the network (Lightning)."""
ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Parts of names that torch.compile, FSDP and activation checkpointing put in."""
DEEPEST = 4  # wrappers within each other
SAVE = "torch.save(model.state_dict(), 'weights.pth')"


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, floating-point ones in float32, without what wrappers
    put around their names.

    Raises `UserError` where the file can't be read, is damaged, holds code, or holds no tensors.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    content = _safetensors(path) if path.suffix == ".safetensors" else _unpickled(path)
    return _plain(_names(_unwrapped(content, path), path), path)


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    pretrained.must_be_whole(path)
    return dict(load_file(path))


def _unpickled(path: Path) -> Any:
    try:
        said = _fault(path) if zipfile.is_zipfile(path) else None
        if said is None:
            with warnings.catch_warnings():  # of pickles newer than torch's own
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}") from None
    except Exception as error:  # whatever a damaged pickle, or one that wants code, raises
        message = foreign(error)
        if "PytorchStreamReader" in message:  # its archive, before any pickle
            raise UserError(f"{path} is damaged: it was not copied or saved to its end") from None
        said = _said(message)
    raise UserError(
        f"{path} is no file of tensors alone ({said}): code in a pickle is never run; where you "
        f"trust it, save the weights alone: {SAVE}"
    )


def _said(message: str) -> str:
    """Return what torch says of a file that it refuses, without its advice how to run it."""
    if wanted := re.search(r"GLOBAL ([\w.]+)", message):
        return f"it asks for {wanted[1]}"
    if "weights only load failed" in message.lower() or not message.strip():
        return "it asks for more than tensors, or is damaged"
    return message.strip().splitlines()[0][:120]


def _fault(path: Path) -> str | None:
    """Return how an archive differs from those that torch.save writes; None where it does not."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(one.compress_type != zipfile.ZIP_STORED for one in members):
        return "it is a compressed archive, as torch.save writes none"
    if sum(one.file_size for one in members) > path.stat().st_size:
        return "it claims to hold more than it has bytes"
    outside = [one.filename for one in members if not is_plain(one.filename)]
    return f"it names a file outside of itself, {outside[0]!r}" if outside else None


def _unwrapped(content: Any, path: Path) -> Mapping[str, Tensor]:
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in WRAPPERS if _has_tensors(content.get(key))), None)
        if inner is None:
            break
        content = inner
    if not _has_tensors(content):
        raise UserError(f"{path} holds no tensors by name: save {SAVE}")
    if others := [n for n, t in content.items() if not isinstance(t, Tensor | int | float | str)]:
        raise UserError(f"{path} holds {others[0]!r} among its tensors, which is none: save {SAVE}")
    return {str(name): t for name, t in content.items() if isinstance(t, Tensor)}


def _has_tensors(content: Any) -> bool:
    return isinstance(content, Mapping) and (
        any(isinstance(value, Tensor) for value in content.values())
        or any(_has_tensors(content.get(key)) for key in WRAPPERS)
    )


def _names(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return tensors without the prefixes that wrappers put before all their names."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for part in ANYWHERE:
            name = name.replace(part, "")
        if name in found:
            raise UserError(f"{path} has {name} twice, wrapped and plain")
        found[name] = tensor
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in found)), None):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _plain(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return tensors as they are saved: dense, with memory of their own, float32 where floating."""
    size = path.stat().st_size
    found = {}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise UserError(f"{path}: {name} is sparse, quantized or complex: save dense weights")
        if math.prod(tensor.shape) * tensor.element_size() > size:  # a view of few numbers
            raise UserError(f"{path} is damaged: {name} claims to be larger than the file")
        plain = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
        if not plain.isfinite().all():
            raise UserError(f"{path}: {name} has numbers that are not finite: the training failed")
        found[name] = plain.clone().contiguous()
    return found
