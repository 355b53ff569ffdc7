"""What `clean` does to one text, and to the rows of all splits."""

import dataclasses
from pathlib import Path

import datasets
import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import masked_lm, text_classification
from tasks.nlp.cleaning import cleaned, cleaned_item, cleaned_splits, described, steps_of
from tasks.nlp.text_classification import Args


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fine<br /><br />film", "fine  film"),
        ("<p class='a'>one</p><P>two", " one  two"),
        ("<i>very</i> <B>good</B>", "very good"),
        ("a &amp; b &lt;br&gt; &#20320;&eacute;", "a & b <br> 你é"),
        ("1 < 2 and 3 > 2, I <3 you, <none> of <my-tags>", None),
        ("a<!-- not <b>read</b> -->b<script>if (a<b) {}</script>c<STYLE>x</style >d", "a b c d"),
        ("<!-- never ends, a<br>b", "<!-- never ends, a b"),
        ("<!DOCTYPE html><html>a", "  a"),
        ("a <b, c> d", None),
        ("if a<p and q>r", None),
        ("<td nowrap>a<input type=x disabled/></a >", " a"),
        ("[MASK] <mask> <s>", "[MASK] <mask> "),
        ("", ""),
    ],
)
def test_html(text: str, expected: str | None) -> None:
    assert cleaned(text, "html") == (text if expected is None else expected)


def test_space() -> None:
    assert cleaned("\t a\xa0 b\r\n\u3000c ", "space") == "a b c"
    assert cleaned("<p>a</p>\n<p>b</p>", "space,html") == "a b", (
        "tags leave blanks, so they go first"
    )
    assert cleaned(" a ", "none") == " a "


@pytest.mark.parametrize("text", ["<!--" * 200_000, "<script>" * 200_000, "<a" * 400_000])
def test_what_never_ends_is_no_html(text: str) -> None:
    """Looked for its end once: each of them would take minutes."""
    assert cleaned(text, "html") == text


@pytest.mark.parametrize(
    ("clean", "said"),
    [
        ("htm", "`clean` 'htm' is none of html, space, duplicates; did you mean html?"),
        ("html,,space", "`clean` '' is none of"),
        ("html,none", "`clean` 'none' is none of html, space, duplicates; or none, alone"),
    ],
)
def test_unknown_words(clean: str, said: str) -> None:
    for args in (text_classification.Args, masked_lm.Args):
        with pytest.raises(UserError) as error:
            args(clean=clean)
        assert str(error.value).startswith(said)


def test_steps_have_one_order() -> None:
    assert steps_of("duplicates, space,html") == ("html", "space", "duplicates")
    assert steps_of("none") == steps_of("") == ()


def test_duplicates_stay_where_they_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    of = datasets.Dataset.from_dict
    splits = datasets.DatasetDict(
        train=of(
            {
                "text": ["a", "b ", "b", "c<br>", "", "", "d"],
                "label": ["x", "x", "y", "x", "x", "y", "y"],
            }
        ),
        validation=of({"text": ["c", "e"], "label": ["y", "x"]}),
        test=of({"text": ["a", "e", "e"], "label": ["x", "x", "x"]}),
    )
    made, counts = cleaned_splits(splits, "html,duplicates", "films")
    assert made["train"]["text"] == ["b ", "", "", "d"]
    assert made["validation"]["text"] == ["c"]
    assert made["test"]["text"] == ["a", "e"]
    assert list(made) == ["train", "validation", "test"]
    assert capsys.readouterr().err == (
        "clean html,duplicates of films: 1 text changed; duplicates dropped: 1 of test repeated, 1"
        " of validation also in test, 1 of train repeated, 1 of train also in validation, 1 of"
        " train also in test (2 with another label than the row that stays); before 12 rows with 15"
        " characters, after 7 with 6\n"
    )
    assert counts == {
        "texts_changed": 1, "contradicted": 2, "rows_before": 12, "rows": 7,
        "characters_before": 15, "characters": 6,
    }  # fmt: skip


def test_pairs_are_duplicates_only_together(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"text": ["a", "a", "a "], "text_pair": ["b", "c", "b"], "label": ["x", "y", "x"]}
    made, _ = cleaned_splits(
        datasets.DatasetDict(train=datasets.Dataset.from_dict(rows)), "duplicates", "pairs"
    )
    assert made["train"].to_dict() == {k: v[:2] for k, v in rows.items()}
    assert "1 of train repeated; before 3 rows with 7 characters" in capsys.readouterr().err


def test_nothing_changes_where_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    splits = datasets.DatasetDict(train=datasets.Dataset.from_dict({"text": ["<b>a", "<b>a"]}))
    assert cleaned_splits(splits, "none", "a") == (splits, {})
    item = {"text": "<b> a"}
    assert cleaned_item(item, "none") is item
    assert described("none") == described("duplicates") == ""
    assert capsys.readouterr().err == ""


def test_an_input_of_predict_is_cleaned_as_the_data_were() -> None:
    item = {"text": "a<br>b", "text_pair": " c", "others": 5}
    assert cleaned_item(item, "html,space,duplicates") == {
        "text": "a b",
        "text_pair": "c",
        "others": 5,
    }


def test_a_task_cleans_its_data_and_says_so_on_its_card(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"<b>text</b> {i % 40},{'yn'[i % 2]}\n" for i in range(60))
    path.write_text(f"text,label\n{rows}")
    data = DataArgs(data=str(path))
    task, examples = text_classification.from_data(Args(clean="html,duplicates"), data)
    texts = [text for split in examples.splits.values() for text in split["text"]]
    assert sorted(texts) == sorted(f"text {i}" for i in range(40))
    again = text_classification.from_config(task.config())
    assert again.args.clean == "html,duplicates"
    for split in ("train", "validation", "test"):
        seen = text_classification.for_evaluation(again, data, split, examples.fingerprint)
        assert seen.splits[split]["text"] == examples.splits[split]["text"], "cut as in training"
    told = dataclasses.replace(again, args=dataclasses.replace(again.args, max_length=8))
    assert "HTML's tags are taken out" in told.describe_lengths()
