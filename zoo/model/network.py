"""Network: how a model's network is made for some data, loaded, trained fast, exported and cut."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.loading import load_model, must_agree

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    import torch
    from torch import nn

    from tasks.base import Task, Tensors
    from tasks.packed import PackedShape
    from zoo.model.entry import Entry
    from zoo.store.checkpoint import Checkpoint


@dataclass(frozen=True)
class StateDict:
    """The tensors of a network of another library, and what was said of it."""

    tensors: "Mapping[str, torch.Tensor]"
    asked: str
    """What the user calls it."""
    architecture: str | None = None
    """timm's name of the network."""
    image_size: int | None = None
    """Side of its inputs in pixels."""
    mean: tuple[float, ...] | None = None
    """Of each channel of its inputs, at values from 0 to 1."""
    std: tuple[float, ...] | None = None


class Network(ABC):
    """The object `NETWORK` of a module that `Entry.network` names: how a network is made, loaded
    and exported.

    A subclass says how its processor and its model are made. All else has a default: that of a
    network which transformers loads by one of its Auto classes, and which runs as one program.
    """

    auto_class: str
    """The Auto class of transformers that loads a checkpoint: "AutoModelForCTC"."""
    quantization_methods: tuple[str, ...] = ("static",)
    """Methods of quantization that are tried on it. Dynamic int8 ruins convolutions, those that
    make the patches of a vision transformer too, so a network without any says that it takes both.
    One that goes on with texts does not: dynamic int8 has one scale for all rows of a batch, and a
    text would depend on those that are written beside it.
    Weights alone are worth it where few tokens are computed at once."""

    file_formats: tuple[str, ...] = ()
    """Formats of other libraries that `export` writes instead of programs, which it has none of."""

    free_options: tuple[str, ...] = ()
    """Options that fit any weights (dropout): one that is given wins over what they had."""

    @abstractmethod
    def make_processor(
        self, options: Any, task: Any, splits: "datasets.DatasetDict", entry: "Entry"
    ) -> Any:
        """Return the tokenizer, image processor or feature extractor that is saved with the
        weights.

        Args:
            options: the flags that only this model has, `entry.options`.
            task: not yet bound to a processor.
            splits: the examples, where a vocabulary or a size comes from them.
            entry: of the model, with the presets that `options` may name.

        Raises `UserError` for options that make no network, or weights that are not at hand.
        """

    def max_length(self, options: Any, processor: Any, entry: "Entry") -> int:
        """Return the longest input in the unit of the task's lengths (tokens, pixels); 0 where only
        the task has a limit."""
        return 0

    def options_of_weights(self, options: Any, processor: Any, entry: "Entry") -> dict[str, Any]:
        """Return what the weights that the options name have, by the names of the options; empty
        where the weights are new, or have nothing to say.

        Args:
            processor: what `make_processor` gave.

        Raises `UserError` where the weights are of another kind.
        """
        return {}

    @abstractmethod
    def build(
        self, options: Any, task: "Task", processor: Any, entry: "Entry"
    ) -> "tuple[nn.Module, dict[str, Any]]":
        """Return the model in fp32 and where its weights came from, as zoo.json has it.

        New weights are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind of network.
        """

    def from_state_dict(self, weights: "StateDict") -> "tuple[nn.Module, Any]":
        """Return the model in fp32 that tensors alone make, with as many outputs as they have, and
        its processor.

        Raises `UserError` where tensors alone do not say which network it is.
        """
        raise UserError(
            f"{weights.asked}: tensors alone do not say what this network is, nor how it reads its "
            "inputs: name with `base` a folder that has its configuration and its processor"
        )

    def model_of(self, model: "nn.Module") -> str | None:
        """Return the model of the zoo that a network of this kind is of, where several share it;
        None where any will do."""
        return None

    @abstractmethod
    def load_processor(self, folder: "Path") -> Any:
        """Return the processor of a checkpoint. Raises `UserError` where it is damaged."""

    def load(self, folder: "Path") -> "tuple[nn.Module, Any]":
        """Return model and processor of a checkpoint, as plain transformers loads them.

        Raises `UserError` where the folder is damaged or holds another kind of network.
        """
        import transformers

        model = load_model(getattr(transformers, self.auto_class), folder)
        return model, self.load_processor(folder)

    def prepare_training(self, model: "nn.Module", options: Any) -> None:  # noqa: B027  none needed
        """Make a checkpoint's model train as one that `build` gives, in place.

        Args:
            options: of the model that it is a checkpoint of.
        """

    def optimize_training(self, model: "nn.Module", train: Any) -> None:
        """Replace parts of the model, in place, by faster code that computes the same.

        Args:
            train: the features that it is to see, where it will see no others; else None.
        """
        from zoo.speedups.fast_dropout import replace_dropout

        replace_dropout(model)

    def packing_fault(self, model: "nn.Module") -> str | None:
        """Return why samples can't be packed in one row for it, as the end of a sentence; None
        where they can."""
        return f"{type(model).__name__} takes padded samples"

    def packing_is_slow(
        self, model: "nn.Module", device: "torch.device", dtype: "torch.dtype"
    ) -> str | None:
        """Return why packing gains nothing on a device, as the end of a sentence; None where it
        does. Asked of models without a `packing_fault`, which have the attention of transformers.
        """
        from zoo.speedups import packed_encoder

        return packed_encoder.kernel_fault(model, device, dtype)

    def prepare_packing(self, model: "nn.Module", shape: "PackedShape") -> None:
        """Let a model without a `packing_fault` take packed batches and padded ones, in place."""
        from zoo.speedups import packed_encoder

        packed_encoder.pack(model, shape)

    @property
    def has_stages(self) -> bool:
        """Whether it is exported as programs with a cache (`stages`), which few runtimes run."""
        return type(self).stages is not Network.stages

    def stages(self, model: "nn.Module", example: "Tensors") -> Mapping[str, Any]:
        """Return the programs that the model is exported as, by name; none where it is one program.

        Args:
            example: a batch of the model's inputs, of two samples or more.
        """
        return {}

    def write_file(self, form: str, path: "Path", model: "nn.Module", processor: Any) -> None:
        """Write a checkpoint in one of `file_formats`."""
        raise NotImplementedError(form)

    def prunable_widths(self, model: Any) -> tuple[int, ...]:
        """Return the widths that `prune_units` can lower.

        Raises `UserError` where there is none.
        """
        from zoo.model import narrowing

        return narrowing.widths(model)

    def prune_units(self, model: Any, asked: Sequence[int]) -> "nn.Module":
        """Return a model of the same kind with these widths, whose strongest units are kept.

        Raises `UserError` where the network can't be cut so.
        """
        from zoo.model import narrowing

        return narrowing.narrow(model, asked)


