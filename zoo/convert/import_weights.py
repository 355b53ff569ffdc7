"""The verb import: weights that were trained elsewhere become a checkpoint of the zoo.

The weights may be a file, a state dict of torch.save or safetensors, or a folder of transformers'
Trainer. All tensors of the network must be there, and no others.
"""

import dataclasses
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data.fingerprint import sha256
from tasks.data.source import NONE, DataArgs
from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.convert import state_dict
from zoo.machine import commands, environment, places
from zoo.machine.terminal import quiet_libraries
from zoo.model import loading, own_weights, registry
from zoo.model.entry import Entry
from zoo.model.network import Network, StateDict, network_of
from zoo.predict.zero_shot import read_labels
from zoo.store import checkpoint, libraries, pretrained

if TYPE_CHECKING:
    from zoo.cli.args import ImportArgs

PICKLED = "pytorch_model.bin"


def import_weights(args: "ImportArgs") -> Path:
    """Write weights of another program as a checkpoint, and return its folder.

    Raises `UserError` where the weights can't be read, are not those of the model or those of a
    checkpoint of the zoo, or go to a folder that is not empty.
    """
    quiet_libraries()
    entry = registry.find(args.as_)
    factory = importlib.import_module(entry.task)
    if not hasattr(factory, "of_labels"):
        raise UserError(
            f"`as` {entry.name} is for training: start from the weights: "
            f"{commands.of_model(entry.module, entry.verbs[0], '--model', args.weights)}"
        )
    folder = args.output_dir or Path("runs") / entry.name
    _must_be_free(folder)
    _must_be_elsewhere(args.weights)
    network = network_of(entry)
    model, processor = _read(args, entry, network)
    config = model.config
    if (fitting := network.model_of(model)) not in (None, entry.name):
        raise UserError(
            f"{args.weights} is {config.architecture}, which is no {entry.name}: give `as` "
            f"{fitting}"
        )
    if config.problem_type is None:  # as transformers itself takes it
        single = config.num_labels > 1
        config.problem_type = "single_label_classification" if single else "regression"
    labels = _labels(args, model)
    task = factory.of_labels(labels, config.problem_type).bind_for_training(
        processor, _longest(model, processor)
    )
    for name, value in task.model_config().items():
        setattr(config, name, value)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write(folder, model.eval(), processor, _manifest(args, entry, task, config))
    own_weights.tell(str(args.weights), model, ())
    print_lines(
        f"{folder}: {entry.name} for {own_weights.listed(labels) or 'a number'}",
        f"  {commands.of_model(entry.module, 'predict', folder)} {factory.EXAMPLE_INPUT}",
        f"  {commands.of_model(entry.module, 'finetune', '--model', folder, '--data', 'DATA')}",
    )
    return folder


