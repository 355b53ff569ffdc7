"""Which columns are source and target, and what is told of it."""

import datasets
import pytest

from tasks.errors import UserError
from tasks.nlp import pair_columns
from tasks.nlp.pair_columns import find_pair, is_language, other_pair, with_languages


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["target", "source"], ("source", "target")),
        (["id", "Source ", "TARGET"], ("Source ", "TARGET")),
        (["summary", "text"], ("text", "summary")),
        (["article", "highlights", "id"], ("article", "highlights")),
        (["package", "source", "synopsis", "description"], ("description", "synopsis")),
        (["en", "fr"], ("en", "fr")),
        (["id", "fr", "en", "score"], ("fr", "en")),
        (["zh-CN", "pt_BR"], ("zh-CN", "pt_BR")),
        (["English", "German"], ("English", "German")),
    ],
)
def test_found_by_names(names: list[str], pair: tuple[str, str]) -> None:
    assert find_pair(names, "it", None, None) == pair


def test_the_direction_between_languages_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    find_pair(["en", "fr"], "it", None, None)
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "reads 'en' as the source and 'fr' as the target; for the other direction give "
        "`source_column` fr"
    ]
    find_pair(["text", "summary"], "it", None, None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("names", "source", "target", "pair"),
    [
        (["en", "fr"], "fr", None, ("fr", "en")),
        (["en", "fr", "note"], None, "en", ("fr", "en")),
        (["a", "b", "c"], "c", "a", ("c", "a")),
        (["a", "b"], "b", None, ("b", "a")),
        (["tgt", "src", "x"], None, "tgt", ("src", "tgt")),
        (["source", "description", "synopsis"], None, "synopsis", ("description", "synopsis")),
        (["body", "title", "date"], "body", None, ("body", "title")),
    ],
)
def test_one_or_both_are_asked_for(
    names: list[str], source: str | None, target: str | None, pair: tuple[str, str]
) -> None:
    assert find_pair(names, "it", source, target) == pair


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        (["de", "en", "fr"], (None, None), "has the languages de, en, fr, and which"),
        (["a", "b"], (None, None), "has the columns a, b, and which are the source and the target"),
        (["text", "label"], (None, None), "which are the source and the target is not plain"),
        (["de", "en", "fr"], ("de", None), "which of them is the target of 'de' is not plain"),
        (["en", "fr"], ("en", "en"), "'en' can't be both the source and the target"),
        (["en", "fr"], ("de", "fr"), "has no column 'de' for the source"),
    ],
)
def test_what_is_not_plain_is_refused(
    names: list[str], asked: tuple[str | None, str | None], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        find_pair(names, "it", *asked)


def test_other_data_than_training(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"source": "en", "target": "fr"}
    assert other_pair(["fr", "EN", "x"], "it", known) == ("EN", "fr")
    assert capsys.readouterr().err == ""
    assert other_pair(["source", "target"], "it", known) == ("source", "target")
    assert "no columns 'en' and 'fr', which training read" in capsys.readouterr().err
    with pytest.raises(UserError, match="training read 'en' and 'fr': call them so"):
        other_pair(["a", "b"], "it", known)


def test_a_mapping_of_languages_is_a_column_each() -> None:
    """As opus_books and wmt14 have it on the Hub, and the files of transformers' examples."""
    rows = [{"en": "a cat", "fr": "un chat"}, {"en": "a dog", "fr": "un chien"}]
    plain = datasets.Dataset.from_dict({"id": ["0", "1"], "translation": rows})
    feature = datasets.Translation(languages=["en", "fr"])
    typed = datasets.Dataset.from_dict(
        {"translation": rows}, datasets.Features({"translation": feature})
    )
    for split in (plain, typed):
        [made] = with_languages(datasets.DatasetDict({"train": split})).values()
        assert {"en", "fr"} <= set(made.column_names) and "translation" not in made.column_names
        assert made["fr"][:] == ["un chat", "un chien"]
    texts = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"translation": ["a"]})})
    assert with_languages(texts)["train"].column_names == ["translation"]


@pytest.mark.parametrize("name", ["no", "is", "zh-Hans", "pt_BR", "French", "deu"])
def test_languages(name: str) -> None:
    assert is_language(name)


@pytest.mark.parametrize("name", ["text", "q1", "xx", "en-", "enfr", "", "\u4e2d\u6587"])
def test_no_languages(name: str) -> None:
    assert not is_language(name)
    assert name != pair_columns.NUMBER
