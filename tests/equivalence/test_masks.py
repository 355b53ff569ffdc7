"""What pretraining hides of a sample follows from (seed, epoch, sample), however a step is cut."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.base import Batch
from tests.cli import run_cli
from tests.finetuning import EXACT, Run
from tests.processes import run_ranks
from zoo.train.loop import Loop

USUAL = (*EXACT, "--max_steps", 5, "--learning_rate", 1e-3, "--eval_strategy", "no")
USUAL += ("--logging_steps", 1, "--report_to", "none", "--max_train_samples", 200)
SLOW = pytest.mark.slow
BATCH, PARTS = "--per_device_train_batch_size", "--gradient_accumulation_steps"


@dataclass(frozen=True)
class Kind:
    """A way of pretraining, and what it draws."""

    module: str
    flags: tuple[object, ...]
    drawn: tuple[str, ...]
    """Names of inputs or targets, [b, ...] each."""
    budget: int

    def arguments(self, folder: Path, *flags: object) -> list[str]:
        words = ("pretrain", "--output_dir", folder, *self.flags, *USUAL, *flags)
        return [str(word) for word in words]

    def run(self, folder: Path, *flags: object) -> Run:
        done = run_cli(self.module, *self.arguments(folder, *flags))
        assert done.code == 0, done.err
        return Run(folder, done)


@pytest.fixture(
    params=["text", "image", pytest.param("latent", marks=SLOW), pytest.param("noise", marks=SLOW)]
)
def kind(request: pytest.FixtureRequest, reviews: Path) -> Kind:
    if request.param == "text":
        flags = ("--data", reviews, "--hidden_size", 32, "--num_layers", 1, "--num_heads", 2)
        flags += ("--vocab_size", 400, "--token_limit", 64)
        return Kind("zoo.nlp.bert_mlm", flags, ("input_ids", "labels"), 100)
    if request.param == "latent":
        flags = ("--widths", 8, "--latent_size", 4, "--augment", "default")
        flags += ("--max_eval_samples", 16)
        return Kind("zoo.vision.vae", flags, ("noise", "pixel_values"), 400)
    if request.param == "noise":
        flags = ("--widths", 8, 8, "--augment", "default", "--max_eval_samples", 16)
        drawn = ("timesteps", "class_labels", "noise", "pixel_values")
        return Kind("zoo.vision.ddpm", flags, drawn, 400)
    flags = ("--depth", 1, "--decoder_size", 24, "--decoder_depth", 1, "--decoder_heads", 2)
    flags += ("--patch_size", 4, "--max_eval_samples", 16)
    return Kind("zoo.vision.mae", flags, ("shuffle", "pixel_values"), 400)


def _drawn(batches: list[Batch], kind: Kind) -> dict[int, list[list[Any]]]:
    """What each sample got, padding cut off."""
    found = {}
    for batch in batches:
        tensors = {**batch.inputs, **batch.targets}
        for i, sample in enumerate(batch.ids.tolist()):
            rows = [tensors[name][i] for name in kind.drawn]
            if "attention_mask" in tensors:
                rows = [row[tensors["attention_mask"][i] == 1] for row in rows]
            found[sample] = [row.tolist() for row in rows]
    return found


def test_cuts(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass of 32, eight of 4, and uneven ones, which pad to other lengths."""
    gradients = Loop._gradients_that_fit
    seen: list[Batch] = []

    def noted(loop, step):
        seen.extend(step.batches)
        return gradients(loop, step)

    monkeypatch.setattr(Loop, "_gradients_that_fit", noted)
    whole = kind.run(tmp_path / "whole", BATCH, 32)
    masks, passes = _drawn(seen, kind), len(seen)
    assert passes == len(whole.losses) == 5 and len(masks) == 5 * 32
    for name, flags in {
        "eight": (BATCH, 4, PARTS, 8),
        "uneven": (BATCH, 32, "--token_budget", kind.budget),
    }.items():
        seen.clear()
        run = kind.run(tmp_path / name, *flags)
        assert len(seen) > 3 * passes
        assert run.steps == whole.steps
        assert _drawn(seen, kind) == masks
        np.testing.assert_allclose(run.losses, whole.losses, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_two_processes(kind: Kind, tmp_path: Path) -> None:
    whole = kind.run(tmp_path / "whole", BATCH, 32)
    argv = kind.arguments(tmp_path / "two", BATCH, 16)
    run_ranks(argv, tmp_path / "logs", module=kind.module)
    two = Run(tmp_path / "two")
    assert two.steps == whole.steps
    np.testing.assert_allclose(two.losses, whole.losses, atol=1e-5, rtol=0)
