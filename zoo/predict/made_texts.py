"""evaluate --samples: how varied the texts are that a model writes behind real beginnings, beside
how these texts go on.

Distinct-1 and distinct-2 (`tasks.metrics.distinct_ngrams`). Each token is drawn by its probability,
as the model has it: a model that repeats itself has less of them than real texts have, and one that
has learned nothing has more.
"""

import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tasks.base import Task
from tasks.errors import UserError
from tasks.metrics.distinct_ngrams import estimates
from tasks.writes import Writes
from zoo.machine import terminal
from zoo.machine.precision import autocast
from zoo.machine.progress import ProgressBar, Rate
from zoo.predict.judged import MADE, Judged, cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import datasets
    from torch import nn

    from tasks.base import Features
    from tasks.metrics.intervals import MetricEstimate
    from zoo.cli.args import EvaluateArgs

NEW_TOKENS = 64
"""Of each text, or less where the model's context has no room for them."""
AS_IT_IS: dict[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_new_tokens": 0,
}
"""Of settings of writing those that leave the probabilities as the model has them, whatever its
generation config says; with a top_k of the whole vocabulary."""
REAL = "real texts"


@dataclass(frozen=True)
class JudgedTexts(Judged):
    """How varied texts are that were written, and those that stand in the data."""

    kind = "texts"
    sets: "Mapping[str, Sequence[MetricEstimate]]"
    new_tokens: int
    """of each text, at most"""
    seed: int

    def described(self) -> dict[str, Any]:
        """Return how the texts were written, as plain JSON."""
        return {"new_tokens": self.new_tokens, "temperature": 1.0, "seed": self.seed}

    def show(self) -> None:
        """Print the metrics as a table."""
        rows = [
            (name, *(cell for one in found for cell in cells(one)), f"{found[0].n:,}")
            for name, found in self.sets.items()
        ]
        header = ("texts", "distinct_1", "95% interval", "distinct_2", "95% interval", "n")
        title = f"different words and pairs of words, of texts of {self.new_tokens} tokens at most"
        terminal.table(header, rows, title, after_gap=True)


@dataclass(frozen=True)
class TextJudge:
    """Measures how varied the texts of a model are."""

    task: Any
    """of the model, as it writes here"""
    prompts: "Sequence[str]"
    real: "Sequence[str]"
    """how the text of each prompt goes on in the data, as long as what is written at most"""
    new_tokens: int
    seed: int
    batch_size: int
    device: torch.device

    def judge(self, model: "nn.Module", features: "Features", dtype: torch.dtype) -> JudgedTexts:
        """Return how varied the texts are that the model writes, and the real ones
        (`zoo.predict.judged.Judge`)."""
        found = {MADE: self._written(model, dtype), REAL: self.real}
        sets = {name: estimates(texts) for name, texts in found.items()}
        return JudgedTexts(sets, self.new_tokens, self.seed)

    def _written(self, model: "nn.Module", dtype: torch.dtype) -> list[str]:
        found: list[str] = []
        bar, rate = ProgressBar("writing texts", len(self.prompts), stays=False), Rate()
        rate.add(time.perf_counter(), 0)
        with closing(bar), torch.inference_mode():
            for first in range(0, len(self.prompts), self.batch_size):
                part = self.prompts[first : first + self.batch_size]
                batch = self.task.collate(self.task.inputs(part)).to(self.device)
                with autocast(self.device, dtype):
                    found += [one.text for one in self.task.predict(model, batch)]
                rate.add(time.perf_counter(), len(found))
                bar.show(len(found), rate.per_second, "")
        return found


def judge_of(
    args: "EvaluateArgs",
    task: Task,
    model: "nn.Module",
    examples: "datasets.Dataset",
    data: str,
    device: torch.device,
) -> TextJudge | None:
    """Return what measures the texts of a model; None where that is not asked for.

    Args:
        examples: the split that the model is evaluated on.
        data: its name, for errors.

    Raises `UserError` where what runs the model writes no text, or the split has too few texts that
    can be gone on with.
    """
    assert isinstance(task, Writes)
    if args.samples is None:
        if args.seed is not None:
            raise UserError("`seed` is of texts that are written: give `samples` as well")
        return None
    if getattr(model, "write", None) is None:
        raise UserError("this deployment writes no text: use `deployment` eager or onnx")
    seed, new_tokens = args.seed or 0, min(NEW_TOKENS, math.ceil(task.longest() / 2))
    tokenizer: Any = task.processor  # type: ignore[attr-defined]
    whole: dict[str, Any] = {**AS_IT_IS, "top_k": len(tokenizer)}
    writes: Any = task.writing_as(**whole, seed=seed, max_new_tokens=new_tokens)
    found: dict[str, str] = {}
    for row in np.random.default_rng(seed).permutation(len(examples)).tolist():
        if len(found) == args.samples:
            break
        opening = task.opening(examples[row], new_tokens)
        if opening is not None and opening[0] not in found:
            found[opening[0]] = opening[1]
    if len(found) < args.samples:
        raise UserError(
            f"`samples` {args.samples:,}: of the {len(examples):,} texts of {data} {len(found):,} "
            "have a beginning of their own that can be gone on with: give at most so many"
        )
    texts, batch = (list(found), list(found.values())), args.per_device_eval_batch_size
    return TextJudge(writes, *texts, new_tokens, seed, batch, device)
