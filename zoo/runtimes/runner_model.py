"""A runner in the place of a network: what a task calls to get logits."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasks.errors import UserError
from zoo.generation.generate import sequences
from zoo.model.loading import load_config, new_model
from zoo.runtimes.runner import Runner
from zoo.runtimes.stages import GenerativeRunner


class Outputs(dict[str, Tensor]):
    """Outputs by name, as attributes too, as transformers' networks give them."""

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no output {name!r}") from None


class RunnerModel(nn.Module):
    """Takes and gives tensors as the network of a checkpoint does; it has no weights of its own."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        """`folder` is the checkpoint's; of it config.json alone is read."""
        super().__init__()
        self.runner, self.folder = runner, folder

    def forward(self, **inputs: Tensor) -> Any:
        """The runner's outputs under transformers' names for them."""
        given = self._arrays(inputs)
        place = next(iter(inputs.values())).device
        parts = [self.runner(part) for part in self._parts(given)]
        return Outputs(
            {
                name: torch.cat([torch.as_tensor(part[name], device=place) for part in parts])
                for name in parts[0]
            }
        )

    def _parts(self, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A batch in as few parts as the runner takes it in."""
        rows = len(next(iter(given.values())))
        most = self.runner.signature.limits.get("batch", (1, None))[1] or max(rows, 1)
        for first in range(0, max(rows, 1), most):
            yield {name: array[first : first + most] for name, array in given.items()}

    def _arrays(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        host = self.runner.device == "cpu"
        return {
            name: tensor.detach().contiguous().numpy() if host else tensor
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
