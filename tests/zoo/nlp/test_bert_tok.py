"""bert_tok through its verbs: trained, measured, and read by transformers as by the zoo."""

import json
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.cli import run_cli
from tests.finetuning import Run, run_finetune
from tests.tiny_text import tagged_rows, write_conll
from zoo.nlp.bert_tok import ENTRY
from zoo.store import evidence

TEXTS = (
    "The truly wonderful film, and the  quite clever plot",
    "the camera",
    "",
    "a quite moving story and the truly dull music , the truly fine cast",
)


@pytest.fixture(scope="module")
def trained(tiny_bert: Path, tagged: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Six epochs; windows shorter than some of the sentences."""
    folder = tmp_path_factory.mktemp("bert_tok") / "run"
    words = ["finetune", "--model", tiny_bert, "--data", tagged, "--output_dir", folder]
    words += ["--learning_rate", 3e-3, "--num_train_epochs", 6, "--dtype", "fp32"]
    words += ["--max_length", 16, "--window_overlap", 6, "--report_to", "none"]
    return run_finetune("zoo.nlp.bert_tok", folder, list(map(str, words)))


def test_it_learns(trained: Run) -> None:
    facts = {fact.name: fact for fact in evidence.read(trained.folder) if fact.kind == "metric"}
    f1 = facts["f1"]
    assert f1.split == "test" and f1.n == 40 and f1.value > 0.9
    assert f1.interval is not None and f1.interval["low"] < f1.value <= f1.interval["high"]
    assert {"precision", "recall", "token_accuracy"} <= facts.keys()


def test_evaluate_names_types_and_confusions(trained: Run) -> None:
    done = run_cli(ENTRY, "evaluate", trained.folder, "--mistakes", 2)
    assert done.code == 0, done.err
    rows = {line.split()[0]: line.split()[1:] for line in done.lines if line.split()}
    assert rows["class"] == ["precision", "recall", "f1", "n"]
    true = sum(tag == "B-THING" for row in tagged_rows(2, 40) for _, tag in row)
    assert rows["OPINION"][-1] == rows["THING"][-1] == str(true)
    facts = [fact for fact in evidence.read(trained.folder) if fact.kind == "class"]
    scores = {fact.label for fact in facts if fact.name in ("precision", "recall", "f1")}
    assert scores == {"OPINION", "THING"}
    tags = {fact.label for fact in facts if fact.name == "recognised"}
    assert tags > {"O", "B-THING"}, "what is taken for what is known of tags"


@pytest.mark.parametrize("strategy", ["simple", "first"])
def test_spans_are_those_of_transformers(trained: Run, strategy: str) -> None:
    """On texts within one window; with "simple" on words of one piece, where both are the same."""
    from transformers import pipeline

    theirs = pipeline(
        "token-classification", str(trained.folder), aggregation_strategy=strategy, device="cpu"
    )
    model = zoo.load(trained.folder)
    pieces = 0
    for text in TEXTS[:3] if strategy == "simple" else TEXTS:
        expected = theirs(text)
        spans = model.predict(text)["spans"]
        keys = [(span["label"], span["start"], span["end"]) for span in spans]
        assert keys == [(one["entity_group"], one["start"], one["end"]) for one in expected]
        scores = [span["score"] for span in spans], [float(one["score"]) for one in expected]
        np.testing.assert_allclose(*scores, rtol=1e-5)
        assert [span["text"] for span in spans] == [text[a:b] for _, a, b in keys]
        pieces += len(spans)
    assert pieces >= 5


def test_pieces_are_the_tokens_of_transformers(trained: Run) -> None:
    from transformers import pipeline

    theirs = pipeline("token-classification", str(trained.folder), device="cpu", ignore_labels=[])
    model, texts = zoo.load(trained.folder), (*TEXTS, "the truly finer films, filming")
    words = [len(model.task.inputs([text])[0]["words"]) for text in texts]
    model.task = model.task.of_pieces()
    found = [model.predict(text)["pieces"] for text in texts]
    for text, pieces in zip(texts, found, strict=True):
        expected = theirs(text)
        keys = [(one["label"], one["start"], one["end"]) for one in pieces]
        assert keys == [(one["entity"], one["start"], one["end"]) for one in expected]
        scores = [one["score"] for one in pieces], [float(one["score"]) for one in expected]
        np.testing.assert_allclose(*scores, rtol=1e-5)
    assert sum(map(len, found)) > sum(words), "no word has several pieces"


def test_long_texts_are_read_to_their_end(trained: Run) -> None:
    """Of 70 words in windows of 14: spans in their order, none twice, to the last words."""
    text = " ".join(word for row in tagged_rows(7, 8) for word, _ in row)
    spans = zoo.load(trained.folder).predict(text)["spans"]
    places = [place for span in spans for place in (span["start"], span["end"])]
    assert len(text.split()) == 70 and len(spans) > 14
    assert places == sorted(places) and places[-1] > len(text) - 20


def test_predict_a_table(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,text\n7,"the truly fine film"\n8,\n')
    for name in ("out.jsonl", "out.parquet", "out.csv"):
        argv = ("predict", trained.folder, "--file", tmp_path / "in.csv")
        done = run_cli(ENTRY, *argv, "--output", tmp_path / name)
        assert done.code == 0, done.err
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["id"] == "7" and second == {"text": "", "id": "8", "spans": []}
    assert [span["text"] for span in first["spans"]] == ["truly fine", "film"]


def test_pairs_are_refused(trained: Run) -> None:
    done = run_cli(ENTRY, "predict", trained.folder, "--text", "a", "--text_pair", "b")
    assert done.code == 2 and "single texts" in done.err and len(done.err.splitlines()) == 1


def test_mistakes_of_users_are_one_line(trained: Run, tiny_bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.conll"
    write_conll(path, [[("film", "B-FILM")]])
    done = run_cli(ENTRY, "evaluate", trained.folder, "--data", path)
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "test, row 1: the tag 'B-FILM' is none that training saw" in done.err
    path.write_text("film 4 O\n\nfilm O\n")
    argv = ("finetune", "--model", tiny_bert, "--data", path, "--output_dir", tmp_path / "run")
    done = run_cli(ENTRY, *argv)
    assert done.code == 2 and f"{path}, line 3, has 2 columns, but line 1 has 3" in done.err


def test_other_data_and_models_are_refused(trained: Run, reviews: Path) -> None:
    done = run_cli(ENTRY, "evaluate", trained.folder, "--data", reviews)
    assert done.code == 2 and "words column" in done.err
    done = run_cli("zoo.nlp.bert_cls", "evaluate", trained.folder)
    assert done.code == 2 and "bert_tok" in done.err


def test_the_card_says_what_it_does(trained: Run) -> None:
    from tools.cards.cli import main

    assert main([str(trained.folder)]) == 0
    text = (trained.folder / "README.md").read_text()
    assert "pipeline_tag: token-classification" in text
    assert "| `OPINION` |" in text and "finds spans of 2 types: `OPINION`, `THING`." in text


@pytest.mark.slow
def test_quantized_by_contract(trained: Run) -> None:
    argv = ("quantize", trained.folder, "--max_drop", 0.05, "--min_speedup", 0.01)
    done = run_cli(ENTRY, *argv)
    assert done.code == 0, done.err
    assert "f1" in done.out
