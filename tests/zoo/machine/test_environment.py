"""The machine is described as it is granted, and the doctor names what is missing."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli import run_program
from zoo.machine import environment


def test_versions_import_nothing() -> None:
    code = (
        "import sys; from zoo.machine import environment as e;"
        "print(e.versions(), e.machine(), e.commit());"
        "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    )
    done = run_program(code)
    assert "'torch'" in done.out


def test_the_machine_is_described_without_its_name() -> None:
    described = environment.machine(gpu=False)
    assert described["cores"] > 0 and described["memory_bytes"] > 2**20 and described["cpu"]
    assert socket.gethostname() not in described.values()


def test_isa_flags() -> None:
    cpuinfo = "model name\t: A CPU\nflags\t\t: fpu avx2 amx_bf16 avx512_vnni\n\nmodel name\t: B\n"
    expected = {"cpu": "A CPU", "isa": ["amx_bf16", "avx2", "avx512_vnni"]}
    assert environment._processor(cpuinfo) == expected
    assert environment._processor("Features : fp asimddp bf16\n")["isa"] == ["asimddp", "bf16"]


@pytest.mark.parametrize(
    ("lines", "files", "cores", "memory"),
    [
        ("0::/a/b", {"a/cpu.max": "50000 100000", "a/b/memory.max": "1048576"}, 0.5, 2**20),
        ("0::/a", {"a/cpu.max": "max 100000", "a/memory.max": "max"}, None, None),
        ("0::/not/seen/here", {"cpu.max": "25000 100000"}, 0.25, None),
        (
            "3:cpu,cpuacct:/x\n4:memory:/x",
            {
                "cpu/x/cpu.cfs_quota_us": "10000",
                "cpu/x/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "4096",
            },
            0.1,
            4096,
        ),
        ("", {}, None, None),
    ],
)
def test_limits_of_control_groups(
    tmp_path: Path, lines: str, files: dict[str, str], cores: float | None, memory: int | None
) -> None:
    for name, text in {"proc/self/cgroup": lines}.items() | {
        (f"sys/fs/cgroup/{name}", text) for name, text in files.items()
    }:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if (tmp_path / "sys/fs/cgroup/cpu").is_dir():  # the kernel mounts "cpu,cpuacct" under each name
        (tmp_path / "sys/fs/cgroup/cpu,cpuacct").symlink_to("cpu")
    assert environment._cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))
    full = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert environment._memory(tmp_path) == (memory or full)


def test_commit_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "zoo" / "environment.py"
    code.parent.mkdir()
    code.write_text("")
    monkeypatch.setattr(environment, "__file__", str(code))
    asked = environment.commit.__wrapped__
    nothing = {"commit": None, "dirty": None}

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert asked() == nothing
    git("init")
    assert asked() == nothing  # a repository, but the code is not in it
    git("add", ".")
    git("commit", "-m", "x")
    assert len(asked()["commit"]) == 40 and asked()["dirty"] is False
    code.write_text("changed")
    assert asked()["dirty"] is True


def test_a_hub_that_does_not_answer_costs_no_more_than_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes the connection, says nothing
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}")
        begin = time.monotonic()
        assert "does not answer" in str(environment.hub_problem(timeout=0.3))
        assert time.monotonic() - begin < 1
    assert "does not answer" in str(environment.hub_problem())  # refused
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert environment.hub_problem() == "HF_HUB_OFFLINE is set"
