"""How a step is cut into passes decides the time, never the result (fp32, dropout off).

Augmentation is on: what a sample becomes must not depend on the others of its pass either.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cases import Case
from tests.finetuning import EXACT, Run, finetune

EPOCHS = ("--num_train_epochs", 2, "--learning_rate", 1e-3)


@pytest.fixture(scope="module")
def reference(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs, each step one batch of 32."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    return case.finetune(folder, *EXACT, *EPOCHS)


def _same(run: Run, reference: Run, tolerance: float = 1e-5) -> None:
    assert run.steps == reference.steps
    np.testing.assert_allclose(run.losses, reference.losses, atol=tolerance, rtol=0)
    for mine, theirs in zip(
        run.records("validation"), reference.records("validation"), strict=True
    ):
        assert mine == pytest.approx(theirs, abs=tolerance)  # every metric


@pytest.mark.parametrize(("batch", "passes"), [(8, 4), (1, 32)])
def test_accumulation(reference: Run, case: Case, tmp_path: Path, batch: int, passes: int) -> None:
    flags = ("--per_device_train_batch_size", batch, "--gradient_accumulation_steps", passes)
    _same(case.finetune(tmp_path / "run", *EXACT, *EPOCHS, *flags), reference)


@pytest.mark.parametrize("budget", ["one sample", "uneven", "all"])
def test_token_budget(reference: Run, case: Case, tmp_path: Path, budget: str) -> None:
    most = {"one sample": 1, "uneven": case.small_budget, "all": 100_000}[budget]
    run = case.finetune(tmp_path / "run", *EXACT, *EPOCHS, "--token_budget", most)
    _same(run, reference)


@pytest.mark.parametrize("case", ["text", "sound", "speech"], indirect=True)
def test_padded_to_the_longest(
    reference: Run, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch padded to one size, as scripts do, against ours cut by length."""
    from tasks.nlp import tokenization
    from tasks.speech import audio_features

    owner = tokenization if case.name == "text" else audio_features
    name = "input_ids" if case.name == "text" else "input_features"
    own, longest, seen = owner.pad, 160, []

    def pad(rows, settled, *side):
        batch = own(rows, settled, *side).tensors()
        seen.append(batch.inputs[name].shape[1])
        missing = longest - seen[-1]
        fills = {name: settled if case.name == "text" else 0, "attention_mask": 0}
        wider = {each: _wider(batch.inputs[each], missing, fill) for each, fill in fills.items()}
        return replace(batch, inputs={**batch.inputs, **wider})

    monkeypatch.setattr(owner, "pad", pad)
    if case.name == "text":  # it has so many positions
        longest = 128
    _same(case.finetune(tmp_path / "run", *EXACT, *EPOCHS), reference)
    assert max(seen) < longest and len(set(seen)) > 3  # without the padding they differ


def _wider(x: torch.Tensor, missing: int, fill: float) -> torch.Tensor:
    """[b, n, ...] with that many more of the second axis."""
    assert missing >= 0
    return torch.nn.functional.pad(x, (*(0, 0) * (x.ndim - 2), 0, missing), value=fill)


@pytest.mark.parametrize("case", ["vision"], indirect=True)
@pytest.mark.parametrize(
    "flags",
    [
        ("--mixup", 0.4, "--cutmix", 1.0, "--random_erasing", 0.3),
        ("--augment", "randaugment", "--crop_padding", 0.1),
    ],
    ids=["mixed with others", "randaugment"],
)
def test_every_augmentation_is_a_function_of_the_sample(
    case: Case, tmp_path: Path, flags: tuple[object, ...]
) -> None:
    whole = case.finetune(tmp_path / "whole", *EXACT, *EPOCHS, *flags)
    cut = case.finetune(
        tmp_path / "cut", *EXACT, *EPOCHS, *flags, "--token_budget", case.small_budget
    )
    _same(cut, whole)


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


def test_workers_change_nothing(reference: Run, case: Case, tmp_path: Path) -> None:
    flags = ("--dataloader_num_workers", 2)
    run = case.finetune(tmp_path / "run", *EXACT, *EPOCHS, *flags)
    assert run.steps == reference.steps and run.losses == reference.losses


def test_the_speedups_change_nothing(reference: Run, case: Case, tmp_path: Path) -> None:
    _same(case.finetune(tmp_path / "run", *EXACT, *EPOCHS, "--no-speedups"), reference)


@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_gradient_checkpointing_changes_nothing(reference: Run, case: Case, tmp_path: Path) -> None:
    _same(case.finetune(tmp_path / "run", *EXACT, *EPOCHS, "--gradient_checkpointing"), reference)


@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_bf16_follows_fp32_loosely(reference: Run, case: Case, tmp_path: Path) -> None:
    flags = ("--dtype", "bf16", "--dropout", 0, *EPOCHS)
    fast = case.finetune(tmp_path / "fast", *flags)
    plain = case.finetune(tmp_path / "plain", *flags, "--no-speedups")
    np.testing.assert_allclose(fast.losses, reference.losses, atol=0.05)
    np.testing.assert_allclose(plain.losses, reference.losses, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("flag", [("--torch_compile",), ("--compile_layers", "on")])
@pytest.mark.parametrize("case", ["text", "vision"], indirect=True)
def test_compiled(case: Case, tmp_path: Path, flag: tuple[str, ...]) -> None:
    flags = (*EXACT, "--learning_rate", 1e-3, "--max_steps", 8, "--eval_strategy", "no")
    eager = case.finetune(tmp_path / "eager", *flags)
    compiled = case.finetune(tmp_path / "compiled", *flags, *flag)
    _same(compiled, eager, 1e-4)
