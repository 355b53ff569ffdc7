"""Checks of sounds and transcriptions before training: what is suspicious is a warning, what cannot
work an error.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.data import label_checks
from tasks.data.label_checks import error, rows, warning
from tasks.media import duplicates
from tasks.preflight import Finding
from tasks.speech.sound.noise import QUIET, rms

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import numpy.typing as npt

    from tasks.media.decoding import Decoded

    Sound = npt.NDArray[np.float32]
    Frames = npt.NDArray[np.int64]

LOOKED_AT = 2_000  # sounds of a split whose header, or samples that are not in memory, are read
FULL_SCALE = 0.999  # what is louder has been cut off
CLIPPED = 0.001  # share of the samples at full scale that makes a sound a clipped one
WORTH_CLIPPING = 0.01  # share of such sounds
LONGEST_RATIO = 20  # of the longest sound to the median: most of its batch is padding
NAMED = 8  # characters a line names at most
SHARED_TEXTS = 0.6  # share of a split's texts that are in train too


def check(
    splits: "datasets.DatasetDict",
    decoded: "Mapping[str, Decoded]",
    rate: int,
    labels: Sequence[str] | None = None,
) -> list[Finding]:
    """Return what is wrong or suspicious in the sounds and their classes, errors first.

    Args:
        splits: rows with `media`; with `label`, a class or list of classes, that is checked too.
        decoded: the same splits; samples float32 [samples] at `rate`, sizes in seconds.
        labels: what integer labels are called.
    """
    findings = list(duplicates.duplicates(splits, "sounds", "label"))
    for name, split in splits.items():
        if name in decoded:
            findings += _sounds(name, decoded[name])
            findings += _lengths(name, decoded[name].sizes)
            findings += _rates(name, split, decoded[name].kept, rate)
    if all("label" in split.column_names for split in splits.values()):
        given = {name: split["label"][:] for name, split in splits.items()}
        findings += label_checks.check(given, labels or ())
    return _errors_first(findings)


def check_transcripts(
    splits: "datasets.DatasetDict",
    decoded: "Mapping[str, Decoded]",
    characters: Collection[str],
    normalized: Callable[[str], str] = str,
    frames: "Mapping[str, Frames] | None" = None,
    column: str = "text",
) -> list[Finding]:
    """Return what is wrong or suspicious in transcriptions that CTC is to learn, errors first.

    Args:
        splits: rows with the transcription.
        decoded: the splits whose sounds were decoded; the others' rows all count.
        characters: the vocabulary's, " " among them; nothing is checked where it is empty.
        normalized: a transcription as it is learned.
        frames: that the model makes of each decoded sound, integer [n]; splits may miss.
    """
    texts = {
        name: [normalized(text) if text else "" for text in split[column][:]]
        for name, split in splits.items()
    }
    findings = [*_empty(texts), *_unknown(texts, characters), *_known_texts(texts)]
    for name, counts in (frames or {}).items():
        kept = decoded[name].kept if name in decoded else range(len(texts[name]))
        findings += _too_short(name, texts[name], kept, counts, characters)
    return _errors_first(findings)


def frames_needed(target: Sequence[object]) -> int:
    """Return how many frames CTC needs for a target: one for each symbol, and a blank between equal
    ones (Graves et al. 2006)."""
    return len(target) + sum(a == b for a, b in itertools.pairwise(target))


def _sounds(name: str, decoded: "Decoded") -> Iterator[Finding]:
    silent, clipped = [], []
    looked = _sample(len(decoded), decoded.block is not None)
    for i in looked:
        x = decoded.get(i)
        if rms(x) < QUIET:
            silent.append(int(decoded.kept[i]) + 1)
        elif _clipped_share(x) > CLIPPED:
            clipped.append(int(decoded.kept[i]) + 1)
    of = "" if len(looked) == len(decoded) else f" of {len(looked):,} looked at"
    if silent:
        yield warning(f"{name}: {rows(len(silent))}{of} with silence, the first is {silent[0]:,}")
    if len(clipped) > WORTH_CLIPPING * len(looked):
        yield warning(
            f"{name}: {rows(len(clipped))}{of} ({len(clipped) / len(looked):.1%}) recorded too loud"
            f" and cut off at full scale, the first is {clipped[0]:,}"
        )


def _clipped_share(x: "Sound") -> float:
    """Samples at full scale beside one that is too: a single peak there is only loud."""
    import numpy as np

    full = np.abs(x) >= FULL_SCALE
    return float((full[1:] & full[:-1]).mean()) if len(x) > 1 else 0.0


def _lengths(name: str, seconds: "npt.NDArray[np.float64]") -> Iterator[Finding]:
    import numpy as np

    if not len(seconds):
        return
    longest, median = float(seconds.max()), float(np.median(seconds))
    if longest > LONGEST_RATIO * median:
        yield warning(
            f"{name}: lengths are very unequal: the longest sound has {longest:,.1f} s, half of"
            f" them no more than {median:,.2f} s"
        )


def _rates(
    name: str, split: "datasets.Dataset", kept: "npt.NDArray[np.int64]", rate: int
) -> Iterator[Finding]:
    from tasks.media.source import BadFile
    from tasks.speech.sound import audio

    below: Counter[int] = Counter()
    looked = _sample(len(kept), all_of_them=False)
    for i in looked:
        try:
            own = audio.info(split[int(kept[i])]["media"]).rate
        except BadFile:  # it was there when it was decoded: training will say so
            continue
        if own < rate:
            below[own] += 1
    if below:
        count = sum(below.values())
        of = "" if len(looked) == len(kept) else f" of {len(looked):,} looked at"
        found = ", ".join(f"{own:,} Hz" for own in sorted(below)[:NAMED])
        yield warning(
            f"{name}: {rows(count)}{of} recorded at a lower rate than the model's {rate:,} Hz"
            f" ({found}): nothing is there above half of it"
        )


def _sample(count: int, all_of_them: bool) -> Sequence[int]:
    """Return all rows, or LOOKED_AT of them evenly spread."""
    if all_of_them or count <= LOOKED_AT:
        return range(count)
    return [place * count // LOOKED_AT for place in range(LOOKED_AT)]


def _empty(texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for name, given in texts.items():
        empty = [row for row, text in enumerate(given, 1) if not text.strip()]
        if empty:
            yield warning(
                f"{name}: {rows(len(empty))} with an empty transcription, the first is {empty[0]:,}"
            )
        if name == "train" and given and len(empty) == len(given):
            yield error("train has no transcription at all, so there is nothing to learn")


def _unknown(texts: Mapping[str, Sequence[str]], characters: Collection[str]) -> Iterator[Finding]:
    if not characters:
        return
    known = frozenset(characters) | {" "}
    for name, given in texts.items():
        counts: Counter[str] = Counter()
        affected = []
        for row, text in enumerate(given, 1):
            outside = [character for character in text if character not in known]
            if outside:
                counts.update(outside)
                affected.append(row)
        if not affected:
            continue
        named = ", ".join(f"{_shown(c)} ({n:,})" for c, n in counts.most_common(NAMED))
        more = f" and {len(counts) - NAMED} more" if len(counts) > NAMED else ""
        yield warning(
            f"{name}: {rows(len(affected))} with characters outside the vocabulary, which are left"
            f" out: {named}{more}; the first is row {affected[0]:,}"
        )


def _known_texts(texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Sentences of a test that were trained on: the model may know them rather than hear them."""
    train = set(texts.get("train", ()))
    for name, given in texts.items():
        if name == "train" or not given:
            continue
        shared = sum(text in train for text in given)
        if shared >= SHARED_TEXTS * len(given):
            yield warning(
                f"{name}: {shared / len(given):.0%} of the transcriptions are also in train, word"
                " for word: what is measured there says little about new sentences"
            )


def _too_short(
    name: str,
    texts: Sequence[str],
    kept: "Sequence[int] | npt.NDArray[np.int64]",
    frames: "Frames",
    characters: Collection[str],
) -> Iterator[Finding]:
    known = frozenset(characters) | {" "}
    short = []
    for row, count in zip(kept, frames, strict=True):
        target = [c for c in texts[int(row)] if not characters or c in known]
        if frames_needed(target) > count:
            short.append((int(row) + 1, frames_needed(target), int(count)))
    if short:
        first, needed, count = short[0]
        found = (
            f"{name}: {rows(len(short))} with more text than sound: CTC needs a frame for each"
            f" character and one between equal ones; the first is {first:,}, with {needed:,} for"
            f" {count:,} frames"
        )
        every = len(short) == len(frames)
        yield error(f"{found}, and there is no other") if every else warning(found)


def _shown(character: str) -> str:
    visible = character.isprintable() and not character.isspace()
    return f"'{character}'" if visible else f"U+{ord(character):04X}"


def _errors_first(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.level != "error")
