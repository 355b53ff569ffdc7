"""Weights to go on with: the body of a checkpoint by name and shape, a new head where labels
differ, and a line that says which tensors were kept and which were drawn anew."""

import dataclasses
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from tasks import json_files
from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.model.loading import (
    CLASS_LAYERS,
    EACH_LAYERS,
    head_names,
    load_config,
    load_json,
    load_with_head,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

Given = TypeVar("Given")

NAMED = 5  # labels and tensors that a message names at most
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def config_of(folder: Path, kind: Any, asked: str, model: str) -> Any:
    """Return the configuration of a checkpoint of one of our own networks.

    Args:
        kind: class of the configuration that the network takes.
        asked: what the user calls the weights.
        model: name of the model that is to start from them.

    Raises `UserError` if the folder holds another kind of network.
    """
    found = load_json(folder, "config.json").get("model_type")
    if found != kind.model_type:
        raise UserError(
            f"{asked} holds weights of {found or 'a network without a name'}, and {model} goes on"
            f" with its own checkpoints ({kind.model_type})",
            "model",
        )
    return load_config(folder, kind)


def settled(
    options: Given,
    of_weights: Mapping[str, Any],
    free: Collection[str] = (),
    typed: Collection[str] = (),
) -> Given:
    """Return a model's options as its weights have them; an option that nobody gave asks for
    nothing, and what the weights have in place of its default is said.

    Args:
        options: a dataclass, with a field `model`, the name of the weights, where there are any.
        of_weights: what the weights have, by the names of options.
        free: options that fit any weights (dropout), and win where they are given.
        typed: names of options that were given; one that is not at its default was given, too.

    Raises `UserError` for an option that contradicts the weights.
    """
    asked: Any = options
    usual = {field.name: field.default for field in dataclasses.fields(asked)}
    found = {}
    for name, have in of_weights.items():
        value = getattr(asked, name)
        if value == have or (value == usual[name] and name not in typed):
            found[name] = have
        elif name in free:
            found[name] = value
        else:
            raise UserError(
                f"`{name}` {_shown(value)}: {asked.model} has {_shown(have)}; leave it out, or "
                "start from other weights"
            )
    other = {n: v for n, v in found.items() if getattr(asked, n) not in (None, v)}
    if other and is_first():
        shown = ", ".join(f"`{name}` {_shown(have)}" for name, have in other.items())
        print_lines(spelled(f"{asked.model}: as it was trained: {shown}"), file=sys.stderr)
    result: Given = dataclasses.replace(asked, **found)
    return result


def is_first() -> bool:
    """Return whether this process is the one of several that says things."""
    return os.environ.get("RANK", "0") == "0"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def labels_of(config: Any) -> tuple[str, ...]:
    """Return the names of a classifier's outputs; empty for a regression."""
    if config.problem_type == "regression" and config.num_labels == 1:
        return ()
    return tuple(config.id2label[i] for i in range(config.num_labels))


def begin(
    kind: Any,
    config: Any,
    settings: Mapping[str, Any],
    folder: Path,
    asked: str,
    same_head: bool | None = None,
) -> Any:
    """Return one of our own networks in fp32 with the weights of a checkpoint, and say what of them
    was kept.

    All weights are first drawn from torch's global random state, as without a checkpoint, so that a
    new head is the one that the same seed gives there.

    Args:
        kind: class of the network, with its head.
        config: that of the checkpoint; it is changed in place.
        settings: fields of the configuration that the task sets.
        asked: what the user calls the weights.
        same_head: whether the head is kept; None: where its labels are the same, in order.

    Raises `UserError` if the checkpoint lacks tensors of the network, or has them in another shape.
    """
    before = labels_of(config)
    # one by one: labels that do not go with the number of those before are an error of transformers
    for name, value in settings.items():
        setattr(config, name, value)
    now = labels_of(config)
    model = kind(config)
    rows = new_order(before, now)
    rows = rows if rows is not None and outputs_of(model, len(now)) else None
    keeps = before == now or rows is not None if same_head is None else same_head
    drawn: set[str] = set() if keeps else head_names(model)
    fill(model, read(folder), asked, drawn)
    if same_head is None and rows is not None:
        reorder(model, rows)
    tell(asked, model, drawn, None if same_head is not None else (before, now))
    return model


def read(folder: Path) -> "dict[str, Tensor]":
    """Return the tensors of a folder's weights by name; it has been found whole
    (`zoo.store.pretrained.find`)."""
    from safetensors.torch import load_file

    if (folder / WEIGHTS).is_file():
        return dict(load_file(folder / WEIGHTS))
    shards = set(json_files.read_object(folder / INDEX)["weight_map"].values())
    return {name: t for shard in sorted(shards) for name, t in load_file(folder / shard).items()}


def fill(
    model: Any, tensors: "Mapping[str, Tensor]", asked: str, without: Collection[str] = ()
) -> None:
    """Copy tensors into a network by name, in place, in the network's own dtypes.

    Args:
        asked: what the user calls the weights.
        without: names of the network's tensors that stay as they are.

    Raises `UserError` for what is missing, has another shape, or belongs to no such network.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in without}
    given = {name: tensor for name, tensor in tensors.items() if name not in without}
    if wrong := faults(own, given):
        raise UserError(f"{asked} does not fit {type(model).__name__}: {listed(wrong)}", "model")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def faults(own: "Mapping[str, Tensor]", given: "Mapping[str, Tensor]") -> list[str]:
    """Return how tensors differ by name and shape from a network's own: what is missing, has
    another shape, or is not known there."""
    found = [f"{name} is missing" for name in own if name not in given]
    found += [
        f"{name} is {_shape(given[name])}, not {_shape(tensor)}"
        for name, tensor in own.items()
        if name in given and given[name].shape != tensor.shape
    ]
    return found + [f"{name} is not known" for name in given if name not in own]


def _shape(tensor: "Tensor") -> str:
    return str(list(tensor.shape))


def load_for_labels(auto: Any, folder: Path, asked: str, **settings: Any) -> Any:
    """Return a model of transformers in fp32 with the weights of a folder, and say what was kept.

    Its head is drawn anew, from torch's global random state, where the folder lacks it, has it in
    another shape, or has it for other labels.

    Args:
        auto: one of transformers' Auto classes.
        asked: what the user calls the weights.
        settings: fields of the configuration, or `config`, the whole of it.

    Raises `UserError` and `Unreadable` as `zoo.model.loading.load_pretrained` does.
    """
    before = labels_of(load_config(folder))
    model, drawn = load_with_head(auto, folder, **settings)
    now, head = labels_of(model.config), head_names(model)
    if before != now and not head & set(drawn) and not goes_on(model, before, now):
        draw(model, head)
        drawn = sorted({*drawn, *head})
    unnamed = all(name == f"LABEL_{i}" for i, name in enumerate(before)) and before
    tell(asked, model, drawn, (None if unnamed else before, now))
    return model


def goes_on(model: Any, before: Sequence[str], now: Sequence[str]) -> bool:
    """Put the outputs of a head that knew the same labels in another order into the order of now,
    in place; return whether these are such, and which outputs they are is known."""
    rows = new_order(before, now)
    if rows is None or not outputs_of(model, len(now)):
        return False
    reorder(model, rows)
    return True


def new_order(before: Sequence[str], now: Sequence[str]) -> list[int] | None:
    """Return at which place each label was before; None where they are not the same labels in
    another order."""
    if before == now or len(set(before)) != len(before) or sorted(before) != sorted(now):
        return None
    return [before.index(label) for label in now]


def outputs_of(model: Any, labels: int) -> "list[nn.Module]":
    """Return the last layers of a head, whose rows are the labels, and in a set detector perhaps
    "nothing" behind them; none where that can't be told by their shapes. timm's heads are all such
    layers, one, or two in a distilled network; so are those that give queries their classes, one
    for each layer of a decoder."""
    names = sorted({name.rpartition(".")[0] for name in head_names(model)})
    of_sets = bool(names) and all(CLASS_LAYERS.intersection(name.split(".")) for name in names)
    rows = (labels, labels + 1) if of_sets else (labels,)
    found: dict[int, nn.Module] = {}  # by their weights: layers may share one
    for module in map(model.get_submodule, names):
        weight = getattr(module, "weight", torch.empty(0))
        if weight.ndim == 2 and len(weight) in rows:
            found.setdefault(id(weight), module)
    each = of_sets and all(EACH_LAYERS.intersection(name.split(".")) for name in names)
    known = len(found) == 1 or each or hasattr(model, "timm_model")
    return list(found.values()) if known else []


@torch.no_grad()
def reorder(model: Any, rows: list[int]) -> None:
    """Take the rows of a head's last layers in another order, in place; what is behind stays."""
    for layer in outputs_of(model, len(rows)):
        for tensor in layer.parameters(recurse=False):
            tensor[: len(rows)] = tensor[rows].clone()


@torch.no_grad()
def draw(model: Any, names: Collection[str]) -> None:
    """Draw weights anew, in place, as transformers draws those that a folder lacks, from torch's
    global random state; whole modules, each by its own rule and those of the modules around it."""
    modules = {name.rpartition(".")[0] for name in names}
    for name in sorted(modules):
        module = model.get_submodule(name)
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            tensor._is_hf_initialized = False
        model._init_weights(module)
        path = name.split(".")
        for depth in reversed(range(len(path))):  # a detector has its classes unlikely at first
            model._init_weights(model.get_submodule(".".join(path[:depth])))


def tell(
    asked: str,
    model: Any,
    drawn: Collection[str],
    labels: "tuple[Sequence[str] | None, Sequence[str]] | None" = None,
) -> None:
    """Say on stderr, once for all processes, which weights were kept and which were drawn anew.

    Args:
        asked: what the user calls the weights.
        drawn: names of the tensors that were drawn.
        labels: those that the weights knew (empty for a number, None where they do not say), and
            those of the model; None where there are none.
    """
    if not is_first():
        return
    tensors = model.state_dict(keep_vars=True)
    new = {name: tensor for name, tensor in tensors.items() if name in drawn}
    kept = {name: tensor for name, tensor in tensors.items() if name not in drawn}
    if not new:
        moved = labels is not None and labels[0] is not None and labels[0] != labels[1]
        order = f"; its labels are now in the order {listed(labels[1])}" if labels and moved else ""
        line = f"all weights are kept, the head's too ({_counted(kept)}){order}"
    elif not head_names(model) & set(new):
        line = f"drawn anew is {listed(sorted(new))}; all other weights are kept"
    else:
        line = f"its head is drawn anew{_for(labels)}; all other weights are kept"
    sizes = f" ({_counted(kept)}; drawn: {_counted(new)})" if new else ""
    print_lines(f"{asked}: {line}{sizes}", file=sys.stderr)


def _for(labels: "tuple[Sequence[str] | None, Sequence[str]] | None") -> str:
    if labels is None:
        return ""
    before, now = labels
    knew = "" if before is None else f" (it knew {listed(before) or 'a number'})"
    return f", for {listed(now) or 'a number'}{knew}"


def _counted(tensors: "Mapping[str, Tensor]") -> str:
    """Return how many tensors there are, and how many parameters in them; statistics are none."""
    sizes = {id(t): t.numel() for t in tensors.values() if isinstance(t, torch.nn.Parameter)}
    return f"{len(tensors):,} tensor{'s' * (len(tensors) != 1)}, {sum(sizes.values()):,} parameters"


def listed(names: Sequence[str]) -> str:
    """Return the first few names in a row, and how many more there are."""
    named = ", ".join(names[:NAMED])
    return named if len(names) <= NAMED else f"{named} and {len(names) - NAMED} more"
