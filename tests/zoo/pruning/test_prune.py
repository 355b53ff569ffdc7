"""The verb prune, from checkpoint to checkpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests import cases, tiny_speech
from tests.cli import Done, run_cli
from tests.finetuning import lines
from zoo.pruning.magnitude import prunable
from zoo.store import evidence

FLAGS = ("--stages", 2, "--steps", 3, "--sparsity", 0.5)
WIDER = {"vision": ("--widths", 16, 32)}


@pytest.fixture(scope="module")
def dense(case: cases.Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each modality."""
    folder = tmp_path_factory.mktemp("dense") / "run"
    return case.finetune(folder, *WIDER.get(case.name, ()), "--max_steps", 4).folder


def _pruned(case: cases.Case, dense: Path, folder: Path, *flags: object) -> Done:
    done = run_cli(case.module, "prune", dense, *FLAGS, "--output_dir", folder, *flags)
    assert done.code == 0, done.err
    return done


def _facts(folder: Path) -> dict[str, dict[str, Any]]:
    """The facts by subject, in their order, and name."""
    found: dict[str, dict[str, Any]] = {}
    for fact in lines(folder / "evidence.jsonl"):
        found.setdefault(fact["subject"], {})[f"{fact['name']} {fact.get('split', '')}"] = fact
    return found


@pytest.mark.parametrize("case", cases.params("density", "diffusion"), indirect=True)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_weights(case: cases.Case, dense: Path, tmp_path: Path, dtype: str) -> None:
    if dtype == "bf16" and case.name in ("sound", "speech"):
        pytest.skip("one network of each arithmetic is enough")
    before = (dense / "zoo.json").read_bytes()
    folder = tmp_path / "pruned"
    done = _pruned(case, dense, folder, "--dtype", dtype)
    assert (dense / "zoo.json").read_bytes() == before
    model = zoo.load(str(folder), device="cpu").model
    weights = prunable(model)
    gone = sum(int((w == 0).sum()) for w in weights.values())
    assert gone / sum(w.numel() for w in weights.values()) == pytest.approx(0.5, abs=1e-3)

    stages = list(_facts(folder).items())
    assert [subject for subject, _ in stages[::2]] == [
        evidence.subject_digest(dense), evidence.subject_digest(folder)
    ]  # fmt: skip
    shares = [facts["sparsity "]["value"] for _, facts in stages]
    assert shares == pytest.approx([0, 0.4375, 0.5], abs=1e-3)
    metric = zoo.load(str(folder)).task.primary.name
    assert all(f"{metric} validation" in facts for _, facts in stages)
    assert [f"{metric} test" in facts for _, facts in stages] == [True, False, True]
    table = [line.split() for line in done.lines if line[:1].isdigit()]
    assert [row[0] for row in table] == ["0", "1", "2"]
    assert [float(row[1]) for row in table] == pytest.approx(shares, abs=6e-4)
    seen = [lines(folder / "logs" / f"stage-{i}" / "logs" / "samples.jsonl") for i in (1, 2)]
    assert [len(steps) for steps in seen] == [3, 3] and seen[0] != seen[1]
    assert not list(folder.rglob("state"))


