"""What is timed of a model that writes text: so many tokens about a batch, whatever they say.

Every deployment writes the same number, greedily, so that times compare: the end of a text is not
heeded. eager is transformers' own `generate`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases.targets import Violations, synchronize
from tasks.errors import UserError
from zoo.measure.workload import NEW_TOKENS
from zoo.runtimes.deployment import Deployment


class Generation:
    """A deployment and a batch; `call` writes about it once, `first` its first token only."""

    def __init__(self, write: Callable[[int], np.ndarray], tokens: int, device: str) -> None:
        self.write, self.tokens = write, tokens
        if device.startswith("cuda"):
            self.synchronize = synchronize
        self.violations = Violations()

    def call(self) -> np.ndarray:
        """The tokens int64 [batch, tokens]."""
        return self.write(self.tokens)

    def first(self) -> np.ndarray:
        """The tokens int64 [batch, 1]."""
        return self.write(1)


def generation(
    checkpoint: str,
    deployment: str,
    inputs: str,
    device: str,
    threads: int | None,
    new_tokens: int = NEW_TOKENS,
) -> Generation:
    """Loads a deployment. Raises `UserError` for a model or a deployment that writes no text."""
    from zoo import runtimes
    from zoo.generation.decoding import Greedy
    from zoo.runtimes.stages import Writer
    from zoo.runtimes.torch_runner import TorchRunner
    from zoo.speedups import allocator

    allocator.keep_freed_memory()
    wanted = Deployment.parse(deployment)
    runner = runtimes.load(Path(checkpoint), wanted, device, threads)
    with np.load(inputs, allow_pickle=False) as file:
        features = file[runner.signature.inputs[0].name]
    if isinstance(runner, Writer):
        writer = runner
        most = Greedy.read(Path(checkpoint)).most
        tokens = min(new_tokens, most)
        return Generation(lambda count: writer.generate(features, exactly=count), tokens, device)
    if wanted.runtime == "eager" and isinstance(runner, TorchRunner):
        program: Any = runner.program
        if program.can_generate():
            most = program.generation_config.max_new_tokens
            write = _of_transformers(runner, program, features)
            return Generation(write, min(new_tokens, most), device)
    raise UserError(
        f"{deployment} of {Path(checkpoint).name} writes no text: eager and onnx do, of whisper_asr"
    )


def _of_transformers(runner: Any, model: Any, features: np.ndarray) -> Callable[[int], np.ndarray]:
    import torch

    given = torch.from_numpy(features).to(runner.device, model.dtype)

    def write(tokens: int) -> np.ndarray:
        with torch.inference_mode(), runner.arithmetic():
            found = model.generate(given, max_new_tokens=tokens, min_new_tokens=tokens)
        written: np.ndarray = found[:, -tokens:].cpu().numpy()
        return written

    return write
