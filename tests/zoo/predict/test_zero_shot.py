"""Labels, templates and weights that make no zero-shot prediction are refused in one line; those
that do go through the same verb, flags and writer as a checkpoint."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from tests.cli import run_cli
from zoo.predict.zero_shot import SCORERS, read_labels

TEXTS = ["the film was truly superb", "the plot was awful", "a story"]
CHOICE = ("--zero_shot", "--labels", "superb,awful")
NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters=",@\r\n"), min_size=1).filter(
        lambda name: name == name.strip() and len(name.splitlines()) == 1
    ),
    min_size=2,
    max_size=6,
    unique=True,
)


@given(NAMES)
def test_labels_are_read_as_they_were_joined(names: list[str]) -> None:
    assert read_labels(",".join(names)) == tuple(names)
    assert read_labels(" , ".join([*names, ""])) == tuple(names)


def test_labels_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    text = "war, or peace\n\n  love \r\nGlück\u2028auf\n"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text(text, encoding=encoding, newline="")
        assert read_labels(f"@{file}") == ("war, or peace", "love", "Glück\u2028auf")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (None, "wants labels"),
        ("", "wants labels"),
        (" , ,", "wants labels"),
        ("cat", "only 'cat'"),
        ("cat,dog,cat", "'cat' twice"),
        ("@/no/such/file", "@/no/such/file: No such file"),
    ],
)
def test_labels_that_make_no_choice(asked: str | None, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_labels(asked)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("zoo.nlp.bert_cls", ("--zero_shot",), "wants labels"),
        ("zoo.nlp.bert_cls", ("--labels", "a,b"), "--labels and --template go with --zero_shot"),
        ("zoo.nlp.bert_cls", (*CHOICE, "--template", "about"), "wants one {}"),
        ("zoo.nlp.bert_cls", (*CHOICE, "--template", "{} or {}"), "wants one {}"),
        ("zoo.nlp.bert_cls", (*CHOICE, "--top_k", 0), "--top_k 0"),
    ],
)
def test_flags_that_do_not_go_together(
    tiny_bert: Path, model: str, words: tuple[object, ...], said: str
) -> None:
    done = run_cli(model, "predict", tiny_bert, "--text", "a", *words)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


@pytest.mark.parametrize("model", ["zoo.speech.kws_cls", "zoo.speech.conformer_ctc"])
def test_speech_has_none(model: str, tmp_path: Path) -> None:
    done = run_cli(model, "predict", tmp_path, "--audio", tmp_path / "a.wav", *CHOICE)
    assert done.code == 2 and "zero-shot is for text and images" in done.err


def test_weights_by_name(tiny_bert: Path) -> None:
    asked = ("--text", "a", *CHOICE)
    no = run_cli("zoo.nlp.bert_cls", "predict", "no/such-weights", *asked)
    assert no.code == 2 and "no/such-weights" in no.err and "not at hand" in no.err
    near = run_cli("zoo.nlp.bert_cls", "predict", "minilmm", *asked)
    assert near.code == 2 and "did you mean minilm?" in near.err


def test_every_scorer_has_what_is_used() -> None:
    import importlib

    for name in SCORERS.values():
        module = importlib.import_module(name)
        assert module.TEMPLATE.count("{}") == 1 and callable(module.load)


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_output_is_that_of_predict(tiny_bert: Path, tmp_path: Path, batch: int) -> None:
    source, target = tmp_path / "texts.txt", tmp_path / "labels.csv"
    source.write_text("\n".join(TEXTS) + "\n")
    asked = ("predict", tiny_bert, *CHOICE, "--file", source, "--batch_size", batch)
    done = run_cli("zoo.nlp.bert_cls", *asked, "--top_k", 2)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.lines]
    assert [row["text"] for row in rows] == TEXTS
    for row in rows:
        assert set(row) == {"text", "label", "score", "scores"}
        assert set(row["scores"]) == {"superb", "awful"}
        assert sum(row["scores"].values()) == pytest.approx(1)
        assert row["score"] == max(row["scores"].values()) == row["scores"][row["label"]]
    assert run_cli("zoo.nlp.bert_cls", *asked, "--output", target).code == 0
    with target.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["label"] for row in written] == [row["label"] for row in rows]
    for mine, other in zip(written, rows, strict=True):
        assert float(mine["score"]) == pytest.approx(other["score"], abs=1e-5)
