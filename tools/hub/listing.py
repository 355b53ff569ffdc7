"""What a repo holds, and how that compares with what is to go there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.data.fingerprint import sha256
from tools.hub import connection
from tools.hub.retries import again
from tools.hub.uploads import Upload, git_oid

COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Remote:
    """A file in a repo. The Hub knows it by one of two sums."""

    size: int
    git_oid: str
    sha256: str | None
    """of a large file; None for one that lies in git itself"""

    def is_same(self, upload: Upload) -> bool:
        """Return whether an upload has the same bytes as this file of the repo."""
        if self.size != upload.size:
            return False
        if self.sha256 is not None:
            return self.sha256 == upload.sha256
        return self.git_oid == upload.git_oid

    def is_at(self, path: Path) -> bool:
        """Return whether a file on this disk has the same bytes as this file of the repo."""
        if self.sha256 is not None:
            return sha256(path) == self.sha256
        return git_oid(path) == self.git_oid


@dataclass(frozen=True)
class Listing:
    """The files of a repo at one commit."""

    commit: str
    files: Mapping[str, Remote]
    is_private: bool = False


@dataclass(frozen=True)
class Changes:
    """The files that a commit has to add or to remove."""

    new: tuple[Upload, ...]
    """not there, or there with other bytes"""
    unchanged: tuple[Upload, ...]
    gone: tuple[str, ...]
    """files of ours that an earlier push brought and this one does not have"""

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)


def read(api: Any, repo: str, revision: str) -> Listing:
    """Return the files of a repo at a branch, tag or commit.

    Raises huggingface_hub's errors, RepositoryNotFoundError and RevisionNotFoundError among them.
    """
    patience = connection.TIMEOUTS_S[1]  # it takes None for "for ever", whatever the client says
    return again(
        lambda: _listing(
            api.model_info(repo, revision=revision, files_metadata=True, timeout=patience)
        )
    )


def _listing(info: Any) -> Listing:
    """The answer as a listing. ValueError for what the Hub does not say."""
    if not COMMIT.fullmatch(info.sha):
        raise ValueError(f"{info.sha!r} is no commit")
    files = {}
    for each in info.siblings or ():
        remote = Remote(each.size or 0, each.blob_id or "", each.lfs.sha256 if each.lfs else None)
        texts = (each.rfilename, remote.git_oid, remote.sha256 or "")
        if not all(isinstance(one, str) for one in texts) or not isinstance(remote.size, int):
            raise ValueError(f"{each!r} is no file")
        files[each.rfilename] = remote
    return Listing(info.sha, files, bool(info.private))


def compare(uploads: Sequence[Upload], there: Listing | None, ours: Sequence[str] = ()) -> Changes:
    """Return what a commit has to add so that a repo holds these files, and which files of an
    earlier push it has to remove.

    Args:
        there: None for a repo that does not exist.
        ours: paths that an earlier push brought.
    """
    files = there.files if there else {}
    same = [one for one in uploads if one.path in files and files[one.path].is_same(one)]
    here = {one.path for one in uploads}
    return Changes(
        tuple(one for one in uploads if one not in same),
        tuple(same),
        tuple(path for path in ours if path in files and path not in here),
    )
