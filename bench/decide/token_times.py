"""How soon a finalist writes: seconds to the first token of a text, and of each further one.

The first takes the prompts as well. They are TTFT and TPOT of MLPerf Inference. All are of one
process, in which text after text is written: what 95 of 100 keep, where there are enough for that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cases import child
from bench.measures import generation
from bench.measures.lists import estimated
from zoo.measure import Arm, Estimate
from zoo.measure.percentiles import percentile

SHARE = 0.2
"""Of the time that is left, that the texts of all finalists together take."""
MOST = 200
"""Texts that suffice; 72 tell a p95."""


@dataclass(frozen=True)
class TokenTime:
    """Of the texts that a finalist writes, in seconds."""

    median: Estimate
    p95: Estimate | None
    """None: too few texts were written to tell"""

    @classmethod
    def of(cls, taken: list[float]) -> "TokenTime":
        """Return what times of texts in seconds say."""
        return cls(estimated(taken), percentile(taken, 0.95))


@dataclass(frozen=True)
class TokenTimes:
    """How soon a finalist writes."""

    ttft: TokenTime
    """to the first token of each text of a batch"""
    tpot: TokenTime
    """per further token, the mean of a text"""


def measure(arm: Arm, seconds: float, timeout_s: float) -> TokenTimes:
    """Return how soon an arm of `zoo.deploy.timed` writes.

    Args:
        arm: that writes texts.
        seconds: that writing takes, once a few texts have warmed the process up; ten are written
            in any case.
        timeout_s: after which the process is ended.

    Raises `zoo.measure.process.WorkerFailed`.
    """
    told = child.ask("bench.decide.token_times:run", arm, timeout_s, seconds=seconds, most=MOST)
    return TokenTimes(TokenTime.of(told["first_token"]), TokenTime.of(told["further_token"]))


def run(target: str, kwargs: Mapping[str, Any], seconds: float, most: int) -> dict[str, Any]:
    """In a process of the arm: return each text's seconds to the first token and per further
    token."""
    made, write, wait = child.load(target, kwargs)
    return generation.times(made.stream, write, wait, seconds, most)
