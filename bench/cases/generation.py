"""What is timed of a model that generates text: so many tokens about a batch, whatever they say.

Every deployment generates the same number, greedily, so that times compare: the end of a text is
not heeded. A decoder goes on with prompts that are all as long; the batch of others is what their
encoder takes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.cases.targets import Violations, synchronize
from tasks.errors import UserError
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.generate import generate
from zoo.measure.workload import NEW_TOKENS
from zoo.runtimes.deployment import Deployment

if TYPE_CHECKING:
    from zoo.generation.session import Generative, Session

TARGETS = "decoder_input_ids"
"""Of the inputs of an encoder-decoder what it would write."""
PARTS = ("self_attention_cache", "cross_attention_cache")
"""Of the cache of an encoder-decoder."""


class Generation:
    """A deployment and a batch; `call` generates for it once, `stream` token by token."""

    def __init__(
        self, runner: "Generative", inputs: dict[str, Any], tokens: int, device: str
    ) -> None:
        """
        Args:
            inputs: as `runner.start` takes them.
            tokens: of each text, 2 at least.
        """
        self.runner, self.inputs, self.tokens = runner, inputs, tokens
        self.decoding = Decoding().fixed_length(tokens)
        self.rows = len(next(iter(inputs.values())))
        self.prompt_tokens = inputs["input_ids"].size if "input_ids" in inputs else 0
        if device.startswith("cuda"):
            self.synchronize = synchronize
        self.violations = Violations()

    def call(self) -> np.ndarray:
        """Generate for the batch; return the tokens int64 [batch, tokens]."""
        return np.stack(list(self.stream()), 1)

    def stream(self) -> Iterator[np.ndarray]:
        """Yield each row's next token, int64 [batch], as soon as it is computed."""
        return generate(self.runner, self.inputs, self.decoding)

    def step(self, session: "Session") -> None:
        """Append a token to each text of a session."""
        self.runner.step(session, np.zeros((self.rows, 1), np.int64))

    def cache_bytes(self) -> int:
        """Return the bytes of memory that hold the keys and values of the batch when its texts are
        written, with the room behind them."""
        session = self.runner.start(self.inputs)
        for _ in range(self.tokens - 1):
            self.step(session)
        return sum(map(held_bytes, kept_tensors(session)))


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
    with np.load(inputs, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files if name != TARGETS}
        has_encoder = TARGETS in file.files
    if has_encoder:
        tokens = min(new_tokens, runner.decoding.max_new_tokens)
        return Generation(runner, given, tokens, device)
    writer = runner.writer()
    if writer is None:
        raise UserError(f"{deployment} of {Path(checkpoint).name} goes on with no prompt")
    made = writer.make_runner(SpecialTokens(eos=(), pad=0), Decoding())
    return Generation(made, given, new_tokens, device)


def kept_tensors(session: "Session") -> list[Any]:
    """Return the keys and values of a session, those of an encoder too: tensors, or OrtValues."""
    state = session.state
    cache = state.get("past_key_values")  # of transformers
    if cache is None:
        return [state[name] for name in state if name.startswith(("past_", "cross_"))]
    parts = [cache, *(getattr(cache, name, None) for name in PARTS)]
    layers = [layer for part in parts for layer in getattr(part, "layers", ())]
    found = [getattr(layer, name, None) for layer in layers for name in ("keys", "values")]
    return [each for each in found if each is not None]


def held_bytes(value: Any) -> int:
    """Return the bytes of the memory that a tensor or OrtValue is a part of."""
    if hasattr(value, "untyped_storage"):
        return int(value.untyped_storage().nbytes())
    return int(value.numpy().nbytes)
