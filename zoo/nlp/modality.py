"""Text: token ids with a mask."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Generates, OfText, Task
from tasks.errors import UserError
from zoo.model.loading import load_tokenizer
from zoo.model.modality import Modality
from zoo.nlp import fast_tokenizer

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

TEXTS = (
    "it is",
    "a film that nobody needs",
    "a film that nobody needs, and that I loved",
)


TARGET, TARGET_AXIS = "decoder_input_ids", "target_length"
"""What a network is given of a text that it writes from another, and the name of its size."""


class Text(Modality):
    """Text inputs: token ids int64 [batch, length], their mask, and other outputs of the tokenizer;
    and previous tokens int64 [batch, target_length] if the model writes a text from another."""

    name = "nlp"
    axis = "length"
    unit = "tokens"
    usual_length = 128.0

    def load_processor(self, folder: Path) -> Any:
        """Return the tokenizer of a checkpoint."""
        return load_tokenizer(folder)

    def load_reader(self, folder: Path) -> Any:
        """Return the tokenizer of a checkpoint, without transformers if that adds nothing."""
        return fast_tokenizer.load(folder)

    def example_inputs(self, task: Task, processor: Any) -> tuple[Batch, Batch]:
        """Return a small and a large batch of texts; both contain padding. If the model writes a
        text from another, the target lengths differ by one token."""
        assert isinstance(task, OfText)
        items = [task.input_of(text, processor) for text in TEXTS]

        def batch(count: int) -> Batch:
            rows = task.inputs(items[:count])
            if isinstance(task, Generates):
                rows = task.given_tokens(rows, count + 1)
            return task.collate(rows)

        return batch(2), batch(3)

    def random_inputs(
        self, signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
    ) -> dict[str, np.ndarray]:
        """Return random token ids of the whole vocabulary, special tokens included, with their
        mask."""
        rng = np.random.default_rng([seed, *sizes.values()])
        shape = (sizes["batch"], sizes[self.axis])
        ends = rng.integers(1, shape[1] + 1, shape[0])
        ends[0] = shape[1]
        mask = np.arange(shape[1]) < ends[:, None]
        vocabulary = int(model.config.vocab_size)  # type: ignore[union-attr, arg-type]
        padding = int(getattr(model.config, "pad_token_id", 0) or 0)
        ids = np.where(mask, rng.integers(0, vocabulary, shape), padding)
        drawn = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape)}
        most = signature.limits.get(TARGET_AXIS, (1, None))[1]
        drawn[TARGET] = ids[:, :most]  # of a source and a target that are as long
        if TARGET_AXIS in sizes:
            drawn[TARGET] = rng.integers(0, vocabulary, (shape[0], sizes[TARGET_AXIS]))
        if unknown := [port.name for port in signature.inputs if port.name not in drawn]:
            raise UserError(
                f"this model takes {', '.join(unknown)}, and no tokens of a text: there are no "
                "random inputs for it"
            )
        return {port.name: drawn[port.name].astype(port.dtype) for port in signature.inputs}

    def bounds(self, task: Task, model: "nn.Module") -> tuple[int, int | None]:
        """Return the least and the largest number of tokens in an input, including special
        tokens."""
        longest: int = task.args.max_length  # type: ignore[attr-defined]
        return 1, longest

    def axis_of(self, name: str) -> str:
        """Return `axis`, and of tokens that are written `TARGET_AXIS`."""
        return TARGET_AXIS if name == TARGET else self.axis

    def further_bounds(self, task: Task) -> Mapping[str, tuple[int, int | None]]:
        """Return the bounds of the tokens that are written, of a task that writes."""
        return {TARGET_AXIS: (1, task.longest_text)} if isinstance(task, Generates) else {}

    def row_size(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Return the number of windows and the tokens of the longest."""
        windows = row["input_ids"]
        return len(windows), max(map(len, windows))

    def fixed_length(self, signature: "Signature", task: Task) -> float:
        """Return the number of tokens in an input of fixed size."""
        return int(signature.inputs[0].dims[-1])

    def work(self, arrays: Mapping[str, np.ndarray], task: Task) -> dict[str, float]:
        """Return the number of samples and of tokens without padding, including special tokens."""
        mask, first = arrays.get("attention_mask"), next(iter(arrays.values()))
        return {"samples": len(first), self.unit: float(first.size if mask is None else mask.sum())}

    def describe_inputs(self, task: Task) -> Iterator[str]:
        """Yield the task's sentences about what happens to a long text, for a card."""
        assert isinstance(task, OfText)
        yield task.describe_lengths()

    def program_inputs(self, repo: str) -> tuple[list[str], list[str]]:
        """Return Python code (imports and lines) that makes inputs of an ONNX session with the
        repo's tokenizer."""
        return ["from transformers import AutoTokenizer"], [
            f'encoded = AutoTokenizer.from_pretrained("{repo}")(["a text"], return_tensors="np")',
            "inputs = {put.name: encoded[put.name] for put in session.get_inputs()}",
        ]


MODALITY = Text()
