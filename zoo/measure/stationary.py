"""Whether a process is warm: the times of its blocks show no trend any more.

Georges et al. 2007 ("Statistically Rigorous Java Performance Evaluation") look at a
window of the last iterations until their coefficient of variation falls below a threshold. On a
noisy machine it never does, so the window is tested for a trend instead, by the rank test of
Mann 1945 and Kendall 1975, which outliers do not deceive. What no test can see is a change that is
still to come; therefore launches are several and arms interleaved.
"""

import math
import statistics
from collections.abc import Sequence

WINDOW = 10  # blocks
SMALL = 0.01  # a trend of the window below this share does not matter
SIGNIFICANT = 1.96  # standard deviations: two-sided 5%


def is_stationary(medians: Sequence[float]) -> bool:
    """Return whether the last WINDOW block medians show no trend; False while there are fewer.

    Either Mann and Kendall's test finds none at 5%, or the two halves of the window differ by less
    than SMALL.
    """
    if len(medians) < WINDOW:
        return False
    window = medians[-WINDOW:]
    first = statistics.median(window[: WINDOW // 2])
    second = statistics.median(window[WINDOW // 2 :])
    return abs(second - first) < SMALL * first or abs(trend(window)) < SIGNIFICANT


def trend(values: Sequence[float]) -> float:
    """Return Mann and Kendall's statistic, about standard normal without trend; < 0 if falling."""
    n = len(values)
    score = sum(
        (values[j] > values[i]) - (values[j] < values[i]) for i in range(n) for j in range(i + 1, n)
    )
    variance = n * (n - 1) * (2 * n + 5) / 18  # without ties, of which times have few
    return math.copysign(max(0, abs(score) - 1), score) / math.sqrt(variance)
