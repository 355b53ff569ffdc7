"""A runner of the processor that stands for one on a GPU."""

from typing import Any

import torch

from zoo.runtimes.runner import Runner


class OnGpu(Runner):
    """Says that it is on a GPU, and gives tensors, as runners there do."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.deployment, runner.signature, "cuda", None)
        self.runner = runner

    def run(self, inputs: Any) -> dict[str, Any]:
        return {name: torch.from_numpy(a) for name, a in self.runner.run(inputs).items()}
