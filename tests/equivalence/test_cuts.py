"""How a step is cut into passes decides the time, never the result (fp32, dropout off)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.finetuning import EXACT, Run, finetune

EPOCHS = ("--num_train_epochs", 2, "--learning_rate", 1e-3)


@pytest.fixture(scope="module")
def reference(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs, each step one batch of 32."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    return finetune(tiny_bert, reviews, folder, *EXACT, *EPOCHS)


def _same(run: Run, reference: Run, tolerance: float = 1e-5) -> None:
    assert run.steps == reference.steps
    np.testing.assert_allclose(run.losses, reference.losses, atol=tolerance, rtol=0)
    for mine, theirs in zip(
        run.records("validation"), reference.records("validation"), strict=True
    ):
        mine.pop("loss"), theirs.pop("loss")
        assert mine == theirs  # every metric


@pytest.mark.parametrize(("batch", "passes"), [(8, 4), (16, 2), (1, 32)])
def test_accumulation(
    reference: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, batch: int, passes: int
) -> None:
    flags = ("--per_device_train_batch_size", batch, "--gradient_accumulation_steps", passes)
    _same(finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, *EPOCHS, *flags), reference)


@pytest.mark.parametrize("budget", [1, 64, 300, 100_000])
def test_token_budget(
    reference: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, budget: int
) -> None:
    flags = ("--token_budget", budget)
    _same(finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, *EPOCHS, *flags), reference)


def test_padded_to_the_longest(
    reference: Run,
    tiny_bert: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every batch padded to the model's limit, as scripts do, against ours cut by length."""
    from tasks.nlp import text_classification

    seen = []
    own = text_classification.pad

    def pad(rows, pad_token_id):
        batch = own(rows, pad_token_id)
        seen.append(batch["input_ids"].shape[1])
        missing = 128 - seen[-1]
        for name, fill in (("input_ids", pad_token_id), ("attention_mask", 0)):
            batch[name] = torch.nn.functional.pad(batch[name], (0, missing), value=fill)
        return batch

    monkeypatch.setattr(text_classification, "pad", pad)
    _same(finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, *EPOCHS), reference)
    assert max(seen) < 64 and len(set(seen)) > 3  # without the padding they differ


def test_weighted_classes_divide_by_the_weight_of_the_whole_step(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """A mean of the passes' means would be wrong here: each pass has its own class balance."""
    flags = (*EXACT, *EPOCHS, "--class_weights", "balanced", "--label_smoothing_factor", 0.1)
    rare = tmp_path / "rare"
    rare.mkdir()
    for split in ("train", "validation", "test"):
        header, *rows = (reviews / f"{split}.csv").read_text().splitlines(keepends=True)
        kept = [r for i, r in enumerate(rows) if not r.endswith(",positive\n") or i % 3 == 0]
        (rare / f"{split}.csv").write_text(header + "".join(kept))
    whole = finetune(tiny_bert, rare, tmp_path / "whole", *flags)
    cut = finetune(tiny_bert, rare, tmp_path / "cut", *flags, "--token_budget", 100)
    _same(cut, whole)


def test_workers_change_nothing(
    reference: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--dataloader_num_workers", 1)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, *EPOCHS, *flags)
    assert run.losses == reference.losses


@pytest.mark.parametrize("flags", [("--gradient_checkpointing",), ("--no-speedups",)])
def test_memory_and_speed_flags_change_nothing(
    reference: Run, tiny_bert: Path, reviews: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    _same(finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, *EPOCHS, *flags), reference)


def test_bf16_follows_fp32_loosely(
    reference: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--dtype", "bf16", "--dropout", 0, *EPOCHS)
    fast = finetune(tiny_bert, reviews, tmp_path / "fast", *flags)
    plain = finetune(tiny_bert, reviews, tmp_path / "plain", *flags, "--no-speedups")
    np.testing.assert_allclose(fast.losses, reference.losses, atol=0.05)
    np.testing.assert_allclose(plain.losses, reference.losses, atol=0.05)


@pytest.mark.slow
def test_compiled(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    flags = (*EXACT, "--learning_rate", 1e-3, "--max_steps", 8, "--eval_strategy", "no")
    eager = finetune(tiny_bert, reviews, tmp_path / "eager", *flags)
    compiled = finetune(tiny_bert, reviews, tmp_path / "compiled", *flags, "--torch_compile")
    _same(compiled, eager, 1e-4)
