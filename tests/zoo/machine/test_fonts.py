"""Labels of any script in a picture: with a font that has them, or else in ASCII; never a box."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from zoo.machine import fonts, plots

CHINESE = ("好评", "差评")
NOBODY = "\U0001f9ff\U00012345"
"""An amulet and a sign of cuneiform."""


def make_font(path: Path, family: str, characters: str, style: str = "Regular") -> Path:
    """A font that has a full square for each of the characters."""
    pen = TTGlyphPen(None)
    for point in ((100, 0), (900, 0), (900, 800), (100, 800)):
        (pen.moveTo if point == (100, 0) else pen.lineTo)(point)
    pen.closePath()
    square = pen.glyph()
    names = {ord(each): f"g{ord(each)}" for each in characters}
    order = [".notdef", *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(order, square))
    builder.setupHorizontalMetrics(dict.fromkeys(order, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": style})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of all fonts of a machine, which has none but matplotlib's own at first."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    monkeypatch.setattr(
        font_manager, "findSystemFonts", lambda: sorted(map(str, folder.glob("*.*tf")))
    )
    known = list(font_manager.fontManager.ttflist)
    fonts._choose.cache_clear()
    yield folder
    fonts._choose.cache_clear()
    font_manager.fontManager.ttflist[:] = known
    font_manager.fontManager._findfont_cached.cache_clear()


def ink(path: Path) -> np.ndarray:
    """How dark each pixel of a picture is, 0 to 1, float64 [height, width]."""
    return 1 - np.asarray(Image.open(path).convert("L"), np.float64) / 255


def test_the_usual_font_needs_no_other(installed: Path) -> None:
    make_font(installed / "a.ttf", "Any", "ä")
    for texts in ((), ("",), ("Ärger", "naïve", "Ελληνικά", "Кошка", "a\nb")):
        assert fonts.choose(texts) == fonts.FontChoice((fonts.USUAL,), frozenset())


def test_a_font_is_found_by_what_it_has(installed: Path) -> None:
    make_font(installed / "a.ttf", "Half", "好")
    make_font(installed / "b.ttf", "Whole Serif", "好评差")
    make_font(installed / "c.ttf", "Whole Sans", "好评差")
    make_font(installed / "d.ttf", "Whole Sans Bold", "好评差", "Bold")
    make_font(installed / "e.ttf", "Last Resort", "好评差" + NOBODY)
    found = fonts.choose(CHINESE)
    assert found == fonts.FontChoice((fonts.USUAL, "Whole Sans"), frozenset())
    assert all(map(found.legible, CHINESE))


def test_several_fonts_where_one_is_not_enough(installed: Path) -> None:
    make_font(installed / "a.ttf", "Chinese", "好评差")
    make_font(installed / "b.ttf", "Runes", "ᚠᚡ")
    assert fonts.choose([*CHINESE, "ᚠ"]).families == (fonts.USUAL, "Chinese", "Runes")


@pytest.mark.parametrize(
    ("text", "family"), [("東京", "SC"), ("東京へ", "JP"), ("東京 한국", "KR")], ids=str
)
def test_of_a_family_the_font_of_the_language(installed: Path, text: str, family: str) -> None:
    for name in ("JP", "KR", "SC", "TC"):
        make_font(installed / f"{name}.ttf", f"Noto Sans CJK {name}", "東京へ한국")
    assert fonts.choose([text]).families == (fonts.USUAL, f"Noto Sans CJK {family}")


def test_files_that_are_no_fonts_are_passed_over(installed: Path) -> None:
    (installed / "broken.ttf").write_bytes(b"no font at all")
    (installed / "empty.otf").touch()
    make_font(installed / "good.ttf", "Good", "好评差")
    assert fonts.choose(CHINESE).families == (fonts.USUAL, "Good")


def test_what_needs_shaping_is_not_drawn_without_it(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hebrew from left to right, or Arabic in single letters, would be read wrongly or not."""
    make_font(installed / "a.ttf", "All", "好नम")
    assert fonts.choose(["नम"]).missing == frozenset() or not fonts._shapes()
    monkeypatch.setattr(fonts, "_shapes", lambda: False)
    fonts._choose.cache_clear()
    found = fonts.choose(["मन", "好", "שלום"])
    assert found.missing == frozenset("मनשלום")
    assert fonts.complaint(found).endswith(": matplotlib 3.11 can")
    assert "fonts-noto-cjk" in fonts.complaint(fonts.FontChoice((), frozenset("म好")))
    assert fonts.complaint(fonts.FontChoice((), frozenset("ᚠ"))).endswith("Ubuntu fonts-noto)")


def test_labels_that_no_font_has_are_numbered(
    installed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, figures, new = tmp_path / "matrix.png", [], plots.new_figure
    monkeypatch.setattr(plots, "new_figure", lambda *size: figures.append(new(*size)) or figures[0])
    plots.confusion_matrix(path, np.array([[3, 1], [0, 4]]), CHINESE)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: labels are numbered: 0 好评, 1 差评; no font here has ")
    assert "fonts-noto-cjk" in line
    (axes, _) = figures[0].axes
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [text.get_text() for text in ticks] == ["0", "1"]


def test_labels_are_drawn_where_a_font_has_them(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The font of the test draws a full square, which is darker than an empty box."""
    matrix, path = np.array([[3, 1], [0, 4]]), tmp_path / "matrix.png"
    make_font(installed / "chinese.ttf", "Squares", "好评差")
    plots.confusion_matrix(path, matrix, CHINESE)
    assert capsys.readouterr().err == ""
    left = ink(path)[:, :60]
    rows = ("".join(".#"[int(dark)] for dark in row) for row in left > 0.9)
    side = max(len(run) for row in rows for run in row.split("."))
    assert side >= 8, "a line of a full square in the label of the axis"


def test_what_else_no_font_has_is_escaped(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = plots.new_figure(3, 2)
    figure.subplots().set_title(f"loss of {NOBODY}", parse_math=False)
    plots.save(figure, tmp_path / "loss.svg")
    assert figure.axes[0].get_title() == "loss of \\U0001f9ff\\U00012345"
    (line,) = capsys.readouterr().err.splitlines()
    assert "what can't be drawn is escaped; no font here has" in line


def test_selectors_of_a_variant_are_no_characters(installed: Path) -> None:
    found = fonts.choose(["\u2764\ufe0f"])
    assert found.missing == frozenset() and found.ascii("\u2764\ufe0f") == "\u2764"


def test_a_thousand_labels_are_drawn_small(tmp_path: Path) -> None:
    path = tmp_path / "matrix.png"
    plots.confusion_matrix(path, np.eye(1000, dtype=np.int64), [f"label {i}" for i in range(1000)])
    assert max(Image.open(path).size) < 10_000


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="no fontconfig here")
def test_fonts_of_this_machine_leave_no_box(tmp_path: Path) -> None:
    """Whatever is installed: matplotlib warns of each glyph it has no font for."""
    figure = Figure(figsize=(4, 3))
    figure.text(0.1, 0.5, "好评 かな 한국 عربي עברית ไทย हिन्दी 😀 ᚠ" + NOBODY, parse_math=False)
    with pytest.warns(UserWarning) as warned, mpl.rc_context({"font.enable_last_resort": True}):
        import warnings

        warnings.warn("so that there is one", UserWarning, stacklevel=1)
        plots.save(figure, tmp_path / "all.png")
    assert [str(one.message) for one in warned] == ["so that there is one"]
