"""Documents in pieces: every token is guessed once, and nothing of a text is lost."""

from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.nlp import documents
from tasks.nlp.documents import LEAST, DocumentFeatures, documents_of
from zoo.nlp.trained_tokenizer import train_lossless_tokenizer

TEXTS = ["the film was fine", "", "a", "naïve €uro 图书 \x07 <|endoftext|>", "the end " * 40]


@pytest.fixture(scope="module", params=["bpe", "char"])
def tokenizer(request: pytest.FixtureRequest):
    return train_lossless_tokenizer([TEXTS * 2], request.param, 400, 64)


def test_a_tokenizer_gives_back_every_text(tokenizer) -> None:
    for text in (*TEXTS, "  two  blanks\r\n\ttab ", "\u0130stanbul ǆ ﬁ é", "🙂\ufffd"):
        ids = tokenizer(text).input_ids
        assert ids[0] == tokenizer.eos_token_id not in ids[1:]
        assert tokenizer.decode(ids[1:]) == text


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_the_same_texts_give_the_same_tokenizer(kind) -> None:
    one, other = (train_lossless_tokenizer([TEXTS], kind, 300, 64) for _ in range(2))
    assert one.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()
    assert len(one) <= 300


@pytest.mark.parametrize(
    ("size", "longest", "said"), [(256, 64, "`vocab_size` 256: at least 257"), (300, 3, "room")]
)
def test_sizes_without_room_are_refused(size: int, longest: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        train_lossless_tokenizer([TEXTS], "bpe", size, longest)


@pytest.mark.parametrize("window", [1, 3, 64])
def test_every_token_is_guessed_once(tokenizer, window: int) -> None:
    end = tokenizer.eos_token_id
    columns = DocumentFeatures.encode({"text": TEXTS}, tokenizer, window=window, begin=end, end=end)
    found: list[list[int]] = []
    for [piece], number in zip(columns["input_ids"], columns["piece"], strict=True):
        assert 2 <= len(piece) <= window + 1
        if number == 0:
            assert piece[0] == end
            found.append([])
        else:
            assert piece[0] == found[-1][-1], "a piece begins with what was guessed last"
        found[-1] += piece[1:]
    assert [tokenizer.decode(ids[:-1]) for ids in found] == TEXTS
    assert all(ids[-1] == end and end not in ids[:-1] for ids in found)
    sizes = [size for size, number in zip(columns["bytes"], columns["piece"], strict=True) if size]
    assert sizes == [len(text.encode()) for text in TEXTS if text]


def test_features_know_the_document_of_a_piece(tokenizer) -> None:
    end = tokenizer.eos_token_id
    rows = datasets.Dataset.from_dict({"text": TEXTS})
    features = DocumentFeatures.make(rows, tokenizer, {"window": 8, "begin": end, "end": end})
    assert len(features) == len(features.lengths) > len(TEXTS)
    assert sorted(set(features.origins.tolist())) == list(range(len(TEXTS)))
    assert features.rows.tolist() == [1] * len(features) and features.lengths.max() == 8
    for row in features.__getitems__(range(len(features))):
        assert row["document"] == features.origins[row["sample_id"]]
        assert len(row["input_ids"][0]) == features.lengths[row["sample_id"]] + 1


@given(st.lists(st.text(alphabet="ab \n", max_size=3000), max_size=8))
def test_paragraphs_are_joined_and_none_is_lost(parts: list[str]) -> None:
    text = "\n\n".join(parts)
    found = documents_of(text)
    assert all(len(document) >= LEAST for document in found[:-1])
    assert "".join("".join(found).split()) == "".join(text.split())


def test_a_file_of_text(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("\n\n".join(f"{i} " + "word " * 150 for i in range(30)))
    splits, digest = documents.load(tmp_path / "book.txt")
    again, other = documents.load(tmp_path / "book.txt")
    assert list(splits) == ["train"] and 5 < splits["train"].num_rows < 30
    assert digest == other and splits["train"]["text"] == again["train"]["text"]
    (tmp_path / "test.txt").write_bytes("caf\xe9".encode("latin-1"))
    splits, _ = documents.load(tmp_path / "test.txt")
    assert splits["test"]["text"][:] == ["café"]


def put(folder: Path, **texts: bytes) -> Path:
    for name, content in texts.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def test_every_text_of_a_folder_is_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At whatever depth, with whatever folders beside it, and in whatever encoding."""
    texts = {"top_txt": b"\xef\xbb\xbftop", "a__one_txt": b"one\r\n", "a__b__two_md": b"two\n"}
    texts |= {"c__three_txt": "三".encode("utf-16"), "c__four_txt": b"caf\xe9"}
    put(tmp_path, **texts, c__picture_png=b"\0", c__old_txt_gz=b"\0")
    splits, _ = documents.load(tmp_path)
    assert list(splits) == ["train"]
    found = sorted(text.strip() for text in splits["train"]["text"])
    assert found == ["café", "one", "top", "two", "三"]
    told = capsys.readouterr().err
    assert "2 files of" in told and "(.gz, .png), and left out" in told
    assert "1 of 5 texts" in told and "Latin-1; the first is c/four.txt" in told


def test_splits_of_a_folder_are_folders_or_files(tmp_path: Path) -> None:
    """As of WikiText, whose files are cut as one file is."""
    put(tmp_path / "one", train__a_txt=b"a", train__b__c_txt=b"c", test__a_txt=b"t")
    splits, _ = documents.load(tmp_path / "one")
    assert {name: sorted(rows["text"]) for name, rows in splits.items()} == {
        "train": ["a", "c"], "test": ["t"]
    }  # fmt: skip
    long = b"\n\n".join([b"word " * 300] * 10)
    put(tmp_path / "two", wiki_train_txt=long, wiki_valid_txt=b"v", wiki_test_txt=b"t")
    splits, _ = documents.load(tmp_path / "two")
    assert {name: rows.num_rows for name, rows in splits.items()} == {
        "train": 5, "validation": 1, "test": 1
    }  # fmt: skip
    put(tmp_path / "three", my_test_txt=b"a", other_txt=b"b")
    splits, _ = documents.load(tmp_path / "three")
    assert splits["train"].num_rows == 2, "a name is none of a split where others have none"


@pytest.mark.parametrize("inside", ["", "corpus__"])
@pytest.mark.parametrize("names", [("train__a", "test__b"), ("wiki_train", "wiki_test")])
def test_what_lies_beside_splits_is_none_of_them(
    tmp_path: Path, names: tuple[str, str], inside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {f"{inside}{name}_txt": name[:2].encode() for name in names}
    put(tmp_path, README_md=b"about", LICENSE=b"free", **texts)
    splits, _ = documents.load(tmp_path)
    found = {name: rows["text"][:] for name, rows in splits.items()}
    assert found == {"train": [names[0][:2]], "test": [names[1][:2]]}
    (note,) = capsys.readouterr().err.splitlines()
    assert note.endswith("of none of its splits (train, test) are left out: LICENSE, README.md")
    put(tmp_path, **{f"{inside}more__notes_txt": b"deep"})
    with pytest.raises(UserError, match=r"more/notes\.txt lies beside the splits of .* in none"):
        documents.load(tmp_path)


def test_one_name_of_a_split_among_documents_is_none(tmp_path: Path) -> None:
    put(tmp_path, testing_md=b"a", how_to_train_md=b"b", other_md=b"c", a__b_md=b"d")
    splits, _ = documents.load(tmp_path)
    assert {name: rows.num_rows for name, rows in splits.items()} == {"train": 4}
    put(tmp_path / "other", testing_md=b"a", a__b_md=b"d")
    assert list(documents.load(tmp_path / "other")[0]) == ["train"]


def test_a_file_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.txt has no text"):
        documents.load(put(tmp_path, a_txt=b"\n \n") / "a.txt")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    with pytest.raises(UserError, match=r"a\.txt has zero bytes, so it is no text"):
        documents.load(tmp_path / "a.txt")
