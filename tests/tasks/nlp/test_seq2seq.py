"""One text from another: losses as when alone, texts as they are, and what is told of the data."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

from tasks.base import Evaluated, Generates, OfText
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED
from tasks.nlp import pair_preflight, seq2seq, token_losses
from tasks.nlp.seq2seq import Args, Inputs, Seq2Seq, WrittenText
from tasks.randomness import EpochView
from tasks.writes import HasNoPipeline, Writes
from tests import tiny_pairs
from zoo.nlp.t5_seq2seq import Options
from zoo.nlp.text_seq2seq import NETWORK

OPTIONS = Options(hidden_size=32, num_layers=1, num_heads=2, vocab_size=320)
ROWS = tiny_pairs.rows(7, 6)
COLUMNS = {"source": "en", "target": "fr"}


@pytest.fixture(scope="module")
def splits() -> datasets.DatasetDict:
    rows = tiny_pairs.rows(0, 60)
    columns = {"text": [row["en"] for row in rows], "text_pair": [row["fr"] for row in rows]}
    return datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns)})


@pytest.fixture(scope="module")
def task(splits: datasets.DatasetDict) -> Seq2Seq:
    args = Args(max_length=24, max_target_length=16)
    tokenizer = NETWORK.make_processor(OPTIONS, None, splits, None)
    return Seq2Seq(args, columns=COLUMNS).bind_for_training(tokenizer, 64)


@pytest.fixture
def model(task: Seq2Seq) -> Any:
    torch.manual_seed(0)
    return NETWORK.build(OPTIONS, task, task.processor, None)[0].eval()


@pytest.fixture
def rows(task: Seq2Seq) -> list[dict[str, Any]]:
    columns = {"text": [row["en"] for row in ROWS], "text_pair": [row["fr"] for row in ROWS]}
    features = task.features(datasets.Dataset.from_dict(columns), "")
    return features.__getitems__(range(len(features)))


def test_the_tokenizer_gives_every_text_back(task: Seq2Seq) -> None:
    tokenizer = task.processor
    texts = ["the cat", "  two  blanks\n", "\u4f60\u597d \U0001f600", "</s> is <pad> text", ""]
    for text, ids in zip(texts, tokenizer(texts).input_ids, strict=True):
        assert ids[-1] == task.end and task.end not in ids[:-1] and task.pad_token_id not in ids
        assert task._text(ids) == text
    assert (task.pad_token_id, task.end, task.start) == (0, 1, 0)


def test_padded_losses_are_those_of_pairs_alone(
    task: Seq2Seq, model: Any, rows: list[dict[str, Any]]
) -> None:
    """As transformers computes them from labels."""
    alone = []
    for row in rows:
        labels = torch.tensor([row["labels"]])
        found = model(input_ids=torch.tensor(row["input_ids"]), labels=labels)
        alone.append(found.loss * labels.numel())
    batch = task.collate(rows)
    loss = task.loss(task.forward(model, batch), batch)
    assert loss.count == sum(len(row["labels"]) for row in rows)
    torch.testing.assert_close(loss.terms, torch.stack(alone).detach())
    torch.testing.assert_close(loss.sum, torch.stack(alone).sum())
    with torch.no_grad():
        measured = task.loss(task.forward(model, batch), batch)
    torch.testing.assert_close(measured.sum, loss.sum)
    torch.testing.assert_close(measured.terms, loss.terms)
    smooth = task.loss(task.forward(model, batch), batch, 0.1)
    assert smooth.terms is None and smooth.sum > 0


def test_an_evaluation_holds_few_logits(
    task: Seq2Seq, model: Any, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = task.collate(rows)
    with torch.no_grad():
        whole = task.forward(model, batch)["loss"]
        monkeypatch.setattr(token_losses, "MOST_LOGITS", 2 * 16 * len(task.processor))
        torch.testing.assert_close(task.forward(model, batch)["loss"], whole)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_text_is_that_of_its_source_alone_and_of_plain_transformers(
    task: Seq2Seq, model: Any, beams: int
) -> None:
    with torch.no_grad():
        model.shared.weight.mul_(3)  # so that texts differ and some end
    sources = [row["en"] for row in ROWS]
    asked = seq2seq.for_prediction(task, Inputs(num_beams=beams))
    together = asked.predict(model, task.collate(task.inputs(sources)))
    assert len({one.text for one in together}) > 1
    for source, one in zip(sources, together, strict=True):
        batch = task.collate(task.inputs([source]))
        assert asked.predict(model, batch) == [one]
        ids = model.generate(**batch.inputs, num_beams=beams, early_stopping=False)[0].tolist()
        assert task._text(ids) == one.text
        ends = ids[1:].index(task.end) if task.end in ids[1:] else len(ids) - 1
        assert one.finish_reason == ("stop" if ends < task.longest_text else "length")


def test_references_are_texts_as_they_are(task: Seq2Seq, model: Any) -> None:
    """However long, and whatever the tokenizer makes of them."""
    texts = ["le chat  voit " * 8, " un chien"]
    columns = {"text": ["a", "b"], "text_pair": texts}
    features = task.features(datasets.Dataset.from_dict(columns), "")
    batch = task.collate(features.__getitems__([0, 1]))
    assert batch.inputs["decoder_input_ids"].shape == (2, 16)
    assert task.references(batch) == texts
    with torch.no_grad():
        outputs = task.forward(model, batch)
        predictions = task.predict(model, batch, outputs)
    accumulator = task.accumulator()
    loss = task.loss(outputs, batch)
    seen = Evaluated(batch, outputs, loss, predictions, task.references(batch))
    task.update(accumulator, seen)
    assert accumulator.compute()[0].name == task.primary.name == "chrf"
    found = task.errors(seen)
    assert [row[2] for row in found] == texts and found[0][0] == pytest.approx(loss.terms[0].item())
    training = features.view(EpochView(0, 0))
    assert "target" not in training.__getitems__([0])[0]


def test_lengths_count_both_texts(task: Seq2Seq, rows: list[dict[str, Any]]) -> None:
    columns = {"text": [row["en"] for row in ROWS], "text_pair": [row["fr"] for row in ROWS]}
    features = task.features(datasets.Dataset.from_dict(columns), "")
    sizes = [len(row["input_ids"][0]) + len(row["labels"]) for row in rows]
    assert features.lengths.tolist() == sizes
    used = {token for row in rows for token in (*row["input_ids"][0], *row["labels"])}
    assert set(features.used_ids().tolist()) == {*used, task.pad_token_id}


def test_what_is_not_read_of_a_source_is_counted(task: Seq2Seq, model: Any) -> None:
    long = "the cat sees a dog " * 10
    tokens = len(task.processor(long).input_ids)
    short, cut = task.inputs(["a", long])
    assert (short["source_cut"], cut["source_cut"]) == (0, tokens - 24)
    assert cut["input_ids"][0][-1] == task.end
    found = task.predict(model, task.collate([short, cut]))
    assert task.to_json(found[1])["source_cut"] == tokens - 24
    with pytest.raises(UserError, match="`top_k`: this model writes one text"):
        task.to_json(found[0], 2)


def test_a_prefix_stands_before_every_source(task: Seq2Seq) -> None:
    args = Args(max_length=24, max_target_length=16, source_prefix="sum up: ")
    prefixed = Seq2Seq(args).bind_for_training(task.processor, 64)
    assert prefixed.inputs(["a"])[0]["input_ids"] == task.inputs(["sum up: a"])[0]["input_ids"]
    columns = {"text": ["a"], "text_pair": ["b"]}
    [row] = prefixed.features(datasets.Dataset.from_dict(columns), "").__getitems__([0])
    assert task._text(row["input_ids"][0]) == "sum up: a" and task._text(row["labels"]) == "b"
    assert '"sum up: This package' in prefixed.plain_code("'x'", True)[1][1]


def test_the_config_gives_the_task_back(task: Seq2Seq) -> None:
    config = json.loads(json.dumps(task.config()))
    again = seq2seq.from_config(config)
    assert again == task.bind(None) == task and again.columns == task.columns
    assert isinstance(task, OfText) and isinstance(task, Generates)
    assert isinstance(task, HasNoPipeline) and not isinstance(task, Writes)


def test_settings_of_a_text(task: Seq2Seq) -> None:
    asked = seq2seq.for_prediction(task, Inputs(num_beams=4, max_new_tokens=3))
    assert (asked.num_beams, asked.new_tokens) == (4, 3) and asked == task
    assert seq2seq.for_prediction(task, Inputs()).num_beams == 1
    with pytest.raises(UserError, match="`max_new_tokens` 17: this model was trained to write 16"):
        seq2seq.for_prediction(task, Inputs(max_new_tokens=17))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (Args(max_length=100), "`max_length` 100 is more than the 64 this model takes"),
        (Args(max_target_length=65), "`max_target_length` 65 is more than the 64"),
    ],
)
def test_more_than_the_model_takes(task: Seq2Seq, args: Args, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Seq2Seq(args).bind_for_training(task.processor, 64)


@pytest.mark.parametrize("name", ["eos_token", "pad_token"])
def test_a_tokenizer_without_a_token_is_refused(task: Seq2Seq, name: str) -> None:
    import copy

    other = copy.deepcopy(task.processor)
    setattr(other, name, None)
    with pytest.raises(UserError, match=f"has no {name}"):
        Seq2Seq(Args()).bind_for_training(other, 24)


def test_what_writes_nothing_says_so(task: Seq2Seq) -> None:
    batch = task.collate(task.inputs(["a"]))
    with pytest.raises(UserError, match="writes no text: use `deployment` eager or onnx"):
        task.predict(torch.nn.Identity(), batch)
    with pytest.raises(UserError, match="a source alone has no logits"):
        task.forward(torch.nn.Identity(), batch)


def test_random_targets_are_what_comes_next(task: Seq2Seq) -> None:
    labels = task.random_targets({"decoder_input_ids": torch.tensor([[0, 6, 7]])}, 0)["labels"]
    assert labels.tolist() == [[6, 7, task.end]]
    rows = task.given_tokens(task.inputs(["a", "b c d"]), 3)
    batch = task.collate(rows)
    assert batch.inputs["decoder_input_ids"].shape == (2, 3)
    assert (batch.targets["labels"] != IGNORED).all() and "texts" not in batch.targets


def test_data_are_found_and_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_pairs.write(tmp_path)
    task, examples = seq2seq.from_data(Args(), DataArgs(data=str(tmp_path)))
    assert task.columns == COLUMNS and "reads 'en' as the source" in capsys.readouterr().err
    assert {name: rows.num_rows for name, rows in examples.splits.items()} == tiny_pairs.SPLITS
    assert examples.splits["train"].column_names == ["text", "text_pair"]
    turned, others = seq2seq.from_data(Args(source_column="fr"), DataArgs(data=str(tmp_path)))
    assert turned.columns == {"source": "fr", "target": "en"}
    assert others.splits["test"]["text"][:] == examples.splits["test"]["text_pair"][:]
    found = seq2seq.for_evaluation(turned, DataArgs(data=str(tmp_path)), None, others.fingerprint)
    assert found.splits["test"]["text"][:] == others.splits["test"]["text"][:]


def test_inputs_come_from_flags_and_tables(task: Seq2Seq, tmp_path: Path) -> None:
    def read(**asked: Any) -> list[Any]:
        with ExitStack() as stack:
            return list(seq2seq.read_inputs(Inputs(**asked), task, stack))

    assert read(text=("a", "")) == [{"text": "a"}, {"text": ""}]
    assert seq2seq.show_input({"text": "a"}) == {"source": "a"}
    (tmp_path / "p.csv").write_text("en,fr\nx,one\ny,two\n")
    items = read(file=tmp_path / "p.csv")
    assert [item["text"] for item in items] == ["x", "y"]
    assert items[0]["others"].to_pylist() == [{"fr": "one"}]
    assert [item["text"] for item in read(file=tmp_path / "p.csv", text_column="fr")] == [
        "one", "two"
    ]  # fmt: skip


def _pairs(sources: list[str], targets: list[str]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": sources, "text_pair": targets})


def test_preflight_of_pairs(task: Seq2Seq) -> None:
    train = [f"a library of kind {'abcdefgh'[i % 8]} for the {'xyz'[i % 3]}" for i in range(24)]
    near = [f"A library, of kind {'abcdefgh'[i]} for the {'xyz'[i]} (2.{i})!" for i in range(3)]
    splits = datasets.DatasetDict(
        {
            "train": _pairs(train, ["une biblioth\u00e8que " * 9, *["\u4e00\u4e2a\u5e93"] * 23]),
            "test": _pairs(
                [*near, *train[5:7], "none at all"], ["x"] * 4 + ["\u4e00\u4e2a\u5e93"] * 2
            ),
        }
    )
    features = {name: task.features(split, "") for name, split in splits.items()}
    found = [finding.message for finding in pair_preflight.check(splits, features, 16)]
    assert "test: 4 rows of 6 have a source that stands in train but for" in found[0]
    assert "train: 4.2% of the targets are longer than 16 tokens" in found[1]
    assert "written without blanks between words" in found[-1] and len(found) == 3


def test_columns_that_seem_to_be_turned_round(task: Seq2Seq) -> None:
    splits = datasets.DatasetDict({"train": _pairs(["short"] * 9, ["a text of many words"] * 9)})
    [finding] = pair_preflight.check(splits, {}, 16)
    assert "4.0 times as many characters" in finding.message
    assert "`source_column` and `target_column` turned round?" in finding.message


def test_what_is_written_as_json(task: Seq2Seq) -> None:
    assert task.to_json(WrittenText("un", "stop")) == {
        "text": "un", "finish_reason": "stop", "source_cut": 0
    }  # fmt: skip
