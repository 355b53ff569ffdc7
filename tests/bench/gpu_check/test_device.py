"""What is told of a GPU before it is checked, by what tools said on machines of many kinds."""

import pytest

from bench.gpu_check import device
from tasks.errors import UserError

TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version from the URL: http://www.nvidia.com/"
)


@pytest.mark.parametrize(
    ("cuda", "driver", "fault", "said"),
    [
        ("13.0", None, "", "there is no GPU with an NVIDIA driver here; --device cpu"),
        (None, "580.95", "Torch not compiled with CUDA enabled", "a build without CUDA"),
        ("13.0", "470.82", TOO_OLD, "driver 470.82 is too old for torch's CUDA 13.0: update it"),
        ("13.0", "580.95", "No CUDA GPUs are available", "(No CUDA GPUs are available): is CUDA_"),
        ("13.0", "580.95", "", "torch with CUDA 13.0 sees no GPU behind driver 580.95: is CUDA_"),
    ],
)
def test_why_there_is_none(cuda: str | None, driver: str | None, fault: str, said: str) -> None:
    text = device.why_not(cuda, driver, fault)
    assert said in text and "\n" not in text


def test_an_idle_gpu_needs_no_remark() -> None:
    smi = device.read_smi("623, 81559, 0, 345, 700.00")
    assert smi["clocks.sm"] == 345 and smi["power.limit"] == 700
    assert device.remarks_of(smi) == [] == device.remarks_of({})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("40779, 81559, 97, 1980, 700.00", "it holds 50% of its memory and keeps it 97% busy"),
        ("0, 81559, 12, 1980, 700.00", "it holds 0% of its memory and keeps it 12% busy"),
        ("8155, 81559, [N/A], 1980, [N/A]", "it holds 10% of its memory and keeps it 0% busy"),
    ],
)
def test_who_else_is_there(line: str, said: str) -> None:
    (remark,) = device.remarks_of(device.read_smi(line))
    assert said in remark


def test_of_nothing_readable_nothing_is_said() -> None:
    assert device.read_smi("No devices were found") == {}


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match=r"^--device cuda: ") as caught:
        device.find()
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.measure.arms import ArmFailed
    from zoo.measure.process import WorkerFailed

    def call(*args: object, **kwargs: object) -> None:
        raise WorkerFailed(ArmFailed("look", "oom", "OutOfMemoryError: CUDA out of memory"))

    monkeypatch.setattr(device.child, "call", call)
    monkeypatch.setattr(device, "_smi", lambda: device.read_smi("81000, 81559, 0, 345, 700"))
    with pytest.raises(UserError, match=r"out of memory at start; 79\.1 GiB of 79\.6 GiB are held"):
        device.find()


def test_a_gpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"name": "Tesla T4", "memory_bytes": 1, "has_bf16": False, "torch": "2", "cuda": "13"}
    monkeypatch.setattr(device.child, "call", lambda *args, **kwargs: found)
    monkeypatch.setattr(device, "_smi", dict)
    (remark,) = device.find().remarks
    assert remark.startswith("Tesla T4 has no bf16")
