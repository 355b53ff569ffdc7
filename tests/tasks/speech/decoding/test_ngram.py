"""The n-gram model: a distribution for every context, ARPA files there and back, broken ones."""

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.speech.decoding import arpa
from tasks.speech.decoding.ngram import NGram
from tests.ngrams import train, write_arpa

sentences = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "long-word"]), max_size=6), min_size=1, max_size=8
)
contexts = st.lists(st.sampled_from(["<s>", "a", "b", "c", "never", "<unk>"]), max_size=4)

ARPA = r"""a line before
\data\
ngram 1=5
ngram 2=3

\1-grams:
-1.0	<unk>
-99	<s>	-0.3
-0.5	</s>
-0.4	a	-0.2
-0.6	b

\2-grams:
-0.1	<s> a
-0.7	a b
-0.2	b </s>

\end\
and behind
"""


@settings(max_examples=60)
@given(sentences=sentences, context=contexts, order=st.integers(1, 4))
def test_chances_of_all_words_sum_to_one_in_every_context(
    sentences: list[list[str]], context: list[str], order: int
) -> None:
    lm = train(sentences, order)
    words = {gram[0] for gram in lm.chances if len(gram) == 1} - {"<s>"}
    assert {"</s>", "<unk>"} <= words
    total = sum(math.exp(lm.score(context, word)) for word in words)
    assert total == pytest.approx(1, abs=1e-9)


def test_what_was_seen_is_likelier_and_backing_off_counts_contexts() -> None:
    lm = train(["i live in san francisco"] * 5 + ["a glass", "the glass", "my glass"], 2)
    assert lm.score(["san"], "francisco") > lm.score(["san"], "glass")
    # Kneser & Ney's point: francisco is as frequent as three glasses, but only ever behind san
    assert lm.score(["never"], "glass") > lm.score(["never"], "francisco")
    assert lm.score(["<s>"], "i") > lm.score(["<s>"], "live")
    assert lm.score(["in", "san"], "francisco") == lm.score(["san"], "francisco")
    assert lm.score(["a"], "unheard") == lm.score(["a"], "unseen")
    assert lm.order == 2 and len(lm) > 10


def test_chances_are_those_worked_out_by_hand() -> None:
    """Two sentences, `a a` and `a b`: what Chen & Goodman's equations 24 to 26 give."""
    lm = train(["a a", "a b"], 2)
    # words behind how many different ones: a 2 (<s>, a), b 1, </s> 2; n1 = 1, n2 = 2: D = 1/5
    d1 = 1 / 5
    unknown = 3 * d1 / 5 / 4
    p_a, p_b = (2 - d1) / 5 + unknown, (1 - d1) / 5 + unknown
    assert math.exp(lm.score([], "<unk>")) == pytest.approx(unknown)
    assert math.exp(lm.score([], "a")) == pytest.approx(p_a)
    # pairs: <s> a 2, a a 1, a b 1, a </s> 1, b </s> 1; n1 = 4, n2 = 1: D = 4/6
    d2 = 4 / 6
    assert math.exp(lm.score(["a"], "b")) == pytest.approx((1 - d2) / 3 + d2 * 3 / 3 * p_b)
    assert math.exp(lm.score(["b"], "a")) == pytest.approx(d2 * 1 / 1 * p_a)


def test_bad_sentences_are_refused() -> None:
    for wrong, said in ((["<s> a"], "'<s>'"), ([["a b"]], "'a b'"), ([], "no sentences")):
        with pytest.raises(UserError, match=said):
            train(wrong)
    with pytest.raises(UserError, match="order 0"):
        train(["a"], 0)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sentences=sentences, context=contexts, order=st.integers(1, 3))
