"""A file on this disk that is to lie in a repo, and the sums by which the Hub knows it."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks.data.fingerprint import sha256
from tasks.errors import UserError
from tools.hub import layout

WAIT = "nothing in the repo was changed; push again when nobody writes to the checkpoint"


@dataclass(frozen=True)
class Upload:
    """A file that is to be pushed, and its path in the repo."""

    path: str
    """in the repo"""
    source: Path
    """on this disk"""
    is_live: bool = False
    """whether somebody may write to it before it is sent: it is no copy of ours"""

    @cached_property
    def size(self) -> int:
        """Return the size of the file, in bytes."""
        return self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Return the sha256 of the file, by which the Hub knows large files."""
        return sha256(self.source)

    @cached_property
    def git_oid(self) -> str:
        """Return the id of the file as a git blob, by which the Hub knows small files."""
        return git_oid(self.source)


def git_oid(path: Path) -> str:
    """The name of a file as a git blob. Reads it whole: for small files."""
    from huggingface_hub.utils.sha import git_hash

    return git_hash(path.read_bytes())


def upload(path: str, source: Path) -> Upload:
    """Raises `UserError` for a link, which may show what lies elsewhere."""
    assert layout.allowed(path), path
    must_be_a_file(source)
    return Upload(path, source)


def taken(path: str, source: Path, total: str, folder: Path) -> Upload:
    """A file of a checkpoint as zoo.json has its sum, read once.

    What is small is copied into `folder`, and the copy is what is summed and sent. What is large
    stays where it is: `must_be_unchanged` looks at it again once it was sent.

    Raises `UserError` for a link, and for a file that does not have this sum (any more).
    """
    assert layout.allowed(path), path
    is_large = path.endswith(layout.LARGE)
    one = Upload(path, source, is_live=True) if is_large else Upload(path, copied(source, folder))
    if one.sha256 != total:
        raise UserError(f"{source} has changed since it was checked: {WAIT}")
    return one


def copied(source: Path, folder: Path) -> Path:
    """A copy in a folder, which is made. Raises `UserError` for a link."""
    must_be_a_file(source)
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, folder / source.name))


def must_be_a_file(source: Path) -> None:
    """Raises `UserError` for a link or what is no file."""
    if source.is_symlink() or not source.is_file():
        raise UserError(f"{source} is a link or no file, and is not published: put the file there")


def must_be_unchanged(uploads: Iterable[Upload]) -> None:
    """Raises `UserError` where a file is not what was summed any more, so that nobody knows what
    was sent of it."""
    for one in uploads:
        if one.is_live and sha256(one.source) != one.sha256:
            raise UserError(f"{one.source} has changed while it was sent: {WAIT}")
