"""The lowest versions that pyproject.toml allows, as constraints for pip: see `nox -s lowest`.

    python -m tests.lowest > lowest.txt
    pip install -c lowest.txt -e '.[dev]'

What has a lower bound is held to it; everything else is at most what constraints.txt has tested. A
torch of the lower bound is taken only where the index has a build of it for processors: others
bring several GB of CUDA, and torch stays what constraints.txt says.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[^]]*\])?\s*(?P<versions>[^;#]*)")
FLOOR = re.compile(r"(?:>=|==)\s*([\w.]+)")
FAMILY = ("torch", "torchvision", "torchaudio")
"""What is built for one version of torch."""


def requirements(pyproject: str) -> list[str]:
    """Return all that a pyproject.toml asks for, its optional dependencies included."""
    project = tomllib.loads(pyproject)["project"]
    extras = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(line for group in extras.values() for line in group)]


def floors(wanted: Iterable[str]) -> dict[str, str]:
    """Return the lower bounds of requirements by the name of the package, as pip writes names."""
    found = {}
    for line in wanted:
        parts = REQUIREMENT.match(line)
        if parts and (floor := FLOOR.search(parts["versions"])):
            found[normalized(parts["name"])] = floor[1]
    return found


def constraints(pins: Mapping[str, str], lowest: Mapping[str, str], has_torch: bool) -> list[str]:
    """Return the lines of a file of constraints.

    Args:
        pins: versions of constraints.txt, by name.
        lowest: lower bounds, by name.
        has_torch: whether the lowest torch may be taken; its family stays as pinned otherwise.
    """
    lines = []
    for name, version in sorted({**pins, **lowest}.items()):
        if name in FAMILY and not has_torch:
            lines.append(f"{name}=={pins[name]}")
        elif name in lowest:
            lines.append(f"{name}=={version}")
        elif name not in FAMILY:
            lines.append(f"{name}<={version}")
    return lines


def normalized(name: str) -> str:
    """Return a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> dict[str, str]:
    """Return the versions of a constraints.txt by name."""
    return {
        normalized(name): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;#]+)", text, re.MULTILINE)
    }


def has_cpu_build(version: str) -> bool:
    """Whether pip's index has a torch of a version that is built for processors only."""
    command = [sys.executable, "-m", "pip", "index", "versions", "torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.search(rf"\b{re.escape(version)}(\.0)*\+cpu\b", done.stdout) is not None


def main() -> int:
    """Print the constraints, and on standard error what stays above its bound."""
    lowest = floors(requirements(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    pins = pinned(Path(ROOT / "constraints.txt").read_text(encoding="utf-8"))
    has_torch = has_cpu_build(lowest["torch"])
    if not has_torch:
        said = f"the index has no torch {lowest['torch']} for processors: it stays {pins['torch']}"
        print(said, file=sys.stderr)
    print("\n".join(constraints(pins, lowest, has_torch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
