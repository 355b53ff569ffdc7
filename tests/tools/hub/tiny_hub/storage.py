"""Repos with commits, branches and large files, in memory."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LARGE = (".safetensors", ".onnx", ".onnx_data", ".png", ".bin")


def sha1_of_blob(content: bytes) -> str:
    """The name that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class File:
    """A file in a commit."""

    content: bytes
    is_large: bool

    @property
    def sha256(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What lies in git in a large file's place."""
        lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}")
        return "\n".join((*lines, f"size {len(self.content)}", "")).encode()

    @property
    def oid(self) -> str:
        """Its name in git."""
        return sha1_of_blob(self.pointer if self.is_large else self.content)

    @property
    def etag(self) -> str:
        """By which a cache knows it."""
        return self.sha256 if self.is_large else self.oid

    def described(self) -> dict[str, object]:
        """As the Hub's answers have it, but for its path."""
        said: dict[str, object] = {"size": len(self.content), "oid": self.oid}
        if self.is_large:
            size = {"size": len(self.content), "pointerSize": len(self.pointer)}
            said["lfs"] = {"sha256": self.sha256, "oid": self.sha256, **size}
        return said


@dataclass(frozen=True)
class Commit:
    """A state of all files."""

    files: Mapping[str, File]
    parent: str | None
    message: str

    @property
    def sha(self) -> str:
        """Its name."""
        said = sorted((path, file.oid) for path, file in self.files.items())
        return hashlib.sha1(repr((said, self.parent, self.message)).encode()).hexdigest()


FIRST = Commit({".gitattributes": File(b"*.safetensors filter=lfs\n", False)}, None, "initial")


@dataclass
class Repo:
    """A repo of models."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=lambda: {"main": FIRST.sha})
    commits: dict[str, Commit] = field(default_factory=lambda: {FIRST.sha: FIRST})

    def find(self, revision: str) -> Commit | None:
        """The commit of a branch, or of the first digits of a name."""
        if revision in self.branches:
            return self.commits[self.branches[revision]]
        named = [one for sha, one in self.commits.items() if sha.startswith(revision)]
        return named[0] if len(named) == 1 and len(revision) >= 7 else None

    def files(self, revision: str = "main") -> Mapping[str, File]:
        """What lies there."""
        found = self.find(revision)
        assert found is not None
        return found.files

    def history(self, branch: str = "main") -> Iterator[Commit]:
        """From the newest back to the first."""
        sha: str | None = self.branches[branch]
        while sha is not None:
            yield self.commits[sha]
            sha = self.commits[sha].parent

    def commit(self, branch: str, files: Mapping[str, File], message: str) -> Commit:
        """Puts a new state on a branch."""
        made = Commit(dict(files), self.branches[branch], message)
        self.commits[made.sha] = made
        self.branches[branch] = made.sha
        return made

    def put(self, path: str, content: bytes, branch: str = "main") -> None:
        """A commit by somebody else: one file."""
        file = File(content, path.endswith(LARGE))
        self.commit(branch, {**self.files(branch), path: file}, f"edit {path}")
