"""`python -m zoo doctor`: what is here, what is missing, and how to get it."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from tasks import torch_extensions
from tasks.data import cache
from zoo.machine.environment import ROOT, driver, hub_problem, machine
from zoo.machine.formatting import size

FREE_DISK = 5 * 2**30


class DoctorFinding(NamedTuple):
    """One line of `python -m zoo doctor`."""

    topic: str
    status: Literal["ok", "warn", "missing"]
    text: str
    remedy: str = ""


def doctor() -> list[DoctorFinding]:
    """Return what is installed, what is missing, and how to get it. Takes seconds, because it
    imports torch."""
    return [
        _python(),
        *_torch(),
        *_dependencies(),
        *_extensions(),
        *_disk(),
        *_hub(),
        *_weights(),
        _speech(),
        _data(),
    ]


def _python() -> DoctorFinding:
    host = machine(gpu=False)
    text = (
        f"{platform.python_version()} on {host['os']} {host['arch']}, {host['cpu']}, "
        f"{host['cores']} cores, {size(host['memory_bytes'], 'GiB')}"
    )
    if host["isa"]:
        text += f" ({' '.join(host['isa'])})"
    return DoctorFinding("python", "ok", text)


def _torch() -> Iterator[DoctorFinding]:
    cuda_install = "pip install torch --index-url https://download.pytorch.org/whl/cu130"
    try:
        import torch
    except Exception as error:  # whatever a broken installation raises
        text = f"does not import: {str(error).splitlines()[0] if str(error) else error!r}"
        yield DoctorFinding("torch", "missing", text, "pip install -e . -c constraints.txt")
        return
    cuda = torch.version.cuda
    hip = torch.version.hip
    build = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "CPU"
    yield DoctorFinding("torch", "ok", f"{torch.__version__}, {build} build")
    found = driver()
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            major, minor = properties.major, properties.minor
            bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16"
            memory = size(properties.total_memory, "GiB", 0)
            yield DoctorFinding(
                "GPU", "ok", f"{properties.name}, {memory}, sm_{major}{minor}, {bf16}"
            )
        yield DoctorFinding("driver", "ok", found or "version not readable")
        yield DoctorFinding("CUDA", "ok", build)
        cudnn = torch.backends.cudnn.version()
        yield DoctorFinding("cuDNN", "ok", str(cudnn or "not in this build"))
    elif found is None:
        yield DoctorFinding(
            "GPU",
            "ok",
            "none with an NVIDIA driver; everything runs on the processor",
            "which GPU would hold a model: python -m bench which_gpu bert-base-uncased",
        )
    elif not cuda:
        yield DoctorFinding(
            "GPU", "warn", f"driver {found}, but torch is a {build} build", cuda_install
        )
    else:
        text = f"driver {found} is there, but torch (CUDA {cuda}) sees no GPU"
        yield DoctorFinding("GPU", "warn", text, "a newer driver, or unset CUDA_VISIBLE_DEVICES")


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _dependencies() -> Iterator[DoctorFinding]:
    absent = [name for name in _required() if _version(name) is None]
    install = "pip install -e . -c constraints.txt"
    if absent:
        yield DoctorFinding("packages", "missing", f"not installed: {', '.join(absent)}", install)
    constraints = ROOT / "constraints.txt"
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", _read(constraints), re.MULTILINE))
    if not pins:
        yield DoctorFinding(
            "versions", "warn", f"no constraints.txt in {ROOT}: nothing to compare with"
        )
        return
    installed = {name: version for name in pins if (version := _version(name)) is not None}
    other = [
        f"{name} {version} (tested: {pins[name]})"
        for name, version in installed.items()
        if version.partition("+")[0] != pins[name].partition("+")[0]
    ]
    if other:
        yield DoctorFinding("versions", "warn", f"not the tested ones: {', '.join(other)}", install)
    else:
        yield DoctorFinding("versions", "ok", f"{len(installed)} packages as in constraints.txt")


def _required() -> list[str]:
    try:
        lines = importlib.metadata.requires("zoo") or []
    except importlib.metadata.PackageNotFoundError:
        return ["zoo"]
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if "extra ==" not in line)
    return [name.group() for name in names if name]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extensions() -> Iterator[DoctorFinding]:
    for package, (library, *_) in torch_extensions.REPAIRS.items():
        version = _version(package)
        spec = importlib.util.find_spec(package)
        if version is None or spec is None:
            continue  # named under packages
        try:
            loads = torch_extensions.extension_loads(spec, library)
        except ImportError:
            continue  # no torch: named above
        if loads:
            yield DoctorFinding(package, "ok", f"{version}, compiled extension loads")
        else:
            text = f"{version}, its compiled extension does not fit this torch; runs in pure Python"
            index = "--index-url https://download.pytorch.org/whl/cpu"
            yield DoctorFinding(
                package, "warn", text, f"pip install --force-reinstall {package} {index}"
            )


def _disk() -> Iterator[DoctorFinding]:
    from huggingface_hub import constants

    places = {
        "here": Path.cwd(),
        "Hub cache": Path(constants.HF_HUB_CACHE),
        "cache": cache.folder(),
    }
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        free = shutil.disk_usage(there).free
        text = f"{name} ({place}): {size(free, 'GiB')} free"
        if not os.access(there, os.W_OK):
            yield DoctorFinding("disk", "warn", f"{text}, not writable", "choose another folder")
        elif free < FREE_DISK:
            remedy = (
                f"make room: a fine-tuned model and its states want {size(FREE_DISK, 'GiB', 0)}"
            )
            yield DoctorFinding("disk", "warn", text, remedy)
        else:
            yield DoctorFinding("disk", "ok", text)


def _hub() -> Iterator[DoctorFinding]:
    import huggingface_hub

    problem = hub_problem()
    if problem is None:
        yield DoctorFinding("Hub", "ok", f"{huggingface_hub.constants.ENDPOINT} answers")
    else:
        text = f"{problem}; packages, folders and the Hub's cache still work"
        yield DoctorFinding(
            "Hub", "warn", text, "needed only for weights and data that are not at hand"
        )
    if huggingface_hub.get_token():  # whether, never which
        yield DoctorFinding("Hub token", "ok", "present")
    else:
        yield DoctorFinding(
            "Hub token", "ok", "none (needed to push and for gated repositories only)"
        )


def _weights() -> Iterator[DoctorFinding]:
    from zoo.model import registry
    from zoo.store import pretrained

    missing = []
    seen = {name: preset for entry in registry.entries() for name, preset in entry.presets.items()}
    for name, preset in seen.items():
        place = pretrained.at_hand(preset)
        if place:
            yield DoctorFinding("weights", "ok", f"{name}: {place}")
        else:
            missing.append(name)
    if missing:
        text = f"not at hand: {', '.join(missing)}"
        how = "give a folder that holds them (--model FOLDER), or fetch them with hf download"
        yield DoctorFinding(
            "weights", "missing", text, f"{how}; python -m zoo info MODEL names each"
        )


def _speech() -> DoctorFinding:
    """Return the finding on espeak-ng, which only the synthetic speech of the demo needs."""
    if importlib.util.find_spec("espeakng_loader") is None:
        text = "espeak-ng is not here: embedded speech can't be made, your own data can be used"
        return DoctorFinding("speech demo", "missing", text, "pip install -e '.[speech-demo]'")
    return DoctorFinding("speech demo", "ok", "espeak-ng speaks the embedded words and digits")


def _data() -> DoctorFinding:
    place = os.environ.get("ZOO_DATA")
    if not place:
        text = "embedded text and digits are always at hand; ZOO_DATA is not set"
        return DoctorFinding(
            "data", "ok", text, "ZOO_DATA=FOLDER, or --data FILE, FOLDER or Hub id"
        )
    folder = Path(place)
    if not folder.is_dir():
        return DoctorFinding("data", "warn", f"ZOO_DATA={place} is no folder", "set it to a folder")
    names = sorted(entry.name for entry in folder.iterdir())
    return DoctorFinding(
        "data", "ok", f"embedded text and digits, and in {place}: {', '.join(names) or 'nothing'}"
    )
