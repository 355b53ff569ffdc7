"""Who speaks in which split: espeak-ng's speakers, grouped into families that stay together."""

import functools
import hashlib
import re
from typing import TYPE_CHECKING

from tasks.speech.embedded import espeak

if TYPE_CHECKING:
    import numpy as np

SHARES = {"train": 0.68, "validation": 0.12, "test": 0.20}
"""Of the families."""
UNFIT = frozenset(
    {
        "Jacky",  # third formant at 15% of its place: vowels are gone
        "kaukovalta",  # first formant at 40%
        "caleb",  # Klatt voice without voicing
        "iven",  # overdriven: cut off at full scale
        "antonio",
        "fast",  # a test of espeak-ng's speed, nobody's voice
    }
)


def voice(split: str, random: "np.random.Generator") -> str:
    """A speaker of the split with any accent, each family as likely as the next: "en-us+f2"."""
    accents, families = espeak.accents(), by_split()[split]
    names = families[random.integers(len(families))]
    return f"{accents[random.integers(len(accents))]}+{names[random.integers(len(names))]}"


@functools.cache
def by_split() -> dict[str, list[list[str]]]:
    """The families of speakers of each split, by hash and not by the alphabet."""
    families: dict[str, list[str]] = {}
    for name in espeak.variants():
        if name not in UNFIT:
            families.setdefault(family(name), []).append(name)
    ranked = sorted(families, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    splits: dict[str, list[list[str]]] = {}
    start, share = 0, 0.0
    for split, part in SHARES.items():
        share += part
        end = round(share * len(ranked))
        splits[split] = [families[name] for name in ranked[start:end]]
        start = end
    return splits


def family(name: str) -> str:
    """Return the name that a family of voices shares: "robosoft3" and "robosoft" are one, "whisper"
    and "whisperf", "Andy" and "AnxiousAndy".

    The plain speakers f1 to f5 and m1 to m8 are as different as any, and a family each.
    """
    if re.fullmatch(r"[fm]\d", name):
        return name
    return re.sub(r"^anxious|robot$|\d+$|(?<=whisper)f$", "", name.lower())
