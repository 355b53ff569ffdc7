"""What lies in a folder, so that it can be said afterwards what has changed."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

Snapshot = dict[str, tuple[object, ...]]
"""Path below a folder to kind, permissions, and what makes up its content."""

GROWING = "evidence.jsonl"
"""Files that may only be added to: they are kept whole."""
NOT_OURS = frozenset(
    (
        *(".git", ".venv", ".nox", "__pycache__", ".hypothesis", ".benchmarks"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache"),
    )
)
"""What git, the interpreter and tools of development write at any time."""


def take(folder: Path) -> Snapshot:
    """Every file with its sum, every link with its aim, every folder."""
    return {str(path.relative_to(folder)): _described(path) for path in _below(folder)}


def glance(*folders: Path) -> Snapshot:
    """The same by size and time alone: quick enough for thousands of files."""
    found: Snapshot = {}
    for folder in folders:
        for path in _below(folder):
            said = path.lstat()
            if not stat.S_ISDIR(said.st_mode):
                found[str(path)] = (said.st_mode, said.st_size, said.st_mtime_ns)
    return found


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """The paths that came, went or changed."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def _below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name not in NOT_OURS:
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    yield from _below(Path(entry.path))


def _described(path: Path) -> tuple[object, ...]:
    said = path.lstat()
    kind, mode = stat.S_IFMT(said.st_mode), stat.S_IMODE(said.st_mode)
    if stat.S_ISLNK(said.st_mode):
        return kind, mode, str(path.readlink())
    if stat.S_ISREG(said.st_mode):
        content = path.read_bytes()
        kept = content if path.name == GROWING else hashlib.sha256(content).hexdigest()
        return kind, mode, said.st_mtime_ns, kept
    return kind, mode