def network_of(entry: "Entry") -> Network:
    """Return the network of a model of the zoo; imports torch."""
    network: Network = importlib.import_module(entry.network).NETWORK
    return network


@dataclass(frozen=True)
class Assembly:
    """A network that fits some data, before its weights are there."""

    entry: "Entry"
    network: Network
    options: Any
    """As the weights have them."""
    task: "Task"
    """Bound to the processor."""
    processor: Any

    def build(self) -> "tuple[nn.Module, dict[str, Any]]":
        """Return the model in fp32 and where its weights came from; see `Network.build`."""
        return self.network.build(self.options, self.task, self.processor, self.entry)


def assemble(
    entry: "Entry",
    options: Any,
    task: "Task",
    splits: "datasets.DatasetDict",
    processor: Any = None,
    typed: Collection[str] = (),
) -> Assembly:
    """Return what a model needs to be made for some data: its processor, and the task bound to it.

    Args:
        options: the flags that only this model has, `entry.options`.
        splits: the examples of the task.
        processor: that of a checkpoint; None makes one.
        typed: names of options that were given, at their default or not.

    Raises `UserError` for options that make no network, weights that are not at hand, or more than
    the model takes.
    """
    network = network_of(entry)
    if processor is None:
        processor = network.make_processor(options, task, splits, entry)
        from zoo.model.own_weights import settled

        theirs = network.options_of_weights(options, processor, entry)
        options = settled(options, theirs, network.free_options, typed)
    task = task.bind_for_training(processor, network.max_length(options, processor, entry))
    return Assembly(entry, network, options, task, processor)


def load_network(checkpoint: "Checkpoint", device: "torch.device") -> "tuple[nn.Module, Any]":
    """The model in fp32, ready to evaluate, and its processor."""
    model, processor = network_of(checkpoint.entry).load(checkpoint.folder)
    must_agree(checkpoint.folder, checkpoint.task, processor)
    return model.to(device).eval(), processor
