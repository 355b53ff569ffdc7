"""Words with times as subtitles: SubRip (srt) and WebVTT (https://www.w3.org/TR/webvtt1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_CUE = 42
"""Characters of a line that is read at a glance, as is usual for subtitles."""
LONGEST_CUE_S = 6.0
LONGEST_PAUSE_S = 1.0
"""Between two words of one cue."""
MEDIA_TYPES = {"srt": "application/x-subrip; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}


@dataclass(frozen=True)
class Cue:
    """A line that is shown for some seconds."""

    start: float
    end: float
    text: str


def cues(words: Sequence[Mapping[str, Any]]) -> list[Cue]:
    """Return words as lines: cut where a line is full, lasts too long, or nobody speaks.

    Args:
        words: each has `word`, and `start` and `end` in seconds.
    """
    found: list[Cue] = []
    for word in words:
        start, end, text = word["start"], word["end"], word["word"]
        last = found[-1] if found else None
        if (
            last is None
            or start - last.end > LONGEST_PAUSE_S
            or end - last.start > LONGEST_CUE_S
            or len(last.text) + 1 + len(text) > LONGEST_CUE
        ):
            found.append(Cue(start, end, text))
        else:
            found[-1] = Cue(last.start, end, f"{last.text} {text}")
    return found


def srt(words: Sequence[Mapping[str, Any]]) -> str:
    """Return words as a SubRip file."""
    return "".join(
        f"{i}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{cue.text}\n\n"
        for i, cue in enumerate(cues(words), 1)
    )


def vtt(words: Sequence[Mapping[str, Any]]) -> str:
    """Return words as a WebVTT file."""
    return "WEBVTT\n\n" + "".join(
        f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{_escaped(cue.text)}\n\n"
        for cue in cues(words)
    )


WRITERS = {"srt": srt, "vtt": vtt}


def _time(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, rest = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{rest:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
