"""Token classification as a task: what it reads, what it refuses, loss, metrics and spans."""

import json
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
import torch
from transformers import AutoTokenizer

from tasks.base import Batch, Evaluated
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import token_classification
from tasks.nlp.token_classification import IGNORED, Args, TokenClassification
from tests.tiny_text import tagged_rows, write_conll

LABELS = ("O", "B-OPINION", "I-OPINION", "B-THING")
WORDS = [["the", "film"], ["dull"]]


def _data(path: Path, **flags: object) -> DataArgs:
    return DataArgs(data=str(path), **flags)


def _jsonl(path: Path, tokens: object, tags: object, rows: int = 10) -> Path:
    """Good rows, and a last one."""
    good = {"tokens": ["a", "b"], "tags": ["O", "B-X"]}
    records = [*[good] * rows, {"tokens": tokens, "tags": tags}]
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def test_conll(tagged: Path) -> None:
    task, examples = token_classification.from_data(Args(), _data(tagged))
    assert task.labels == LABELS and task.words == "tokenizer" and task.classes[0] == "OPINION"
    assert dict(examples.source_rows) == {"train": 200, "validation": 40, "test": 40}
    row, truth = examples.splits["test"][3], tagged_rows(2, 40)[3]
    assert row["tokens"] == [word for word, _ in truth]
    assert [task.labels[code] for code in row["label"]] == [tag for _, tag in truth]
    again = token_classification.from_config(json.loads(json.dumps(task.config())))
    assert again == task


@pytest.mark.parametrize(
    ("flags", "labels"),
    [
        ({"tag_column": "2"}, ("2", "3")),
        ({"token_column": "3", "tag_column": "1"}, ("b", "bc")),
        ({}, ("O", "B-X")),
    ],
)
def test_columns_by_number(tmp_path: Path, flags: dict, labels: tuple[str, ...]) -> None:
    text = "b 2 B-X\nbc 3 O\n\n" * 12
    (tmp_path / "a.conll").write_text(text)
    task, _ = token_classification.from_data(Args(**flags), _data(tmp_path / "a.conll"))
    assert task.labels == labels


def test_columns_by_name(tmp_path: Path) -> None:
    line = "{}\t{}\t_\t{}\tX\t_\t0\t_\t_\t_\n"
    text = (line.format(1, "Go", "VERB") + line.format(2, ".", "PUNCT") + "\n") * 12
    (tmp_path / "a.conllu").write_text(text)
    task, examples = token_classification.from_data(Args(), _data(tmp_path / "a.conllu"))
    assert task.labels == ("PUNCT", "VERB") and examples.splits["train"][0]["tokens"] == ["Go", "."]
    assert task.columns["tags"] == "UPOS" and task.words == "tokenizer"
    with pytest.raises(UserError, match="has no tag but X"):
        token_classification.from_data(Args(tag_column="xpos"), _data(tmp_path / "a.conllu"))


def test_class_labels_keep_their_order(tmp_path: Path) -> None:
    names = ["B-Y", "O", "B-X"]
    features = datasets.Features(
        {
            "words": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
        }
    )
    rows = {"words": [["a", "b"]] * 12, "ner_tags": [[1, 2]] * 12}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "train.parquet")
    missing = {"words": [["a"]], "ner_tags": [[-1]]}
    datasets.Dataset.from_dict(missing, features).to_parquet(tmp_path / "test.parquet")
    task, examples = token_classification.from_data(Args(), _data(tmp_path))
    assert task.labels == tuple(names) and examples.splits["train"][0]["label"] == [1, 2]
    assert list(examples.splits) == ["train", "validation"] and examples.unlabelled == {"test": 1}
    only = {"words": [["a", "b"]] * 12, "ner_tags": [[1, 1]] * 12}
    datasets.Dataset.from_dict(only, features).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(UserError, match="no tag but O in any of its rows"):
        token_classification.from_data(Args(), _data(tmp_path / "other.parquet"))


@pytest.mark.parametrize(
    ("tokens", "tags", "problem"),
    [
        (["a", "b", "c"], ["O", "O"], r"train, row 11: 3 words and 2 tags; every word needs one"),
        (["a"], [None], r"train, row 11: a tag is missing"),
        (["a"], None, r"train, row 11: 1 word and 0 tags"),
    ],
)
def test_rows_that_are_wrong(tmp_path: Path, tokens: object, tags: object, problem: str) -> None:
    path = _jsonl(tmp_path / "train.jsonl", tokens, tags)
    with pytest.raises(UserError, match=problem):
        token_classification.from_data(Args(), _data(path))


