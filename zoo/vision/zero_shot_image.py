"""Zero-shot labels for images, by weights that embed images and texts in one space.

CLIP (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision")
and SigLIP (Zhai et al. 2023), through transformers. A label's logit is the weights' own: the cosine
of the image and of "a photo of a cat.", scaled as they learned it. The score is the softmax over
the labels, as transformers' zero-shot-image-classification pipeline has it for CLIP; for SigLIP
that pipeline gives each label's own sigmoid instead, in the same order.

No real weights of these were at hand: what has run are small random ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import UserError
from tasks.vision import image_items, images
from tasks.vision.image_classification import Args, ImageClassification
from zoo.model.loading import Unreadable, load_config, load_pretrained, load_processor
from zoo.model.parts import must_be_filled

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

TEMPLATE = "a photo of a {}."
ROWS = 64  # labels in a pass


class Similarity:
    """A scorer by embeddings: how well the label's sentence fits the image."""

    def __init__(
        self,
        task: ImageClassification,
        model: Any,
        processor: Any,
        sentences: list[str],
        device: torch.device,
    ) -> None:
        self.task, self.model, self.processor, self.device = task, model, processor, device
        with torch.inference_mode():
            self.labels = torch.cat(
                [self._embed_texts(sentences[i : i + ROWS]) for i in range(0, len(sentences), ROWS)]
            )

    def _embed_texts(self, sentences: list[str]) -> Tensor:
        """Return text embeddings of length one, float32 [b, hidden]."""
        text = self.model.config.text_config
        fixed = "siglip" in self.model.config.model_type  # trained on texts of one length
        batch = self.processor.tokenizer(
            sentences,
            padding="max_length" if fixed else True,
            truncation=True,
            max_length=text.max_position_embeddings,
            return_tensors="pt",
        ).to(self.device)
        return _unit(self.model.get_text_features(**batch))

    def logits(self, inputs: Sequence[Any]) -> Tensor:
        """Return scaled cosines, float32 [b, labels]; inputs are images as the task reads them,
        paths, or PIL images."""
        pictures = [_rgb(item) for item in inputs]
        batch = self.processor.image_processor(images=pictures, return_tensors="pt")
        pixels = batch["pixel_values"].to(self.device, torch.float32)
        cosines = _unit(self.model.get_image_features(pixel_values=pixels)) @ self.labels.T
        bias = getattr(self.model, "logit_bias", 0.0)
        found: Tensor = cosines * self.model.logit_scale.exp() + bias
        return found


def _unit(features: Any) -> Tensor:
    """Return features, as transformers gives them in or out of an output object, scaled to length
    one."""
    pooled = features if isinstance(features, Tensor) else features.pooler_output
    return torch.nn.functional.normalize(pooled.float(), dim=-1)


def _rgb(item: Any) -> "PILImage":
    from PIL import Image

    pixels = image_items.pixels(item, images.decode, images.open_any)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


@dataclass(frozen=True)
class Weights:
    """Weights that label images without training, for any labels."""

    model: Any
    processor: Any
    device: torch.device

    def prepare(self, inputs: Sequence[Any]) -> "list[images.Pixels]":
        """Return the pixels of images. Raises `UserError` for what is no image."""
        return [image_items.pixels(one, images.decode, images.open_any) for one in inputs]

    def scorer(self, labels: tuple[str, ...], template: str) -> Similarity:
        """Return a scorer for labels."""
        task = ImageClassification(Args(), labels, "single_label_classification")
        sentences = [template.replace("{}", label) for label in labels]
        return Similarity(task, self.model, self.processor, sentences, self.device)


def load(folder: Path, labels: tuple[str, ...], template: str, device: torch.device) -> Similarity:
    """Return a scorer made from the weights in a folder. Raises as `load_weights` does."""
    return load_weights(folder, device).scorer(labels, template)


def load_weights(folder: Path, device: torch.device) -> Weights:
    """Return the weights in a folder, on a device.

    Raises `UserError` where they do not embed both images and texts.
    """
    from transformers import AutoModel

    try:
        config = load_config(folder)
        if not (hasattr(config, "vision_config") and hasattr(config, "text_config")):
            raise ValueError("they have no text tower beside one for images")
        model = load_pretrained(AutoModel, folder)
        if not hasattr(model, "logit_scale"):
            raise ValueError(f"{config.model_type} does not compare images with texts")
        processor = load_processor(folder)
        for part in ("tokenizer", "image_processor"):
            if not hasattr(processor, part):
                raise ValueError(f"there are no files of their {part.replace('_', ' ')}")
        must_be_filled(processor.tokenizer, folder)
    except (ValueError, Unreadable) as error:
        reason = error.reason if isinstance(error, Unreadable) else str(error)
        raise UserError(
            f"{folder} can't label images without training ({reason}): `zero_shot` wants weights "
            "of CLIP or SigLIP"
        ) from None
    return Weights(model.to(device).eval(), processor, device)
