"""Paths as people give them."""

import os
from pathlib import Path


def expanded(name: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of a ~ that begins it, as a shell reads it; the
    ~ of somebody whom this machine does not know stays."""
    # `Path.expanduser` raises RuntimeError there
    return Path(os.path.expanduser(name))  # noqa: PTH111


def is_file(path: Path) -> bool:
    """Return whether there is a file; False for what is too long to be a name, as a text may be."""
    # `Path.is_file` raises OSError there
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; False for what is too long to be a name."""
    return os.path.isdir(path)  # noqa: PTH112