@pytest.mark.parametrize(
    ("name", "text", "flags", "problem"),
    [
        ("a.conll", "a O\nb O\n", {}, "a.conll has no tag but O in any of its rows"),
        ("a.conll", "a O\nb\n", {}, "line 2, has 1 column, but line 1 has 2"),
        ("a.conll", "a\nb\n", {}, "has one column only"),
        ("a.conll", "a B-X\nb O\n", {"tag_column": "1"}, "'1' of a.conll can't be both"),
        ("a.conll", "a B-X\nb O\n", {"tag_column": "3"}, "no column '3' for the tags"),
        ("a.csv", "tokens,tags\na b,O B-X\n", {}, "'tokens' of a.csv holds string in train, not a"),
        ("a.csv", "text,label\na b,O\n", {}, "no words column that is plain"),
    ],
)
def test_data_that_is_wrong(
    tmp_path: Path, name: str, text: str, flags: dict, problem: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=problem):
        token_classification.from_data(Args(**flags), _data(tmp_path / name))


def test_a_tag_that_training_never_saw(tmp_path: Path) -> None:
    task = TokenClassification(Args(), ("O", "B-X"), columns={"tokens": "tokens", "tags": "tags"})
    path = _jsonl(tmp_path / "test.jsonl", ["a", "b"], ["O", "B-Z"])
    with pytest.raises(UserError, match=r"test, row 11: the tag 'B-Z' is none that .* O, B-X$"):
        token_classification.for_evaluation(task, _data(path), None, "")
    _jsonl(tmp_path / "test.jsonl", ["a", "b"], ["O", "B-X"])
    examples = token_classification.for_evaluation(task, _data(path), None, "")
    assert examples.splits["test"][10] == {"tokens": ["a", "b"], "label": [0, 1]}


@pytest.fixture(scope="module")
def bound(tiny_bert: Path) -> tuple[TokenClassification, object]:
    """A task with windows of 8 tokens that overlap by 2, and the tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    task = TokenClassification(Args(max_length=8, window_overlap=2), LABELS)
    return task.bind_for_training(tokenizer, 128), tokenizer


class Echo(torch.nn.Module):
    """Logits that tell token and place: the label `id % 4` has 10 + place in the window."""

    def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
        logits = torch.zeros(*input_ids.shape, len(LABELS))
        place = torch.arange(input_ids.shape[1]) + 10.0
        logits.scatter_(2, (input_ids % 4).unsqueeze(2), place.expand_as(input_ids).unsqueeze(2))
        return SimpleNamespace(logits=logits)


def _rows(bound, words: list[list[str]], codes: list[list[int]]) -> list[dict]:
    task, _ = bound
    features = {"tokens": datasets.List(datasets.Value("string")), "label": datasets.List(datasets.Value("int64"))}  # fmt: skip  # noqa: E501
    split = datasets.Dataset.from_dict(
        {"tokens": words, "label": codes}, datasets.Features(features)
    )
    return task.features(split, "").__getitems__(range(len(words)))


def _seen(task: TokenClassification, batch: Batch) -> Evaluated:
    outputs = task.forward(Echo(), batch)
    predictions = task.predict(Echo(), batch, outputs)
    return Evaluated(batch, outputs, task.loss(outputs, batch), predictions, task.references(batch))


def test_logits_loss_and_counts(bound) -> None:
    """Of words in windows, of one without pieces, and of a row without words."""
    task, tokenizer = bound
    words = [["film"] * 10, ["the", "\u200b", "plot"], []]
    codes = [[tokenizer.vocab["film"] % 4] * 10, [0, 3, 1], []]
    batch = task.collate(_rows(bound, words, codes))
    assert batch.targets["labels"].tolist()[1] == [0, 3, 1] + [IGNORED] * 7
    outputs = task.forward(Echo(), batch)
    logits = outputs["logits"]
    assert logits.shape == (3, 10, 4)
    # the place of each word in its window, as test_tagged_words has them
    assert logits[0].max(-1).values.tolist() == [11, 12, 13, 14, 15, 12, 13, 14, 15, 16]
    assert logits[1, 1].argmax() == 0 and logits[1, 1].softmax(-1)[0] == 1, "nothing is shown: O"
    shown = [(0, i) for i in range(10)] + [(1, 0), (1, 2)]
    terms = [-logits[i, j].log_softmax(-1)[batch.targets["labels"][i, j]] for i, j in shown]
    loss = task.loss(outputs, batch)
    assert loss.count == 12 and torch.isclose(loss.sum, torch.stack(terms).sum())
    accumulator, seen = task.accumulator(), _seen(task, batch)
    task.update(accumulator, seen)
    values = {one.name: one.value for one in accumulator.compute(draws=0)}
    right = 10 + sum(tokenizer.vocab[word] % 4 == code for word, code in (("the", 0), ("plot", 1)))
    assert len(accumulator) == 3 and values["token_accuracy"] == right / 13
    worst = {row: truth for _, row, truth, *_ in task.errors(seen)}
    scores = {row: score for _, row, _, _, score in task.errors(seen)}
    assert scores[1] == pytest.approx(1.0), "nothing is shown of the word: O for sure"
    assert worst[1] == "B-THING (word 2)" and 0 not in worst and 2 not in worst


def test_a_batch_of_no_words(bound) -> None:
    task, _ = bound
    batch = task.collate(_rows(bound, [[]], [[]]))
    seen = _seen(task, batch)
    assert seen.loss.count == 0 and task.errors(seen) == []
    task.update(task.accumulator(), seen)


def test_spans_of_a_text(bound) -> None:
    """Offsets are of the text as it is; a span's score is the mean of its words' probabilities."""
    task, _ = bound
    text = "The  truly superb Film, and the plot"
    batch = task.collate(task.inputs([text, ""]))
    codes = [0, 1, 2, 3, 0, 0, 0, 3]
    logits = torch.zeros(2, 8, 4)
    for word, code in enumerate(codes):
        logits[0, word, code] = 1 + word
    best = logits.softmax(-1).max(-1).values[0]
    found, empty = map(task.to_json, task.predict(Echo(), batch, {"logits": logits}))
    assert empty == {"spans": []}
    spans = [span | {"score": pytest.approx(span["score"], rel=1e-6)} for span in found["spans"]]
    assert spans == [
        {"label": "OPINION", "score": float(best[1:3].mean()), "start": 5, "end": 17,
         "text": "truly superb"},
        {"label": "THING", "score": float(best[3]), "start": 18, "end": 22, "text": "Film"},
        {"label": "THING", "score": float(best[7]), "start": 32, "end": 36, "text": "plot"},
    ]  # fmt: skip


def test_words_between_blanks(bound) -> None:
    """Where training's words have no punctuation apart, those of a text have it neither."""
    task, tokenizer = bound
    other = TokenClassification(task.args, LABELS, "blanks").bind(tokenizer)
    rows = other.inputs(["it's a film"])
    assert len(rows[0]["word_positions"]) == 3


