"""The guard for torchvision and torchaudio, both ways: where it mends, and where it does nothing.

What fails at import is tried in processes of their own. In this one the guard is at work already.
"""

import importlib.machinery
import importlib.util
import subprocess
import sys
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import import_hook, torch_extensions
from tests.cli import Done, environment

PACKAGES = ("torchvision", "torchaudio")


def python(program: str) -> Done:
    """Runs a program in a process of its own."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment(), check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def broken(package: str) -> bool:
    """Whether this installation is one that needs mending."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    library = torch_extensions.REPAIRS[package][0]
    return torch.version.cuda is None and not torch_extensions.extension_loads(spec, library)


@pytest.mark.parametrize("package", PACKAGES)
def test_without_the_guard_it_fails(package: str) -> None:
    if not broken(package):
        pytest.skip(f"{package} fits the torch that is here: there is nothing to mend")
    done = python(f"import torch\nimport {package}")
    assert done.code != 0 and "Error" in done.err


def test_with_the_guard_it_works_and_says_so_once_at_debug_level() -> None:
    done = python(
        "import logging, tasks\n"
        "logging.basicConfig(level=logging.DEBUG, format='%(levelname)s %(message)s')\n"
        "import torchvision, torchvision.ops, torchaudio, torchaudio.functional\n"
    )
    assert done.code == 0, done.err
    for package in PACKAGES:
        line = f"DEBUG {package} runs without its compiled extension"
        assert done.err.count(line) == int(broken(package)), done.err


def test_the_guard_imports_nothing_and_is_put_in_once() -> None:
    done = python(
        "import sys, tasks\n"
        "from tasks import import_hook\n"
        "import_hook.install()\n"
        "import_hook.install()\n"
        "assert sys.meta_path.count(import_hook.ImportHook) == 1, sys.meta_path\n"
        "assert 'tasks.torch_extensions' not in sys.modules\n"
        "assert not {'torch', 'torchvision', 'torchaudio'} & set(sys.modules)\n"
    )
    assert done.code == 0, done.err


def reference_nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> list[int]:
    """The definition, box by box in plain numbers."""
    ranked = sorted(range(len(scores)), key=lambda i: -float(scores[i]))
    kept: list[int] = []
    for i in ranked:
        if all(_overlap(boxes[i].tolist(), boxes[j].tolist()) <= threshold for j in kept):
            kept.append(i)
    return kept


def _overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


# Corners on a grid of whole numbers: areas and unions are exact. No ratio of them is a threshold.
sides = st.integers(1, 12)
places = st.tuples(st.integers(0, 20), st.integers(0, 20), sides, sides)


@settings(max_examples=80)
@given(st.lists(places, max_size=25), st.sampled_from([0.1234567, 0.3456789, 0.5678912]), st.data())
def test_nms_is_the_definition(
    drawn: list[tuple[int, int, int, int]], threshold: float, data: st.DataObject
) -> None:
    import torchvision

    boxes = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in drawn], dtype=torch.float32)
    boxes = boxes.reshape(-1, 4)
    ranks = data.draw(st.permutations(range(len(drawn))))
    scores = torch.tensor(ranks, dtype=torch.float32)
    expected = reference_nms(boxes, scores, threshold)
    assert torchvision.ops.nms(boxes, scores, threshold).tolist() == expected
    assert torch_extensions.nms(boxes, scores, threshold).tolist() == expected
    assert torch_extensions.nms(boxes, scores, threshold).dtype == torch.int64


def test_batched_nms_keeps_classes_apart() -> None:
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 10]])
    scores, classes = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 0])
    assert torchvision.ops.batched_nms(boxes, scores, classes, 0.5).tolist() == [0, 1]


def test_torchvision_transforms_and_models_work() -> None:
    import torchvision
    from torchvision.transforms import v2

    picture = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    changed = v2.Compose([v2.Resize((32, 32)), v2.ToDtype(torch.float32, scale=True)])(picture)
    assert changed.shape == (3, 32, 32) and changed.min() >= 0 and changed.max() <= 1
    model = torchvision.models.resnet18(weights=None, num_classes=3).eval()
    assert model(changed[None]).shape == (1, 3)


def test_timm_works() -> None:
    import timm

    model = timm.create_model("resnet10t", pretrained=False, num_classes=4).eval()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 4)


def test_torchaudio_hears_a_tone() -> None:
    import torchaudio

    rate, pitch = 16_000, 1_000
    wave = torch.sin(2 * torch.pi * pitch * torch.arange(rate) / rate)
    mel = torchaudio.transforms.MelSpectrogram(rate, n_fft=512, n_mels=40)(wave)
    assert mel.shape[0] == 40
    bank = torchaudio.functional.melscale_fbanks(257, 0.0, rate / 2, 40, rate)
    nearest_bin = round(pitch * 512 / rate)
    assert int(mel.mean(1).argmax()) == int(bank[nearest_bin].argmax())
    assert torchaudio.functional.resample(wave, rate, 8_000).shape == (8_000,)


def test_alignment_is_refused_in_a_sentence() -> None:
    if not broken("torchaudio"):
        pytest.skip("torchaudio's extension is here: alignment works")
    import torchaudio

    log_probs = torch.zeros(1, 5, 3).log_softmax(-1)
    targets = torch.tensor([[1, 2]], dtype=torch.int32)
    with pytest.raises(RuntimeError, match="needs torchaudio's compiled extension") as refusal:
        torchaudio.functional.forced_align(log_probs, targets)
    assert "install the builds of torch and torchaudio that belong together" in str(refusal.value)


@pytest.mark.parametrize("reason", ["the extension loads", "torch is a CUDA build"])
def test_where_nothing_is_broken_nothing_is_done(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of this name is loaded as it is, and neither repair runs."""
    done: list[str] = []
    monkeypatch.setitem(
        torch_extensions.REPAIRS,
        "json",  # stands for torchvision: a package that any Python finds
        ("_C.so", lambda: done.append("before"), lambda: done.append("after")),
    )
    loads = reason == "the extension loads"
    monkeypatch.setattr(torch_extensions, "extension_loads", lambda spec, library: loads)
    monkeypatch.setattr(torch.version, "cuda", None if loads else "13.0")
    assert _load_guarded("json").loads("[1]") == [1]
    assert done == []
    monkeypatch.setattr(torch_extensions, "extension_loads", lambda spec, library: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert _load_guarded("json").loads("[1]") == [1]
    assert done == ["before", "after"]


def _load_guarded(name: str) -> types.ModuleType:
    """A fresh copy of a package, found and loaded by the guard."""
    spec = torch_extensions.find_spec(name, None, None)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_other_packages_are_left_to_others() -> None:
    assert import_hook.ImportHook in sys.meta_path
    assert import_hook.ImportHook.find_spec("json") is None
    assert import_hook.ImportHook.find_spec("torchvision.ops") is None


def test_a_package_without_a_library_is_not_broken(tmp_path: object) -> None:
    spec = importlib.machinery.ModuleSpec("pure", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    assert torch_extensions.extension_loads(spec, "_C.so")
    assert torch_extensions.extension_loads(importlib.machinery.ModuleSpec("m", None), "_C.so")


def test_a_library_that_does_not_load_is_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("package")
    (folder / "_C.so").write_bytes(b"no library")
    spec = importlib.machinery.ModuleSpec("package", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    assert not torch_extensions.extension_loads(spec, "_C.so")
