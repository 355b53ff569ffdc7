"""A runner in the place of a network, for batches of numpy's arrays: no torch is imported."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tasks.arrays import to_numpy
from zoo.runtimes.runner import Runner
from zoo.runtimes.stages import target_writer_of, writer_of


class Outputs(dict[str, Any]):
    """Outputs by name, as attributes too, as transformers' networks give them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no output {name!r}") from None


class ArrayModel:
    """Takes and gives numpy's arrays where the network of a checkpoint takes and gives tensors."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.write = writer_of(runner)
        """a `tasks.writes.WritesTokens`; None where the runner goes on with no texts"""
        self.write_targets = target_writer_of(runner)
        """a `tasks.writes.WritesTargets`; None where it writes no text from another"""

    def __call__(self, **inputs: np.ndarray) -> Outputs:
        """The runner's outputs under transformers' names for them."""
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        parts = [self.runner(part) for part in in_parts(self.runner, given)]
        return Outputs(
            {name: np.concatenate([to_numpy(part[name]) for part in parts]) for name in parts[0]}
        )


def in_parts(runner: Runner, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A batch, arrays or tensors by name, in as few parts as the runner takes it in."""
    rows = len(next(iter(given.values())))
    most = runner.signature.limits.get("batch", (1, None))[1] or max(rows, 1)
    for first in range(0, max(rows, 1), most):
        yield {name: array[first : first + most] for name, array in given.items()}
