"""CoNLL files: columns, sentences, comments, and what is wrong with them."""

from pathlib import Path

import pytest

from tasks.data import conll
from tasks.errors import UserError

CONLL2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
# NN I-NP O

Peter NNP B-NP B-PER
"""
CONLLU = """# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tfue\tir\tVERB\t_\t_\t_\t_\t_\t_

# sent_id = 2
1\tNueva York\t_\tPROPN\t_\t_\t0\troot\t_\t_
"""


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_by_blanks(tmp_path: Path) -> None:
    table = conll.read_conll(_written(tmp_path / "a.conll", CONLL2003))
    assert table.column_names == ["1", "2", "3", "4"]
    assert table["1"].to_pylist() == [["EU", "rejects", "#"], ["Peter"]]
    assert table["4"].to_pylist() == [["B-ORG", "O", "O"], ["B-PER"]]


def test_conllu(tmp_path: Path) -> None:
    table = conll.read_conll(_written(tmp_path / "a.conllu", CONLLU))
    assert table.column_names == conll.COLUMNS_OF_CONLLU
    assert table["FORM"].to_pylist() == [["vamos", "nos"], ["Nueva York"]]
    assert table["UPOS"].to_pylist() == [["VERB", "PRON"], ["PROPN"]]


def test_names_and_comments_of_other_files(tmp_path: Path) -> None:
    text = (
        "# global.columns = FORM NER\n# id 7 en\nParis\tB-LOC\r\n#\tO\r\n\t\r\n# text = a b\nx\tO"
    )
    table = conll.read_conll(_written(tmp_path / "a.iob2", text))
    assert table.to_pydict() == {"FORM": [["Paris", "#"], ["x"]], "NER": [["B-LOC", "O"], ["O"]]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a O\nb\n", "line 2, has 1 column, but line 1 has 2"),
        ("a\tO\n\nb c\tO\tx\n", "line 3, has 3 columns, but line 1 has 2"),
        ("# a\n\n-DOCSTART- O\n", "has no rows"),
        ("\xff", None),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, problem: str | None) -> None:
    path = tmp_path / "train.conll"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=problem or "line 1, is not UTF-8"):
        conll.load(path)


def test_folders(tmp_path: Path) -> None:
    """SPLIT.txt, as CoNLL-2003 comes; but not beside files that are data by their names."""
    for name in ("train", "valid", "test"):
        _written(tmp_path / f"{name}.txt", CONLL2003)
    splits, digest = conll.load(tmp_path)
    assert list(splits) == ["train", "validation", "test"] and len(digest) == 64
    assert splits["test"]["4"][1] == ["B-PER"]
    _written(tmp_path / "dev.conll", "a O\n")
    splits, other = conll.load(tmp_path)
    assert list(splits) == ["validation"] and other != digest
    assert conll.load(tmp_path / "train.txt")[0]["train"].num_rows == 2
