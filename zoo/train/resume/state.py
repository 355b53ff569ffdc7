"""What a run needs to go on to the same bits: written atomically, checked when read, bounded in
number.

`state/step-00000120/` holds `weights.safetensors`, `optimizer.safetensors`, perhaps
`ema.safetensors`, and `progress.json` with the place, the record of the run
(`zoo.train.resume.run_record`), the sums of the other files, and its own. Random state is not among
them: every pass seeds itself from (seed, epoch, sample). Embeddings are whole in it, also where
only some rows are trained (`zoo.speedups.sparse_embedding`), so that a run may go on on another
device.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasks.atomic import put_in_place, staged, write_json
from tasks.data.fingerprint import sha256
from zoo.speedups.sparse_embedding import embeddings_of_rows
from zoo.store.checkpoint import os_errors
from zoo.train.optim.sharding import like, whole

Tensors = dict[str, Tensor]
PROGRESS = "progress.json"
BEFORE_SUMS = frozenset(("place", "step", "signal", "files"))


@dataclass(frozen=True)
class State:
    """A saved state, read from its folder."""

    tensors: Mapping[str, Tensors]  # "weights", "optimizer", perhaps "ema"
    progress: Mapping[str, Any]


def model_tensors(model: nn.Module, masters: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors saved for a model (`_own_tensors`): whole, even if they are sharded or
    only some rows of an embedding are trained."""
    tensors = {name: whole(tensor) for name, tensor in _own_tensors(model, masters).items()}
    for name, embedding in embeddings_of_rows(model).items():
        tensors[_of_all_rows(name)] = embedding.grown(tensors.pop(name), embedding.untrained)
    return tensors


def _of_all_rows(name: str) -> str:
    """Return the name of an embedding's weight in a network, given the name of its trained rows."""
    return name.removesuffix("rows") + "weight"


def _own_tensors(model: nn.Module, masters: Mapping[str, Tensor]) -> Tensors:
    """Return the parameters and persistent buffers of a model by name, shared ones once.

    `masters` are the fp32 originals of parameters that the model may hold in bf16.
    """
    tensors = {name: masters.get(name, p).detach() for name, p in model.named_parameters()}
    transient = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }
    return tensors | {n: b for n, b in model.named_buffers() if n not in transient}


def load_model_tensors(model: nn.Module, tensors: Tensors, masters: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into the model in place; earlier versions saved only trained rows."""
    tensors = dict(tensors)
    with torch.no_grad():
        for name, embedding in embeddings_of_rows(model).items():
            if (saved := tensors.get(_of_all_rows(name))) is not None:
                embedding.untrained.copy_(saved)
                tensors[name] = embedding.cut(embedding.untrained)
        for name, tensor in _own_tensors(model, masters).items():
            tensor.copy_(like(tensors[name], tensor))


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> Tensors:
    """Return the optimizer's state, keyed `PARAMETER NAME/ENTRY`; embeddings have all rows, with
    zeros for those that are not trained."""
    tensors = {}
    embeddings = embeddings_of_rows(model)
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            for entry, value in optimizer.state.get(parameter, {}).items():
                if value is None:
                    continue
                tensor, key = whole(torch.as_tensor(value).detach()), name
                if (embedding := embeddings.get(name)) is not None:
                    key = _of_all_rows(name)
                    tensor = embedding.grown(tensor) if tensor.ndim else tensor  # 0-d: the count
                tensors[f"{key}/{entry}"] = tensor
    return tensors


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, tensors: Tensors, model: nn.Module
) -> None:
    """Restore the optimizer's state; each entry keeps its dtype, on the device of its parameter."""
    parameters = {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    }
    embeddings = embeddings_of_rows(model)
    rows = {_of_all_rows(name): name for name in embeddings}
    for key, value in tensors.items():
        name, _, entry = key.rpartition("/")
        name = rows.get(name, name)
        parameter = parameters[name]
        if name in embeddings and value.ndim:
            value = embeddings[name].cut(value)
        if value.shape == parameter.shape:
            optimizer.state[parameter][entry] = like(value, parameter)
        else:  # the step count: torch keeps it on the CPU unless the optimizer is fused
            device = parameter.device if _fused(optimizer) else "cpu"
            optimizer.state[parameter][entry] = value.to(device)


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.defaults.get("fused"))


def save(
    folder: Path, step: int, tensors: Mapping[str, Tensors], progress: Mapping[str, Any]
) -> Path:
    """Write `folder/step-N`, replacing a state of that name; return its path.

    Raises OSError (a full disk, for example); earlier states stay intact then.
    """
    target = folder / f"step-{step:08d}"
    with staged(folder) as staging:
        sums = {}
        for name, content in tensors.items():
            path = staging / f"{name}.safetensors"
            with os_errors():
                save_file({key: t.contiguous() for key, t in content.items()}, path)
            sums[path.name] = sha256(path)
        place = {**progress, "files": sums}
        write_json(staging / PROGRESS, {**place, "sum": _sum(place)})
        if target.exists():  # of an abandoned run: this one has begun anew
            shutil.rmtree(target)
        put_in_place(staging, target)
    return target


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` states, and the remains of interrupted saves."""
    for path in [*folder.glob(".incoming-*"), *sorted(folder.glob("step-*"))[: -keep or None]]:
        shutil.rmtree(path, ignore_errors=True)


def newest(folder: Path) -> tuple[State | None, list[str]]:
    """Return the newest complete state, and a line on each newer one that is damaged."""
    path, complaints = find(folder)
    if path is None:
        return None, complaints
    progress = read_progress(path)
    tensors = {
        name.removesuffix(".safetensors"): load_file(path / name) for name in progress["files"]
    }
    return State(tensors, progress), complaints


def find(folder: Path) -> tuple[Path | None, list[str]]:
    """Return the path of the newest state whose checksums match, and a line on each newer one whose
    don't."""
    complaints = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            for name, expected in read_progress(path)["files"].items():
                if sha256(path / name) != expected:
                    raise ValueError(f"{name} is not what was saved")
        except (OSError, ValueError, RecursionError) as error:
            complaints.append(f"{path.name} is damaged and passed over: {error}")
            continue
        return path, complaints
    return None, complaints


def read_progress(path: Path) -> dict[str, Any]:
    """Return the contents of `progress.json` of the state in the folder `path`.

    Raises OSError, ValueError or RecursionError if the file is damaged.
    """
    content = json.loads((path / PROGRESS).read_text(encoding="utf-8"))
    if isinstance(content, dict) and "run" not in content and set(content) >= BEFORE_SUMS:
        return content  # of zoo 0.1.0 at commit b7db848, which kept neither a record nor a sum
    if not isinstance(content, dict) or content.pop("sum", None) != _sum(content):
        raise ValueError(f"{PROGRESS} is not what was saved")
    return content


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
