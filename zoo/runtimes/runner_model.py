"""A runner in the place of a network: what a task calls to get logits."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasks.arrays import to_numpy
from tasks.errors import UserError
from zoo.generation.generate import sequences
from zoo.model.loading import load_config, new_model
from zoo.runtimes.array_model import Outputs, in_parts
from zoo.runtimes.runner import Runner
from zoo.runtimes.stages import GenerativeRunner, target_writer_of, writer_of


class RunnerModel(nn.Module):
    """Takes and gives tensors as the network of a checkpoint does; it has no weights of its own."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        """`folder` is the checkpoint's; of it config.json alone is read."""
        super().__init__()
        self.runner, self.folder = runner, folder
        self.write = writer_of(runner)
        """a `tasks.writes.WritesTokens`; None where the runner goes on with no texts"""
        self.write_targets = target_writer_of(runner)
        """a `tasks.writes.WritesTargets`; None where it writes no text from another"""

    def forward(self, **inputs: Tensor) -> Any:
        """The runner's outputs under transformers' names for them."""
        place = next(iter(inputs.values())).device
        parts = [self.runner(part) for part in in_parts(self.runner, self._arrays(inputs))]
        return Outputs(
            {
                name: torch.cat([torch.as_tensor(part[name], device=place) for part in parts])
                for name in parts[0]
            }
        )

    def _arrays(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        host = self.runner.device == "cpu"
        return {
            name: to_numpy(tensor.contiguous()) if host else tensor
            for name, tensor in inputs.items()
        }

    def generate(self, features: Tensor, **more: Tensor) -> Tensor:
        """Tokens int64 [batch, tokens], as `generate` of a network gives them.

        Args:
            features: the first input of the runner.
            more: others by name, such as `attention_mask`.

        Raises `UserError` for a runner that generates no text.
        """
        if not isinstance(self.runner, GenerativeRunner):
            raise UserError(
                f"{self.runner.deployment} writes no text: use eager, or export to onnx"
            )
        given = self._arrays({self.runner.signature.inputs[0].name: features, **more})
        return torch.as_tensor(sequences(self.runner, given), device=features.device)

    @cached_property
    def _shell(self) -> Any:
        """The network that the config describes, without weights: it knows how many frames so many
        samples make."""
        from transformers import AutoModelForCTC

        with torch.device("meta"):
            return new_model(AutoModelForCTC, load_config(self.folder))

    def _get_feat_extract_output_lengths(self, lengths: Tensor) -> Tensor:
        counted: Tensor = self._shell._get_feat_extract_output_lengths(lengths)
        return counted