def test_punctuation_of_texts(tmp_path: Path, bound) -> None:
    texts = ["The film, a superb one.", "Is it dull?"] * 6
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"about": t}) for t in texts))
    args = Args(tags_from="punctuation", text_column="about")
    task, examples = token_classification.from_data(args, _data(tmp_path / "a.jsonl"))
    assert task.labels == ("O", "CAP", "COMMA", "PERIOD", "QUESTION") and task.words == "blanks"
    assert examples.splits["train"][0]["tokens"][0] in ("the", "is")
    other = token_classification.for_evaluation(task, _data(tmp_path / "a.jsonl"), "train", "")
    assert other.splits["train"][1] == {"tokens": ["is", "it", "dull"], "label": [1, 0, 4]}


def test_punctuation_of_real_descriptions(zoo_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    path.symlink_to(zoo_data / "descriptions" / "validation.parquet")
    args = Args(tags_from="punctuation", text_column="description")
    task, examples = token_classification.from_data(args, _data(path, max_train_samples=200))
    assert {"O", "CAP", "COMMA", "PERIOD", "PERIOD+CAP", "UPPER"} <= set(task.labels)
    assert examples.splits["train"].num_rows == 200 and task.primary.name == "f1"


def test_what_the_check_finds(tmp_path: Path, bound) -> None:
    """IOB1 is told and counted; so are tags that training lacks, and texts that stand twice."""
    write_conll(tmp_path / "train.conll", [[("a", "I-X"), ("b", "O"), ("c", "I-X"), ("d", "I-X")]])
    write_conll(tmp_path / "test.conll", [[("a", "B-X"), ("b", "O"), ("c", "B-Y"), ("d", "I-Y")]])
    args = Args(max_length=8, window_overlap=2)
    data = _data(tmp_path, validation_size=0)
    task, examples = token_classification.from_data(args, data)
    task = task.bind_for_training(bound[1], 128)
    features = {n: task.features(split, "") for n, split in examples.splits.items()}
    found = {one.measure: one for one in task.preflight(examples, features, torch.nn.Identity())}
    assert found["begins_inside"].count == 2 and found["begins_inside"].split == "train"
    assert found["begins_inside"].message.startswith("train: 2 spans begin with an I-")
    assert found["shared_with_train"].count == 1
    assert found[""].message == "test has tags that train has not: B-X, B-Y, I-Y"
