"""Pretrained speech models out of transformers: what their kinds have in common."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import UserError
from zoo.model import own_weights
from zoo.model.loading import (
    Unreadable,
    head_names,
    load_feature_extractor,
    load_with_head,
)
from zoo.model.network import Network
from zoo.store import pretrained

MASKING = ("_mask_hidden_states", "_mask_input_features")
"""How transformers' models call their SpecAugment: wav2vec2 and its kin, and Whisper."""


def make_extractor(model: str, entry: Any) -> Any:
    """Return the feature extractor that belongs to the weights.

    Raises `UserError` where the weights are not at hand or have none.
    """
    found = pretrained.find(model, entry.presets)
    try:
        return load_feature_extractor(found.folder)
    except Unreadable as error:
        raise UserError(
            f"{model} has no feature extractor (preprocessor_config.json), so nothing says how it "
            f"hears: {error.reason}"
        ) from None


def make_model(
    auto: Any,
    model: str,
    entry: Any,
    head: str,
    settings: dict[str, Any],
    same_head: bool | None = True,
) -> tuple[Any, dict[str, Any]]:
    """Return the model in fp32 and where its weights came from, and say what of them was kept.

    What the weights lack, as a new head, is drawn from torch's global random state; seed it first.

    Args:
        auto: one of transformers' Auto classes.
        head: what such a model has, for the error.
        settings: fields of its config.
        same_head: whether a head that fits is kept; None: where its labels are the same.

    Raises `UserError` where the weights are not at hand or are of no such model.
    """
    found = pretrained.find(model, entry.presets)
    try:
        if same_head is None:
            made = own_weights.load_for_labels(auto, found.folder, model, **settings)
        else:
            made = _with_symbols(auto, found.folder, model, settings, same_head)
    except Unreadable as error:
        raise UserError(f"{model} has no {head} in transformers: {error.reason}") from None
    seed_masks(made)
    return made, found.source(model)


def _with_symbols(
    auto: Any, folder: Path, model: str, settings: dict[str, Any], same_head: bool
) -> Any:
    made, drawn = load_with_head(auto, folder, **settings)
    head = head_names(made)
    if not same_head and not head & set(drawn):
        own_weights.draw(made, head)
        drawn = sorted({*drawn, *head})
    own_weights.tell(model, made, drawn)
    return made


def seed_masks(model: Any) -> None:
    """Make the model's own SpecAugment (Park et al. 2019) follow torch's seed, in place.

    transformers draws its masks from numpy's global state, which nothing sets in training, so that
    a resumed run would see other masks. Here they are drawn from a state seeded by a draw of
    torch's generator, which the loop seeds for every pass. And sounds too short for a single mask,
    an error in transformers, are left as they are.
    """
    for module in model.modules():
        for name in MASKING:
            if hasattr(module, name):
                if not hasattr(module.config, "mask_feature_min_masks"):
                    module.config.mask_feature_min_masks = 0  # WavLM reads it and has it not
                setattr(module, name, _seeded(module, getattr(module, name)))
        if type(module).__name__.endswith("Adapter") and hasattr(module, "layerdrop"):
            module.layerdrop = 0.0  # drawn from numpy as well; the encoder's is drawn from torch


def _seeded(module: Any, mask: Any) -> Any:
    def masked(values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        config = module.config
        # [batch, frames, hidden] of wav2vec2, [batch, mels, frames] of Whisper
        frames = values.shape[2 if mask.__name__ == "_mask_input_features" else 1]
        if not module.training or frames <= config.mask_time_length:
            return values
        with numpy_seeded(int(torch.randint(2**31, ()))):
            result: Tensor = mask(values, *args, **kwargs)
            return result

    return masked


@contextlib.contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global random state inside the context, and restore it afterwards."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


class PretrainedSpeech(Network):
    """A speech model of transformers, which masks its inputs in training."""

    def prepare_training(self, model: Any, options: Any) -> None:
        """Make the model's masks follow torch's seed, in place."""
        seed_masks(model)


class WithFrontEnd(PretrainedSpeech):
    """A speech model whose option `freeze_feature_encoder` freezes its first convolutions."""

    def prepare_training(self, model: Any, options: Any) -> None:
        """Make the model's masks follow torch's seed, and freeze its first convolutions if the
        options say so."""
        super().prepare_training(model, options)
        freeze_front(model, options.freeze_feature_encoder)


def freeze_front(model: Any, wanted: bool) -> None:
    """Freeze the model's first convolutions if it has them and `wanted` is true."""
    if wanted and hasattr(model, "freeze_feature_encoder"):
        model.freeze_feature_encoder()
