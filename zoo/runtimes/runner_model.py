"""A runner in the place of a network: what a task calls to get logits."""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.runtimes.runner import Runner


class RunnerModel(nn.Module):
    """Takes and gives tensors as the network of a checkpoint does; it has no weights of its own."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        """`folder` is the checkpoint's; of it config.json alone is read."""
        super().__init__()
        self.runner, self.folder = runner, folder

    def forward(self, **inputs: Tensor) -> Any:
        """The runner's outputs under transformers' names for them."""
        from transformers.utils import ModelOutput

        host = self.runner.device == "cpu"
        given = {
            name: tensor.detach().contiguous().numpy() if host else tensor
            for name, tensor in inputs.items()
        }
        found = self.runner(given)
        place = next(iter(inputs.values())).device
        return ModelOutput(
            {name: torch.as_tensor(array, device=place) for name, array in found.items()}
        )

    @cached_property
    def _shell(self) -> Any:
        """The network that the config describes, without weights: it knows how many frames so many
        samples make."""
        import transformers

        from zoo import auto

        config = transformers.AutoConfig.from_pretrained(self.folder, local_files_only=True)
        name = config.architectures[0]
        kind = getattr(auto, name, None) or getattr(transformers, name)
        with torch.device("meta"):
            return kind(config)

    def _get_feat_extract_output_lengths(self, lengths: Tensor) -> Tensor:
        counted: Tensor = self._shell._get_feat_extract_output_lengths(lengths)
        return counted