@pytest.mark.parametrize("case", ["text", "vision", "speech"], indirect=True)
def test_units(case: cases.Case, dense: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pruned"
    _pruned(case, dense, folder, "--structured")
    was, now = (json.loads((f / "config.json").read_text()) for f in (dense, folder))
    changed = {name for name in was if was[name] != now[name]}
    assert changed == {"widths" if case.name == "vision" else "intermediate_size"}
    if case.name == "vision":
        assert now["widths"] == [8, 16]
    else:
        assert now["intermediate_size"] == was["intermediate_size"] // 2
    sizes = [(f / "model.safetensors").stat().st_size for f in (dense, folder)]
    assert sizes[1] < sizes[0]
    stages = list(_facts(folder).values())
    assert stages[0]["parameters_left "]["value"] > stages[-1]["parameters_left "]["value"]
    assert stages[-1]["sparsity "]["value"] == 0.5
    assert json.loads((folder / "zoo.json").read_text())["pruned"]["structured"] is True
    for verb in (["evaluate", folder, "--mistakes", 0], case.predicted(folder)):
        assert run_cli(case.module, *verb).code == 0


@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_plain_transformers_load_it(case: cases.Case, dense: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, pipeline

    folder = tmp_path / "pruned"
    _pruned(case, dense, folder, "--structured")
    said = pipeline("text-classification", model=str(folder), device="cpu")("a fine film")[0]
    ours = zoo.load(str(folder), device="cpu").predict(["a fine film"])[0]
    assert said["label"] == ours["label"] and said["score"] == pytest.approx(ours["score"])
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.intermediate_size == 32
    again = tmp_path / "again"  # what is pruned can be pruned
    _pruned(case, folder, again, "--structured")
    assert json.loads((again / "config.json").read_text())["intermediate_size"] == 16


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--structured",)], ids=["weights", "units"])
def test_a_pretrained_speech_encoder(
    utterances: Path, tmp_path: Path, flags: tuple[object, ...]
) -> None:
    """Its own masks follow from the seed, and its frozen front is not trained."""
    from safetensors.torch import load_file

    module, dense = "zoo.speech.wav2vec2_ctc", tmp_path / "dense"
    encoder = tiny_speech.encoder(tmp_path / "model")
    tiny_speech.finetune(module, encoder, utterances, dense, steps=1)
    found = []
    for name in ("one", "two"):
        argv = ("prune", dense, *FLAGS, *flags, "--output_dir", tmp_path / name)
        done = run_cli(module, *argv)
        assert done.code == 0, done.err
        found.append((tmp_path / name / "model.safetensors").read_bytes())
    assert found[0] == found[1]
    before, after = (load_file(f / "model.safetensors") for f in (dense, tmp_path / "one"))
    fronts = [name for name in after if "feature_extractor" in name]
    assert fronts
    for name in fronts:
        kept = after[name] != 0
        assert torch.equal(after[name][kept], before[name][kept])


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_the_same_twice(case: cases.Case, dense: Path, tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        _pruned(case, dense, folder)
    one, two = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert one == two


@pytest.mark.parametrize("case", ["vision"], indirect=True)
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--sparsity", 1.5), "--sparsity 1.5: above 0 and below 1"),
        (("--sparsity", "nan"), "--sparsity nan"),
        (("--stages", 0), "--stages 0: at least 1"),
        (("--steps", 0), "--steps 0: at least 1"),
        (("--learning_rate", -1), "--learning_rate -1.0"),
        (("--sparsity", 0.1, "--structured"), "cuts nothing of widths 16 32"),
        (("--data", "nowhere/at/all"), "nowhere/at/all"),
    ],
)
def test_refused(
    case: cases.Case, dense: Path, tmp_path: Path, flags: tuple[object, ...], said: str
) -> None:
    done = run_cli(case.module, "prune", dense, "--output_dir", tmp_path / "run", *flags)
    assert done.code == 2 and said in done.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("case", ["sound"], indirect=True)
def test_wrong_checkpoints(case: cases.Case, dense: Path, tmp_path: Path) -> None:
    for module, folder, more, said in (
        (case.module, dense, ("--structured",), "can't be pruned by structure"),
        (case.module, dense, ("--output_dir", dense), "is the checkpoint itself"),
        (case.module, tmp_path / "none", (), "no checkpoint at"),
        ("zoo.vision.cnn_cls", dense, (), "is a checkpoint of kws_cls"),
        ("zoo.vision.mae", dense, (), "no verb 'prune'"),
    ):
        done = run_cli(module, "prune", folder, *more)
        assert done.code == 2 and said in done.err.splitlines()[-1], done.err
    assert not dense.with_name("run-pruned").exists()


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_another_data_set_has_other_labels(case: cases.Case, dense: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(case.data, other)
    for split in ("train", "validation", "test"):
        shutil.rmtree(other / split / "ring")
    done = run_cli(case.module, "prune", dense, "--data", other, "--output_dir", tmp_path / "run")
    assert done.code == 2 and "has other labels" in done.err.splitlines()[-1]
    assert torch.is_grad_enabled() and not (tmp_path / "run").exists()
