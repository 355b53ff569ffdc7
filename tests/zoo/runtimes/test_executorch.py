"""ExecuTorch says in its log why a call failed, and in its error a number."""

import sys

import pytest

from zoo.runtimes.executorch import explained

LOG = """[cpuinfo_utils.cpp:71] Reading file /sys/devices/soc0/image_version
[tensor_impl.cpp:135] Attempted to resize a static tensor. Expected shape (3), but received (1).
[method.cpp:1483] KernelCall failed at instruction 0:16 in operator aten::sum.IntList_out: 0x12
[method.cpp:1493] arg 0 with type id 1
"""


def test_the_reason_takes_the_place_of_the_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=r"^KernelCall .*aten::sum.*; Attempted .*1\)\.$"):  # noqa: SIM117
        with explained():
            sys.stderr.write(LOG)
            raise RuntimeError("method->execute() failed with error 0x12")
    assert not capsys.readouterr().err


def test_without_a_reason_the_number_stays() -> None:
    with pytest.raises(RuntimeError, match="error 0x12"), explained():
        raise RuntimeError("error 0x12")


def test_notices_stay_off_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with explained():
        sys.stderr.write(LOG)
    assert not capsys.readouterr().err
