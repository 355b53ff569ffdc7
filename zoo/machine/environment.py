"""What this machine and this installation are: every fact names it.

Nothing here imports torch, except `machine(gpu=True)`, which is asked about it.
"""

import contextlib
import functools
import http.client
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGES = (
    "zoo",
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "tokenizers",
    "timm",
    "accelerate",
    "datasets",
    "evaluate",
    "peft",
    "safetensors",
    "huggingface-hub",
    "numpy",
    "scipy",
    "scikit-learn",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "torchao",
    "openvino",
    "executorch",
)
# The instructions that decide whether bf16 and int8 are fast, as /proc/cpuinfo names them.
X86_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni")
AMX_FLAGS = ("amx_tile", "amx_bf16", "amx_int8", "amx_fp16")
ARM_FLAGS = ("asimddp", "bf16", "i8mm", "sve", "sve2", "svebf16", "svei8mm")
ISA_FLAGS = frozenset(X86_FLAGS + AMX_FLAGS + ARM_FLAGS)
ROOT = Path(__file__).resolve().parents[2]  # the checkout, where the code runs from one


# --- what every fact names


@functools.cache
def versions() -> dict[str, str]:
    """Return the version of Python and of the relevant packages, from their metadata: imports
    none."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine(gpu: bool | None = None) -> dict[str, Any]:
    """Return a description of the processor, the granted cores and memory, and the GPU, without
    host name.

    `gpu`: True asks torch for the GPU, False does not, None does if torch is imported anyway.
    """
    described = dict(_host())
    if gpu or (gpu is None and "torch" in sys.modules):
        described |= _gpu()
    return described


@functools.cache
def commit() -> dict[str, Any]:
    """Return {commit, dirty} of the git repository of this code; both are None outside a
    repository.

    Asked once: what runs is what lay there when the process began.
    """
    nothing = {"commit": None, "dirty": None}
    here = Path(__file__).resolve()
    # A copy installed into a virtual environment inside somebody's repository is not part of it.
    if _git("ls-files", "--error-unmatch", "--", here.name, cwd=here.parent) is None:
        return nothing
    head = _git("rev-parse", "HEAD", cwd=here.parent)
    status = _git("status", "--porcelain", cwd=here.parent)
    if head is None or status is None:
        return nothing
    return {"commit": head.strip(), "dirty": bool(status.strip())}


def hub_problem(timeout: float = 2.0) -> str | None:
    """Return why the Hub cannot be reached, in half a sentence; None if it answers.

    Never waits longer than `timeout`, also where a name server does not answer.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=timeout):
                answer.append(None)
        except urllib.error.HTTPError:
            answer.append(None)  # it answered
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            answer.append(f"{constants.ENDPOINT} does not answer: {reason}")

    # A thread, because the timeout does not cover the look-up of the name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answer[0] if answer else f"{constants.ENDPOINT} does not answer within {timeout:g} s"


def _git(*arguments: str, cwd: Path) -> str | None:
    # Inside a git hook GIT_DIR points elsewhere; and a look must not take the lock of the index.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=environ, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@functools.cache
def _host() -> dict[str, Any]:
    return {
        "os": platform.system(),
        "arch": platform.machine(),
        **_processor(_text(Path("/proc/cpuinfo")) or ""),
        "cores": _cores(Path("/")),
        "memory_bytes": _memory(Path("/")),
    }


def _processor(cpuinfo: str) -> dict[str, Any]:
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return {
        "cpu": model.group(1).strip() if model else platform.processor() or platform.machine(),
        "isa": sorted(ISA_FLAGS.intersection(flags.group(1).split())) if flags else [],
    }


def _cores(root: Path) -> int | float:
    """Return the number of granted cores: the affinity mask, or the control group's quota if that
    is less."""
    try:
        granted: int | float = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        granted = os.cpu_count() or 1
    for folder in _control_groups(root, "cpu"):
        quota, period = (_text(folder / "cpu.max") or "max 100000").split()
        if quota == "max":
            quota = _text(folder / "cpu.cfs_quota_us") or "-1"
            period = _text(folder / "cpu.cfs_period_us") or "100000"
        if int(quota) > 0:
            granted = min(granted, round(int(quota) / int(period), 2))
    return int(granted) if granted == int(granted) else granted


def _memory(root: Path) -> int:
    """Return the bytes of granted memory: the machine's, or the control group's limit if that is
    less."""
    granted = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(folder / name)
            if limit and limit.isdecimal():
                granted = min(granted, int(limit))
    return granted


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups, its own first: version 2, then version 1.

    The path may be the host's, of which a container sees only the end; hence the way up to the top.
    """
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controllers and controller)
        own = top / path.strip("/")
        for folder in (own, *own.parents):
            if folder.is_dir():
                yield folder
            if folder == top:
                break


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _gpu() -> dict[str, Any]:
    try:
        import torch
    except Exception:  # a broken installation: doctor explains it, a fact only lacks the GPU
        return {}
    if not torch.cuda.is_available():
        return {"gpu": None}
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "gpu_count": torch.cuda.device_count(),
        "gpu_memory_bytes": properties.total_memory,
        "gpu_driver": driver(),
        **_gpu_settings(),
    }


def _gpu_settings() -> dict[str, int]:
    """Return the GPU settings on which a measurement depends: highest clocks and power limit.

    Not the current clock: that is a result, and must not change the description of the machine.
    """
    from zoo.machine import nvml

    found: dict[str, int] = {}
    try:
        gpu = nvml.open_gpu()
    except nvml.NvmlError:
        return found
    settings: dict[str, Callable[[], int]] = {
        "gpu_clock_mhz": gpu.highest_clock,
        "gpu_memory_clock_mhz": lambda: gpu.highest_clock(nvml.MEMORY_CLOCK),
        "gpu_power_limit_w": lambda: round(gpu.power_limit()),
    }
    for name, ask in settings.items():
        with contextlib.suppress(nvml.NvmlError):
            found[name] = ask()
    return found


def driver() -> str | None:
    """Return the version of the NVIDIA driver, None if there is none."""
    told = re.search(r"(\d+\.\d+(?:\.\d+)?)", _text(Path("/proc/driver/nvidia/version")) or "")
    if told:
        return told.group(1)
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.split("\n")[0].strip() or None if done.returncode == 0 else None
