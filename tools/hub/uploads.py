"""A file on this disk that is to lie in a repo, and the sums by which the Hub knows it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks.errors import UserError
from tasks.fingerprint import sha256
from tools.hub import layout


@dataclass(frozen=True)
class Upload:
    """What goes where."""

    path: str
    """in the repo"""
    source: Path
    """on this disk"""

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """By which the Hub knows large files."""
        return sha256(self.source)

    @cached_property
    def git_oid(self) -> str:
        """By which it knows the others: that of the file as a git blob."""
        return git_oid(self.source)


def git_oid(path: Path) -> str:
    """The name of a file as a git blob. Reads it whole: for small files."""
    from huggingface_hub.utils.sha import git_hash

    return git_hash(path.read_bytes())


def upload(path: str, source: Path) -> Upload:
    """Raises `UserError` for a link, which may show what lies elsewhere."""
    assert layout.allowed(path), path
    if source.is_symlink() or not source.is_file():
        raise UserError(f"{source} is a link or no file, and is not published: put the file there")
    return Upload(path, source)
