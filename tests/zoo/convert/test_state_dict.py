"""Tensors out of files of others: wrappers are taken off, code is refused, claims are checked."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tasks.errors import UserError
from zoo.convert import state_dict


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def same(found: dict[str, torch.Tensor], network: nn.Module) -> bool:
    own = network.state_dict()
    return found.keys() == own.keys() and all(torch.equal(found[n], t) for n, t in own.items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda n: n.state_dict(),
        lambda n: nn.DataParallel(n).state_dict(),
        lambda n: {f"_orig_mod.{k}": v for k, v in n.state_dict().items()},
        lambda n: {f"module._orig_mod.{k}": v for k, v in n.state_dict().items()},
        lambda n: {"epoch": 3, "state_dict": n.state_dict(), "optimizer": {"state": {}}},
        lambda n: {"model": nn.DataParallel(n).state_dict(), "args": {"lr": 0.1}, "best": 0.9},
        lambda n: {"model_state_dict": {f"net.{k}": v for k, v in n.state_dict().items()}},
        lambda n: {"model": {"state_dict": n.state_dict()}},
    ],
    ids=["plain", "data parallel", "compiled", "both", "epoch", "model", "lightning", "nested"],
)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_wrappers_are_taken_off(
    wrap: Any, legacy: bool, network: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(wrap(network), path, _use_new_zipfile_serialization=not legacy)
    assert same(state_dict.read(path), network)


def test_safetensors_and_halves(network: nn.Module, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(network.half().state_dict(), tmp_path / "weights.safetensors")
    found = state_dict.read(tmp_path / "weights.safetensors")
    assert found["0.weight"].dtype == torch.float32
    assert found["1.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(found["0.weight"], network.state_dict()["0.weight"].float())


@pytest.mark.parametrize("content", ["bomb", "module", "pickle", "script"])
def test_code_is_refused_and_never_run(content: str, network: nn.Module, tmp_path: Path) -> None:
    marker, path = tmp_path / "exploded", tmp_path / "weights.pth"

    class Exploding:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    if content == "bomb":
        torch.save({"state_dict": network.state_dict(), "x": Exploding()}, path)
    elif content == "module":
        torch.save(network, path)
    elif content == "pickle":
        path.write_bytes(pickle.dumps(Exploding()))
    else:
        torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(2, 3)), path)
    with pytest.raises(UserError, match="code in a pickle is never run") as error:
        state_dict.read(path)
    assert "torch.save(model.state_dict(), 'weights.pth')" in str(error.value)
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)
    asks = {"module": "(it asks for torch.nn.modules.container.Sequential)", "script": "compressed"}
    assert asks.get(content, "it asks for ") in str(error.value)
    assert not marker.exists()


def test_archives_are_as_torch_writes_them(network: nn.Module, tmp_path: Path) -> None:
    plain = tmp_path / "plain.pth"
    torch.save({"a": torch.zeros(100_000)}, plain)
    for name, kind in (("packed", zipfile.ZIP_DEFLATED), ("outside", zipfile.ZIP_STORED)):
        path = tmp_path / f"{name}.pth"
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", kind) as target:
            for member in source.namelist():
                other = f"../{member}" if name == "outside" else member
                target.writestr(other, source.read(member))
        said = {"packed": "compressed archive", "outside": "names a file outside of itself"}
        with pytest.raises(UserError, match=said[name]):
            state_dict.read(path)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(plain.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"cut\.pth is damaged"):
        state_dict.read(cut)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": torch.zeros(1).expand(10**9)}, "claims to be larger than the file"),
        ({"a": torch.tensor([1.0, float("nan")])}, "a has numbers that are not finite"),
        ({"a": torch.eye(3).to_sparse()}, "is sparse, quantized or complex"),
        ({"a": torch.zeros(2), "b": [1, 2]}, "holds 'b' among its tensors"),
        ({"module.a": torch.zeros(2), "module._orig_mod.a": torch.zeros(2)}, "twice"),
        ({"epoch": 3}, "holds no tensors by name"),
        ([torch.zeros(2)], "holds no tensors by name"),
        (torch.zeros(2), "holds no tensors by name"),
    ],
)
def test_what_is_no_state_dict(content: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=said):
        state_dict.read(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02.", b"hello", b"\x00" * 64])
def test_damaged_files(content: bytes, tmp_path: Path) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            state_dict.read(tmp_path / name)
    with pytest.raises(UserError, match="there is no file"):
        state_dict.read(tmp_path / "none.pth")


def test_a_tensor_has_memory_of_its_own(tmp_path: Path) -> None:
    both = torch.arange(10.0)
    buffer = io.BytesIO()
    torch.save({"a": both[:5], "b": both[5:], "c": both.view(2, 5).T}, buffer)
    (tmp_path / "views.pth").write_bytes(buffer.getvalue())
    found = state_dict.read(tmp_path / "views.pth")
    assert all(tensor.is_contiguous() for tensor in found.values())
    assert torch.equal(found["c"], both.view(2, 5).T)
