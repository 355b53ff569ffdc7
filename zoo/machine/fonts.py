"""Fonts for a picture: those of this machine that have the characters of its labels.

matplotlib draws an empty box for a character that its font lacks, whatever other fonts are
installed. So the characters of a picture are looked up in the fonts themselves, and what no font
has is written in ASCII: a box says nothing to anyone.
"""

import functools
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.printing import print_lines

USUAL = "DejaVu Sans"
"""The font that comes with matplotlib."""
PLACEHOLDERS = ("lastresort", "last resort", "adobe blank", "adobeblank", "unicode bmp fallback")
"""Fonts that have a picture for every character, and it is a box."""
EAST_ASIAN = (0x2E80, 0xD7FF)
"""Where most characters of Chinese, Japanese and Korean are, which have a package of their own."""
SHAPED = (
    *((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0x1B00, 0x1CFF)),
    *((0xA800, 0xABFF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFF)),
)
"""Scripts that are read only where letters are joined, reordered or run to the left: Hebrew, Arabic
and their neighbours, those of India, Tibet, Burma and Cambodia (blocks of Unicode 16)."""
VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Selectors of a variant of the character before them, as emoji have."""
LANGUAGES = {"jp", "kr", "sc", "tc", "hk"}
"""How the names of fonts end that are of one collection, one for each way to write Chinese."""
JAPANESE, KOREAN, CHINESE = (0x3040, 0x30FF), (0xAC00, 0xD7AF), (0x4E00, 0x9FFF)


@dataclass(frozen=True)
class FontChoice:
    """Families of fonts that together have the characters of some texts, and what none has."""

    families: tuple[str, ...]
    """in the order in which matplotlib is to try them"""
    missing: frozenset[str]
    """characters that can't be drawn legibly"""

    def legible(self, text: str) -> bool:
        """Return whether all of a text can be drawn."""
        return self.missing.isdisjoint(text)

    def ascii(self, text: str) -> str:
        r"""Return a text with what can't be drawn escaped: "\u597d" for a character."""
        return "".join(
            each.encode("ascii", "backslashreplace").decode() if each in self.missing else each
            for each in VARIATION.sub("", text)
        )


@dataclass(frozen=True)
class _Face:
    """A font of this machine: a file, or one of the fonts in a collection."""

    path: str
    family: str
    rank: tuple[int, ...]  # the lower, the more like the usual font
    has: frozenset[str]  # of the characters that are looked for


def choose(texts: Iterable[str]) -> FontChoice:
    """Return fonts that have the characters of some texts: the usual one, and as few others of this
    machine as are needed.

    A font that was installed since matplotlib last looked is found as well.
    """
    needed = frozenset(each for text in texts for each in text if _is_drawn(each))
    usual = _usual_characters()
    # the usual font has letters of Arabic and Hebrew, which are no words unless they are laid out
    return _choose(frozenset(e for e in needed if e not in usual or not _is_laid_out(e)))


def numbered(labels: Sequence[str], choice: FontChoice) -> tuple[list[str], str | None]:
    """Return labels as a picture can show them, and a sentence on how to read it.

    Where a font lacks characters of any label, all labels are numbered from 0, as `id2label` of
    config.json numbers them; the sentence says so, and is None elsewhere.
    """
    if all(map(choice.legible, labels)):
        return list(labels), None
    first = ", ".join(f"{i} {label}" for i, label in enumerate(labels[:12]))
    more = ", ... (as id2label of config.json)" if len(labels) > 12 else ""
    return [str(i) for i in range(len(labels))], f"labels are numbered: {first}{more}"


def renamed(labels: Sequence[str], choice: FontChoice) -> Mapping[str, str]:
    """Return what `numbered` calls those labels that can't be drawn: "#3"."""
    return {name: f"#{i}" for i, name in enumerate(labels) if not choice.legible(name)}


def complaint(choice: FontChoice) -> str:
    """Return a sentence on the characters that no font of this machine has, and what helps."""
    shown = sorted(choice.missing)
    some = " ".join(shown[:8]) + (" ..." if len(shown) > 8 else "")
    if not any(map(_is_laid_out, choice.missing)):
        return f"this matplotlib can't lay out {some}: matplotlib 3.11 can"
    has_cjk = any(EAST_ASIAN[0] <= ord(each) <= EAST_ASIAN[1] for each in shown)
    package = "fonts-noto-cjk" if has_cjk else "fonts-noto"
    return f"no font here has {some}: install one (on Debian and Ubuntu {package})"


