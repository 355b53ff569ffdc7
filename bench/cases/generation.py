"""What is timed of a model that generates text: so many tokens about a batch, whatever they say.

Every deployment generates the same number, greedily, so that times compare: the end of a text is
not heeded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.cases.targets import Violations, synchronize
from tasks.errors import UserError
from zoo.generation.generate import generate
from zoo.measure.workload import NEW_TOKENS
from zoo.runtimes.deployment import Deployment

if TYPE_CHECKING:
    from zoo.runtimes.stages import GenerativeRunner


class Generation:
    """A deployment and a batch; `call` generates for it once, `stream` token by token."""

    def __init__(self, runner: "GenerativeRunner", inputs: dict[str, Any], new_tokens: int) -> None:
        self.runner, self.inputs = runner, inputs
        self.tokens = min(new_tokens, runner.decoding.max_new_tokens)
        self.decoding = runner.decoding.fixed_length(self.tokens)
        if runner.device.startswith("cuda"):
            self.synchronize = synchronize
        self.violations = Violations()

    def call(self) -> np.ndarray:
        """Generate for the batch; return the tokens int64 [batch, tokens]."""
        return np.stack(list(self.stream()), 1)

    def stream(self) -> Iterator[np.ndarray]:
        """Yield each row's next token, int64 [batch], as soon as it is computed."""
        return generate(self.runner, self.inputs, self.decoding)


def generation(
    checkpoint: str,
    deployment: str,
    inputs: str,
    device: str,
    threads: int | None,
    new_tokens: int = NEW_TOKENS,
) -> Generation:
    """Load a deployment that generates. Raises `UserError` for one that writes no text."""
    from zoo import runtimes
    from zoo.runtimes.stages import GenerativeRunner
    from zoo.speedups import allocator

    allocator.keep_freed_memory()
    runner = runtimes.load(Path(checkpoint), Deployment.parse(deployment), device, threads)
    if not isinstance(runner, GenerativeRunner):
        raise UserError(
            f"{deployment} of {Path(checkpoint).name} writes no text: eager and onnx do, of models "
            "that write"
        )
    name = runner.signature.inputs[0].name
    with np.load(inputs, allow_pickle=False) as file:
        return Generation(runner, {name: file[name]}, new_tokens)
