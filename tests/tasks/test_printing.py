"""Nothing that is printed steers a terminal."""

import io

import pytest

from tasks.printing import print_lines, print_piece, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m\x07\x00\x7f", "\\x9b31m\\x07\\x00\\x7f"),
        ("evil\u202egpj.exe\u2066", "evil\\u202egpj.exe\\u2066"),
        ("two\u2028lines\u2029\x85", "two\\u2028lines\\u2029\\x85"),
        ("po\xadsi\u200btive\ufeff", "po\\xadsi\\u200btive\\ufeff"),
        ("caf\udce9.csv", "caf\\udce9.csv"),  # a file's name in latin-1
        ("\U000e0041", "\\U000e0041"),
        ("正面, Köln, سلام, می\u200cخواهم, 👩\u200d🔬, [/b], $x$", None),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str | None) -> None:
    assert visible(text) == (text if shown is None else shown)


def test_a_text_is_one_line() -> None:
    file = io.StringIO()
    print_lines("a\nforged: 1.000", "b", file=file)
    assert file.getvalue() == "a\\nforged: 1.000\nb\n"


def test_a_piece_keeps_its_lines_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_piece("a\n\tb")
    print_piece("\x1b[2J\r")
    assert capsys.readouterr().out == "a\n\tb\\x1b[2J\\r"
