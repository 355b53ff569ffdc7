"""Saved states: what is read is what was written, or something older, never something else."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tasks import atomic
from zoo.speedups.sparse_embedding import train_used_rows
from zoo.train.resume import state as states

ENTRIES = ("step", "exp_avg", "exp_avg_sq")


def _trained(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    named = list(model.named_parameters())
    group = {"params": [p for _, p in named], "names": [n for n, _ in named]}
    optimizer = torch.optim.AdamW([group], lr=0.1, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def _save(folder: Path, step: int, value: float = 0.0) -> Path:
    tensors = {"weights": {"w": torch.full((3,), value)}, "optimizer": {}}
    return states.save(folder, step, tensors, {"step": step})


def test_round_trip_of_a_model_and_its_optimizer(tmp_path: Path) -> None:
    model, optimizer = _trained()
    tensors = {
        "weights": states.model_tensors(model, {}),
        "optimizer": states.optimizer_tensors(optimizer, model),
    }
    states.save(tmp_path, 3, tensors, {"step": 3, "note": "é"})
    found, complaints = states.newest(tmp_path)
    assert found is not None and not complaints
    assert found.progress["step"] == 3 and found.progress["note"] == "é"
    other, other_optimizer = _trained(seed=1)
    states.load_model_tensors(other, found.tensors["weights"], {})
    states.load_optimizer_tensors(other_optimizer, found.tensors["optimizer"], other)
    x = torch.randn(8, 4)
    for a, b in ((model, optimizer), (other, other_optimizer)):
        b.zero_grad()
        a(x).square().sum().backward()
        b.step()
    for name, tensor in model.state_dict().items():  # bit for bit, buffers included
        assert torch.equal(tensor, other.state_dict()[name]), name


def _embedding(of_rows: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
    """An embedding of six rows, of which 1, 2 and 4 were trained."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"words": nn.Embedding(6, 3)})
    used = torch.tensor([1, 2, 4])
    if of_rows:
        train_used_rows(model, model["words"], used.numpy())
    named = list(model.named_parameters())
    group = {"params": [p for _, p in named], "names": [n for n, _ in named]}
    optimizer = torch.optim.AdamW([group], lr=0.1, weight_decay=0, fused=True)
    model["words"](used).square().sum().backward()
    optimizer.step()
    return model, optimizer


def test_an_embedding_is_saved_whole_however_it_was_trained() -> None:
    saved = []
    for of_rows in (True, False):
        model, optimizer = _embedding(of_rows)
        tensors = states.model_tensors(model, {}) | states.optimizer_tensors(optimizer, model)
        assert [*tensors] == ["words.weight", *(f"words.weight/{e}" for e in ENTRIES)]
        saved.append(tensors)
    for name, tensor in saved[0].items():
        torch.testing.assert_close(tensor, saved[1][name], msg=name)


def test_trained_rows_alone_were_saved_by_earlier_versions() -> None:
    model, optimizer = _embedding(True)
    entries = optimizer.state[model["words"].rows]
    saved = {f"words.rows/{entry}": tensor.clone() + 1 for entry, tensor in entries.items()}
    states.load_model_tensors(model, {"words.rows": torch.ones(3, 3)}, {})
    states.load_optimizer_tensors(optimizer, saved, model)
    assert (model["words"].rows == 1).all()
    for entry, tensor in optimizer.state[model["words"].rows].items():
        assert torch.equal(tensor, saved[f"words.rows/{entry}"])


def test_a_name_in_several_models_is_saved_once(tmp_path: Path) -> None:
    linear = nn.Linear(4, 4, bias=False)
    tied = nn.ModuleDict({"a": linear, "b": linear})
    assert list(states.model_tensors(tied, {})) == ["a.weight"]


OTHER = {
    "no json": '{"step": 4, "fi',
    "a list": "[]",
    "null": "null",
    "a number": "4",
    "no object of files": '{"step": 4, "files": [1]}',
    "deep": "[" * 100_000,
    "deep objects": '{"step":' * 100_000,
    "empty": "",
}


@pytest.mark.parametrize(
    "damage", ["cut", "flipped", "missing", "no progress", "another place", "latin-1", *OTHER]
)
def test_a_damaged_newest_state_is_passed_over(tmp_path: Path, damage: str) -> None:
    _save(tmp_path, 2, 2.0)
    newest = _save(tmp_path, 4, 4.0)
    weights = newest / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "cut":
        weights.write_bytes(content[:-4])
    elif damage == "flipped":
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "missing":
        weights.unlink()
    elif damage in OTHER:
        (newest / "progress.json").write_text(OTHER[damage])
    elif damage == "another place":
        text = (newest / "progress.json").read_text()
        (newest / "progress.json").write_text(text.replace('"step": 4', '"step": 400'))
    elif damage == "latin-1":
        (newest / "progress.json").write_bytes(b'{"step": "\xe9"}')
    else:
        (newest / "progress.json").unlink()
    found, complaints = states.newest(tmp_path)
    assert found is not None and found.progress["step"] == 2
    assert torch.equal(found.tensors["weights"]["w"], torch.full((3,), 2.0))
    assert len(complaints) == 1 and "step-00000004 is damaged" in complaints[0]


def test_no_state_and_only_damaged_ones(tmp_path: Path) -> None:
    assert states.newest(tmp_path / "none") == (None, [])
    (_save(tmp_path, 1) / "progress.json").unlink()
    found, complaints = states.newest(tmp_path)
    assert found is None and len(complaints) == 1


def test_pruning_keeps_the_newest_and_clears_what_was_interrupted(tmp_path: Path) -> None:
    for step in (2, 10, 9, 100):
        _save(tmp_path, step)
    (tmp_path / ".incoming-abc").mkdir()
    states.prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]


def test_a_state_of_an_abandoned_run_is_replaced(tmp_path: Path) -> None:
    _save(tmp_path, 2, 1.0)
    _save(tmp_path, 2, 5.0)
    found, _ = states.newest(tmp_path)
    assert found is not None and found.tensors["weights"]["w"][0] == 5.0


def test_a_save_that_fails_leaves_the_older_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path, 2)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "flush", full)
    with pytest.raises(OSError, match="No space"):
        _save(tmp_path, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000002"]


def test_progress_says_the_sums_of_its_files(tmp_path: Path) -> None:
    folder = _save(tmp_path, 2)
    sums = json.loads((folder / "progress.json").read_text())["files"]
    assert set(sums) == {"weights.safetensors", "optimizer.safetensors"}
