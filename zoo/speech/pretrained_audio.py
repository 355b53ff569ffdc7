"""The network of ast_cls: a pretrained audio model out of transformers, with a new head."""

from typing import TYPE_CHECKING, Any

import torch

from tasks.errors import UserError
from zoo.model.loading import load_config, load_feature_extractor
from zoo.speech import modeling_kws  # noqa: F401  a checkpoint of it may be the start
from zoo.speech.pretrained_speech import WithFrontEnd, freeze_front, make_extractor, make_model
from zoo.store import pretrained

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.ast_cls import Options

AST = "audio-spectrogram-transformer"
FRAME, HOP = 0.025, 0.010  # seconds, of AST's features


def resize_positions(model: Any, frames: int) -> None:
    """Resize AST's position embeddings, in place, for inputs of this many frames.

    This is what Gong et al. 2021, section 2.2, do to ViT's: cut out of the middle where there are
    too many, interpolated bilinearly where there are too few.
    """
    embeddings = model.audio_spectrogram_transformer.embeddings
    bands, before = embeddings.get_shape(model.config)
    model.config.max_length = frames
    _, after = embeddings.get_shape(model.config)
    positions = embeddings.position_embeddings.detach()  # [1, 2 + bands * before, hidden]
    grid = positions[:, 2:].reshape(1, bands, before, -1).permute(0, 3, 1, 2)
    if after <= before:
        start = (before - after) // 2
        grid = grid[..., start : start + after]
    else:
        grid = torch.nn.functional.interpolate(grid, (bands, after), mode="bilinear")
    patches = grid.permute(0, 2, 3, 1).flatten(1, 2)  # [1, bands * after, hidden]
    fitted = torch.cat([positions[:, :2], patches], 1).contiguous()
    embeddings.position_embeddings = torch.nn.Parameter(fitted)


class PretrainedAudio(WithFrontEnd):
    """An audio model of transformers with a classification head."""

    auto_class = "AutoModelForAudioClassification"
    load_processor = staticmethod(load_feature_extractor)

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return the feature extractor that belongs to the weights; AST's is set to the model's
        input length.

        Raises `UserError` where the weights are not at hand, or for a length they can't have.
        """
        extractor = make_extractor(options.model, entry)
        found = pretrained.find(options.model, entry.presets)
        config = load_config(found.folder)
        if config.model_type != AST:
            if options.seconds is not None:
                raise UserError(f"`seconds` is for AST; {options.model} hears sounds of any length")
            return extractor
        extractor.max_length = config.max_length
        if options.seconds is not None:
            extractor.max_length = int((options.seconds - FRAME) / HOP + 1e-6) + 1
            if extractor.max_length < config.patch_size:
                least = (config.patch_size - 1) * HOP + FRAME
                raise UserError(
                    f"`seconds` {options.seconds}: at least {least:.3f}, one patch of AST"
                )
        return extractor

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32 with a new head, and where its weights came from.

        The head is drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand or are of no classifier of sounds.
        """
        from transformers import AutoModelForAudioClassification

        model, source = make_model(
            AutoModelForAudioClassification,
            options.model,
            entry,
            "classification head",
            task.model_config(),
            same_head=None,
        )
        if model.config.model_type == AST and processor.max_length != model.config.max_length:
            resize_positions(model, processor.max_length)
        freeze_front(model, options.freeze_feature_encoder)
        return model, source


NETWORK = PretrainedAudio()