def test_written_and_read_it_is_the_same(
    tmp_path: Path, sentences: list[list[str]], context: list[str], order: int
) -> None:
    lm = train(sentences, order)
    write_arpa(lm, tmp_path / "lm.arpa")
    again = NGram.read_arpa(tmp_path / "lm.arpa")
    assert again.order == order and again.chances.keys() == lm.chances.keys()
    for word in ("a", "b", "</s>", "never"):
        assert again.score(context, word) == pytest.approx(lm.score(context, word), abs=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["lm.arpa"]


def test_a_file_of_another_tool_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    lm, ten = NGram.read_arpa(path), math.log(10)
    assert lm.score(["<s>"], "a") == pytest.approx(-0.1 * ten)
    assert lm.score(["a"], "a") == pytest.approx((-0.2 - 0.4) * ten)  # backs off
    assert lm.score(["b"], "a") == pytest.approx(-0.4 * ten)  # no weight: 0
    assert lm.score(["a"], "zebra") == pytest.approx((-0.2 - 1.0) * ten)
    path.write_text(ARPA, encoding="utf-8-sig")
    assert NGram.read_arpa(path).chances == lm.chances
    path.write_text(ARPA.replace("1=5", "1=4").replace("-1.0\t<unk>\n", ""))
    assert NGram.read_arpa(path).score([], "zebra") == pytest.approx(-7 * ten)


BROKEN = {
    "no data": (ARPA.replace("\\data\\", "data"), r"no line \\data\\"),
    "nothing declared": (ARPA.replace("ngram ", "gram "), "line 3 is no `ngram 1=COUNT`"),
    "ends in the header": ("\\data\\\nngram 1=5\n", "the file ends there"),
    "an order left out": (ARPA.replace("ngram 2", "ngram 3"), "line 4 declares order 3"),
    "too many": (ARPA.replace("1=5", "1=50000000"), "line 3 makes it more than 5,000,000"),
    "fewer than declared": (ARPA.replace("1=5", "1=6"), "line 13 ends 5 1-grams, and 6"),
    "more than declared": (ARPA.replace("2=3", "2=2"), "line 16 is more than the 2 2-grams"),
    "no number": (ARPA.replace("-0.4", "o.4"), "line 10 has 'o.4' where a number belongs"),
    "infinite": (ARPA.replace("-0.4", "-inf"), "line 10 has '-inf'"),
    "above one": (ARPA.replace("-0.4", "0.4"), "line 10 has the log probability 0.4"),
    "a bad weight": (ARPA.replace("-0.2\n-0.6", "x\n-0.6"), "line 10 has 'x' where"),
    "words missing": (ARPA.replace("a b", ""), "line 15 has 1 fields, not a number and 2 words"),
    "a second time": (ARPA.replace("-0.6\tb", "-0.6\ta"), "line 11 has 'a' a second time"),
    "another section": (ARPA.replace("\\2-grams:", "\\4-grams:"), "must be .2-grams:"),
    "cut off": (ARPA[: ARPA.index("\\end")], "line 16 is the last, and there is no"),
    "a long line": (ARPA.replace("-0.7", "-0.7" + "0" * 20_000), "line 15 is longer than 10,000"),
    "not text": (ARPA.replace("a b", "a \udcff"), "line 15 is no text in UTF-8"),
    "empty": ("", r"no line \\data\\"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_with_its_line(tmp_path: Path, name: str) -> None:
    text, said = BROKEN[name]
    path = tmp_path / "lm.arpa"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=said) as error:
        NGram.read_arpa(path)
    assert "lm.arpa" in str(error.value) and len(str(error.value)) < 300


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.arpa", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            NGram.read_arpa(path)


@settings(max_examples=150)
@given(data=st.data())
def test_no_damage_raises_anything_else(data: st.DataObject, tmp_path_factory) -> None:
    lines = ARPA.encode().split(b"\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(
            st.sampled_from([b"", b"\\end\\", b"\\1-grams:", b"-1 a", b"nan b", b"\\"])
            | st.binary(max_size=12)
        )
    path = tmp_path_factory.mktemp("arpa") / "lm.arpa"
    path.write_bytes(b"\n".join(lines))
    try:
        order, chances, _ = arpa.read(path)
    except UserError:
        return
    assert order >= 1 and all(1 <= len(gram) <= order for gram in chances)
