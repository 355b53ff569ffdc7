"""What of a model is trained: all of it, its head, layer after layer, or low-rank adapters."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tasks.errors import UserError
from zoo.store.pretrained import NEW
from zoo.train.methods.base import Data, Hook, Method, Named, Saved
from zoo.train.optim.optimizer import LAYER, depth_of

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

INNER_HEAD = re.compile(r"\.(?:(?:class|bbox)_embed\.\d+|enc_(?:score|bbox)_head)$")
"""Layers of a detector of transformers that stand in its body and predict classes and boxes."""


class Tuning(Method):
    """Freezes part of the network or adds adapters; sets dropout and gradient checkpointing."""

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Return whether the flags freeze or adapt the network, or set dropout or gradient
        checkpointing."""
        frozen = args.tune not in ("full", "gradual")
        return frozen or args.dropout is not None or args.gradient_checkpointing

    def look(self) -> None:
        """Check that what stays frozen comes with weights, and is not random (`Method.look`)."""
        tune, options = self.setup.args.tune, self.setup.job.options
        anew = "`from_scratch`" if getattr(options, "from_scratch", False) else None
        if getattr(options, "model", NEW) == NEW:
            anew = f"`model` {NEW}"
        if tune in ("head", "lora") and anew:
            raise UserError(
                f"`tune` {tune} leaves the network below the head as it is, and with {anew} that is"
                " random: begin from weights, or take `tune` full"
            )

    def model(self, model: Any, data: Data) -> Any:
        """Return the model frozen or adapted as the flags say (`Method.model`)."""
        return prepare_tuning(model, self.setup.args)

    def to_save(self, model: Any) -> Saved | None:
        """Return the plain network with the adapters merged, and save the adapters in a folder of
        their own; None without adapters."""
        if not hasattr(model, "peft_config"):
            return None

        def beside(folder: Path) -> None:
            save_adapter(model, folder / "adapter")

        return Saved(model.get_base_model(), merged_state(model), beside)


def prepare_tuning(model: Any, args: "TrainArgs") -> Any:
    """Return the model prepared for training as `args` say: partly frozen, or with adapters.

    Raises `UserError` if the model has no pretrained part to freeze.
    """
    if args.dropout is not None:
        set_dropout(model, args.dropout)
    if args.gradient_checkpointing:
        if not getattr(model, "supports_gradient_checkpointing", False):
            raise UserError(f"`gradient_checkpointing`: {type(model).__name__} has none of it")
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if args.tune in ("full", "gradual"):
        return model
    heads = heads_of(model)
    if not heads and (args.tune == "head" or not _is_pretrained_body(model)):
        raise UserError(
            f"`tune` {args.tune} wants a model with a pretrained body and a head of its own; "
            f"{type(model).__name__} has none: use `tune` full"
        )
    if args.tune == "head":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(tuple(f"{head}." for head in heads)))
        keep_statistics(model, heads)
        return model
    return _with_adapters(model, heads, args)


def _must_not_share(model: Any) -> None:
    """Raise `UserError` for a model whose layers share weights with no embedding of tokens, as
    those of boxes do in some detectors: each would get an adapter of its own."""
    if not getattr(model, "_tied_weights_keys", None):
        return
    try:
        model.get_input_embeddings()
    except NotImplementedError:
        raise UserError(
            f"`tune` lora: layers of {type(model).__name__} share their weights, and adapters"
            " can't: use `tune` full or head"
        ) from None


def _with_adapters(model: Any, heads: Sequence[str], args: "TrainArgs") -> Any:
    """Return the model with low-rank adapters on the linear layers below its heads, which are
    trained whole; that of a language model is pretrained as its body is, and stays.

    Tokens that the vocabulary has grown by (the model's `new_tokens`) are trained, too.
    """
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer, its weight transposed

    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    given = [name for name, module in model.named_modules() if module is output]
    heads = [name for name in heads if name not in given]
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and id(module.weight) not in embeddings  # an output layer that shares it
        and not f"{name}.".startswith(tuple(f"{h}." for h in (*heads, *given)))
    ]
    if not linear:
        raise UserError(
            f"`tune` lora adapts linear layers, and the body of {type(model).__name__} has none: "
            "use `tune` full, head or gradual"
        )
    _must_not_share(model)
    return get_peft_model(
        model,
        LoraConfig(
            r=args.lora_r,
            lora_alpha=args.lora_alpha,
            lora_dropout=args.lora_dropout,
            target_modules=linear,
            modules_to_save=heads or None,
            trainable_token_indices=_new_rows(model),
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        ),
    )


def _new_rows(model: Any) -> dict[str, list[int]] | None:
    """Return the rows that are new in a model's embeddings, and in its output layer where that has
    weights of its own, by the name of the layer; None where none is."""
    new = getattr(model, "new_tokens", ())
    if not new:
        return None
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    if layers[0].weight is layers[1].weight:  # peft ties what is tied
        layers.pop()
    return {n: list(new) for n, m in model.named_modules() if any(m is each for each in layers)}