def apply(figure: Any, choice: FontChoice) -> None:
    """Give all texts of a `matplotlib.figure.Figure` these fonts, and escape what none has."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if len(choice.families) > 1:
            text.set_fontfamily(list(choice.families))
        if (plain := choice.ascii(text.get_text())) != text.get_text():
            text.set_text(plain)


def texts_of(figure: Any) -> list[str]:
    """Return all texts of a `matplotlib.figure.Figure`."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


def _is_drawn(character: str) -> bool:
    """Return whether a character takes a glyph, as spaces of all kinds do; a newline and what only
    varies the glyph before it take none."""
    return character != "\n" and not VARIATION.match(character)


def _is_laid_out(character: str) -> bool:
    """Return whether matplotlib puts a character where its script has it."""
    return _shapes() or not _is_shaped(character)


def _is_shaped(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in SHAPED)


@functools.cache
def _shapes() -> bool:
    """Return whether matplotlib lays out scripts that need it: since 3.11, by libraqm."""
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")


@functools.cache
def _usual_characters() -> frozenset[str]:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    path = font_manager.findfont(USUAL)
    return frozenset(map(chr, FT2Font(path).get_charmap()))


@functools.lru_cache(64)
def _choose(missing: frozenset[str]) -> FontChoice:
    unreadable = frozenset(each for each in missing if not _is_laid_out(each))
    left, families = missing - unreadable, [USUAL]
    faces = _faces(left) if left else []
    while any(face.has & left for face in faces):
        # of those that have as many, that of the language, then the plainest
        best = min(faces, key=lambda one: (-len(one.has & left), one.rank, one.path))
        _register(best)
        families.append(best.family)
        left -= best.has
    return FontChoice(tuple(families), left | unreadable)


def _faces(characters: frozenset[str]) -> list[_Face]:
    """Return the fonts of this machine that have any of some characters."""
    from matplotlib import font_manager

    found = []
    for path in font_manager.findSystemFonts():
        try:
            found += _faces_of(path, characters)
        except (OSError, RuntimeError):  # bitmaps alone, or a format that FreeType does not know
            continue
    return found


def _faces_of(path: str, characters: frozenset[str]) -> list[_Face]:
    from matplotlib.ft2font import FT2Font

    first = FT2Font(path)  # is closed with the last reference: there may be a thousand of them
    many = getattr(first, "num_faces", 1) if hasattr(first, "face_index") else 1
    found = []
    for index in range(many):
        font = FT2Font(path, face_index=index) if index else first
        family = font.family_name
        if not font.scalable or any(name in family.lower() for name in PLACEHOLDERS):
            continue
        has = frozenset(each for each in characters if font.get_char_index(ord(each)))
        if has:
            rank = _rank(family, f"{family} {font.style_name}".lower(), characters)
            found.append(_Face(path, family, rank, has))
    return found


def _rank(family: str, style: str, characters: frozenset[str]) -> tuple[int, ...]:
    """Return how unlike the usual font a font is, the language first: the same Chinese character
    is written in another way in Japan, Korea and Taiwan, and families have a font for each."""

    def any_of(block: tuple[int, int]) -> bool:
        return any(block[0] <= ord(each) <= block[1] for each in characters)

    language = "jp" if any_of(JAPANESE) else "kr" if any_of(KOREAN) else "sc"
    other = any_of(CHINESE) and family.lower().rpartition(" ")[2] in LANGUAGES - {language}
    odd = ("bold", "black", "heavy", "light", "thin", "medium", "italic", "oblique", "condensed")
    return (
        int(other),
        sum(word in style for word in odd),
        sum(word in style for word in ("serif", "mono")),
        int("sans" not in style),
    )


def _register(face: _Face) -> None:
    """Make matplotlib know a font by its family: its list of fonts may be older than the font."""
    from matplotlib import font_manager

    known = {(one.name, Path(one.fname)) for one in font_manager.fontManager.ttflist}
    if (face.family, Path(face.path)) not in known:
        font_manager.fontManager.addfont(face.path)


def warn(path: Path, choice: FontChoice, note: str | None = None) -> None:
    """Print one line to standard error where a picture could not show all characters."""
    if choice.missing:
        how = note or "what can't be drawn is escaped"
        print_lines(f"{path}: {how}; {complaint(choice)}", file=sys.stderr)
