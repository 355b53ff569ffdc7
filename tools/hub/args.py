"""The flags of `python -m tools.hub`. None is a token, which comes from the Hub's login."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class PushArgs:
    """What goes to the Hub."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    repo: tyro.conf.Positional[str]
    """user/name on the Hub; it is made where there is none"""
    private: bool = False
    """make it readable for you alone, where it is made"""
    dry_run: bool = False
    """show what would go, and send nothing; needs neither network nor token"""
    revision: str = "main"
    """branch to commit to; it is made where there is none"""
    artifacts: str = "all"
    """ONNX artifacts that go along: onnx,onnx+int8-dynamic; all, or none"""
    variant_repo: str | None = None
    """user/name-onnx: a repo of their own for the artifacts, with a card that names this one as
    base"""
    message: str | None = None
    """first line of the commit"""
    fail_if: tuple[str, ...] = ()
    """refuse where the evidence got worse than that of the repo: accuracy<-0.005, latency>5%"""
    accept_license: bool = False
    """publish although the licence of the base model is unknown or does not allow it, because you
    have the right to"""


@dataclass(frozen=True)
class PullArgs:
    """What to fetch."""

    repo: tyro.conf.Positional[str]
    """user/name, or user/name@REVISION"""
    output_dir: Path | None = None
    """new folder for the checkpoint; runs/NAME by default"""


@dataclass(frozen=True)
class VerifyArgs:
    """What to check."""

    repo: tyro.conf.Positional[str]
    """user/name, or user/name@REVISION"""
    data: str | None = None
    """the data set of its metrics, to measure them again"""


@dataclass(frozen=True)
class DiffArgs:
    """Which revisions to compare."""

    repo: tyro.conf.Positional[str]
    """user/name"""
    before: tyro.conf.Positional[str]
    """branch, tag or commit"""
    after: tyro.conf.Positional[str]
    """branch, tag or commit"""
    fail_if: tuple[str, ...] = ()
    """exit with 1 where a number changed like this: accuracy<-0.005, latency>5%, artifact_size>0"""