def keep_statistics(model: nn.Module, heads: Sequence[str]) -> None:
    """Let the batch norms of a frozen body compute as in evaluation, also in training, in place.

    Their running statistics are part of the body, and the head learns from what it will see later.
    """
    for name, module in model.named_modules():
        is_head = name.startswith(tuple(f"{head}." for head in heads))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not is_head:
            module.eval()
            module.train = functools.partial(_stay, module)  # type: ignore[assignment]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """Take the place of a module's `train` that is to stay as it is."""
    return module


def body_of(model: Any) -> Any:
    """Return the pretrained part below the heads, or the model itself if it has no such part."""
    prefix = getattr(model, "base_model_prefix", "")
    return getattr(model, prefix, model) if prefix else model


def _is_pretrained_body(model: Any) -> bool:
    """Return whether a model without a head of its own has a part that is worth adapting: a body
    below its prefix, or, as in T5, all of a model that writes tokens."""
    if body_of(model) is not model:
        return True
    found = getattr(model, "get_output_embeddings", None)
    return found is not None and found() is not None


def heads_of(model: Any) -> list[str]:
    """Return the names of modules outside the pretrained body, or of timm's classifier in it, or of
    the layers in it that predict what a detector finds.

    A module whose only weights are shared with an embedding of the body is left out.
    """
    prefix, body = getattr(model, "base_model_prefix", ""), body_of(model)
    if body is model:
        return []
    if hasattr(body, "get_classifier"):
        classifier = body.get_classifier()
        return [name for name, module in model.named_modules() if module is classifier]
    shared = {id(parameter) for parameter in body.parameters()}
    outside = [
        name
        for name, child in model.named_children()
        if name != prefix and any(id(parameter) not in shared for parameter in child.parameters())
    ]
    return outside or [name for name, _ in model.named_modules() if INNER_HEAD.search(name)]


def set_dropout(model: nn.Module, p: float) -> None:
    """Set one dropout probability everywhere in a network.

    Raises `UserError` if p is not a probability below 1.
    """
    if not 0 <= p < 1:
        raise UserError(f"`dropout` {p} is no probability below 1")
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):  # Dropout2d is no nn.Dropout
            module.p = p
        for name in ("dropout", "attention_dropout", "dropout_prob"):
            if isinstance(module.__dict__.get(name), float):
                setattr(module, name, p)


class GradualUnfreezing(Hook):
    """Trains the head first, then one more layer after another (Howard & Ruder 2018, section 3.3).

    The layers are spread evenly over training as a function of its progress alone, so a resumed run
    unfreezes them at the same steps. What the network itself keeps frozen stays frozen.
    """

    keeps_program = False  # later steps have more gradients

    def attach(self, model: nn.Module, named: Named) -> Named:
        """Sort the trained parameters by their depth below the head; return `named` unchanged."""
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        layers = max(
            (int(m.group(1)) for m in (LAYER.search(n) for n, _ in trained) if m), default=-1
        )
        self._depths = [(parameter, depth_of(name, layers + 1)) for name, parameter in trained]
        self._levels = sorted({depth for _, depth in self._depths})
        return named

    def before_step(self, done: float) -> None:
        """Freeze all layers but those that training has reached at the share `done`."""
        reached = self._levels[min(int(done * len(self._levels)), len(self._levels) - 1)]
        for parameter, depth in self._depths:
            parameter.requires_grad_(depth <= reached)


def merged_state(adapted: Any) -> dict[str, Tensor]:
    """Return the state dict of the plain model with LoRA's products added to its weights, and the
    rows of new tokens as they were trained.

    The adapted model itself is not touched: merging in place and taking it back would not give the
    same bits.
    """
    state = {}
    deltas = {
        f"{name}.base_layer.weight": module.get_delta_weight("default")
        for name, module in adapted.base_model.model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    rows = {
        f"{name}.base_layer.weight": (module.token_indices["default"], new["default"])
        for name, module in adapted.base_model.model.named_modules()
        if (new := getattr(module, "trainable_tokens_delta", None)) is not None
    }
    tied: dict[int, Tensor] = {}  # by address: an output layer may share its weight
    for name, tensor in adapted.base_model.model.state_dict().items():
        if "lora_" in name or ".original_module." in name or "trainable_tokens_" in name:
            continue
        merged = tensor + deltas[name].to(tensor.dtype) if name in deltas else tensor
        if name in rows:
            which, values = rows[name]
            places = torch.tensor(which, device=tensor.device)
            new_rows = values.detach().to(tensor.dtype)
            merged = tied.setdefault(tensor.data_ptr(), tensor.index_copy(0, places, new_rows))
        plain = name.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")
        state[plain.replace(".token_adapter.", ".")] = merged
    return state


def save_adapter(adapted: Any, folder: Path) -> None:
    """Save the adapter alone in `folder`, in peft's format."""
    with torch.no_grad():
        # "auto" asks for an embedding, which models of sound do not have
        adapted.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