def _must_be_free(folder: Path) -> None:
    places.check_folder("`output_dir`", folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(f"`output_dir` {folder} is not empty: name a new folder")


def _must_be_elsewhere(source: Path) -> None:
    """Raises `UserError` for a checkpoint of the zoo: its task would be lost, with how it reads."""
    if (source / checkpoint.MANIFEST).is_file():
        raise UserError(f"{source} is a checkpoint of the zoo already: use it as it is")


def _read(args: "ImportArgs", entry: Entry, network: Network) -> tuple[Any, Any]:
    """Return the model in fp32 and its processor."""
    source = args.weights
    if source.is_dir():
        return _of_folder(source, entry, network)
    tensors = state_dict.read(source)
    if args.base is None:
        asked = StateDict(
            tensors, str(source), args.architecture, args.image_size, args.mean, args.std
        )
        return network.from_state_dict(asked)
    base = pretrained.find(args.base, entry.presets).folder
    return _like(base, tensors, str(source), network)


def _of_folder(source: Path, entry: Entry, network: Network) -> tuple[Any, Any]:
    """Return model and processor of a folder of transformers, all of whose weights are there."""
    if fault := libraries.head_fault(source, entry):
        raise UserError(fault)
    source = libraries.weights_of(source)
    if (source / pretrained.WEIGHTS).is_file() or not (source / PICKLED).is_file():
        return network.load(pretrained.find(str(source), {}).folder)
    tensors = state_dict.read(source / PICKLED)
    return _like(source, tensors, str(source / PICKLED), network)


def _like(base: Path, tensors: Mapping[str, Any], asked: str, network: Network) -> tuple[Any, Any]:
    """Return a model with the configuration of a folder and other tensors, with as many outputs as
    these have, and the processor of the folder."""
    import transformers

    auto, config = getattr(transformers, network.auto_class), loading.load_config(base)
    model = loading.new_model(auto, config)
    outputs = _outputs(model, tensors)
    if outputs != config.num_labels:
        config.num_labels = outputs
        model = loading.new_model(auto, config)
    transient = {name for name in tensors if name.endswith("position_ids")}  # of older transformers
    own_weights.fill(model, {n: t for n, t in tensors.items() if n not in transient}, asked)
    return model, network.load_processor(base)


def _outputs(model: Any, tensors: Mapping[str, Any]) -> int:
    """Return the number of outputs of the tensors that a model's head is to have."""
    known, own = int(model.config.num_labels), model.state_dict()
    sizes = {
        len(tensors[name])
        for name in loading.head_names(model) & set(tensors)
        if own[name].ndim and own[name].shape == (known, *tensors[name].shape[1:])
    }
    return sizes.pop() if len(sizes) == 1 else known


def _labels(args: "ImportArgs", model: Any) -> tuple[str, ...]:
    """Return the names of a model's outputs: those that were given, else its own."""
    own = own_weights.labels_of(model.config)
    if args.labels is None:
        if own and own == tuple(f"LABEL_{i}" for i in range(len(own))):
            print_lines(
                spelled(f"{args.weights} does not name its {len(own)} outputs: `labels` would"),
                file=sys.stderr,
            )
        return own
    given = read_labels(args.labels)
    if len(given) != len(own):
        raise UserError(f"`labels` names {len(given)}, and {args.weights} has {len(own)} outputs")
    return given


def _longest(model: Any, processor: Any) -> int:
    """Return the longest input in the unit of the task: tokens of a text, else no limit."""
    owners = (model.config, "max_position_embeddings"), (processor, "model_max_length")
    limits = [getattr(owner, name, None) for owner, name in owners]
    known = [int(limit) for limit in limits if limit is not None and 0 < limit < 10**6]
    return min(known, default=0)


def _manifest(args: "ImportArgs", entry: Entry, task: Any, config: Any) -> dict[str, Any]:
    """Return what zoo.json says: whose weights these are, and that nothing was trained here."""
    source, digest = args.weights, _digest(args.weights)
    return {
        "model": entry.name,
        "module": entry.module,
        "pipeline": task.pipeline,
        "source": {
            "model": source.name,
            "repo": None,
            "revision": None,
            "sha256": digest,
            "license": None,
        },
        "config": {
            "options": _options(entry, config),
            "data": dataclasses.asdict(DataArgs(data=NONE)),
            "task": task.config(),
            "train": {},
        },
        "data": {"name": NONE, "fingerprint": digest, "rows": {}},
        "seed": 0,
        "versions": environment.versions(),
        "commit": environment.commit(),
    }


def _options(entry: Entry, config: Any) -> dict[str, Any]:
    """Return a model's options as far as a configuration has them, else their defaults."""
    options = dataclasses.asdict(entry.options())
    return {name: getattr(config, name, value) for name, value in options.items()}


def _digest(source: Path) -> str:
    if source.is_file():
        return sha256(source)
    inner = libraries.weights_of(source)
    names = (pretrained.WEIGHTS, pretrained.INDEX, PICKLED)
    return sha256(next(inner / name for name in names if (inner / name).is_file()))
