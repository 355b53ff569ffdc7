"""Whisper out of transformers, with our loop of generation."""

from typing import Any

import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration as Whisper

from tasks.errors import UserError
from zoo.generation.generate import sequences
from zoo.generation.network import NetworkDecoder


class WhisperForConditionalGeneration(Whisper):  # type: ignore[misc]
    """transformers' Whisper under its own class name, which is written into config.json.

    Only `generate` differs: it gives the same tokens, using the loop of `zoo.generation`.
    """

    def generate(self, input_features: Tensor | None = None, **options: Any) -> Any:
        """Return the tokens int64 [batch, tokens] of sounds float32 [batch, bins, frames], without
        those that every text begins with and the one that ends it, padded at the end.

        What our loop does not know, options and a generation config that asks for more than greedy
        decoding in one language, is left to transformers.
        """
        if input_features is None or options:
            return super().generate(input_features, **options)
        try:
            decoder = NetworkDecoder.of(self)
        except UserError:
            return super().generate(input_features)
        ids = sequences(decoder, {"input_features": input_features})
        return torch.from_numpy(ids).to(input_features.device)
