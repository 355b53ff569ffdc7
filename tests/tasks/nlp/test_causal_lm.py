"""Causal language modelling: losses of documents alone, padded and packed are the same."""

import dataclasses
import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from tasks.base import Evaluated
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED
from tasks.nlp import causal_lm, token_losses
from tasks.nlp.causal_lm import Args, CausalLM, Inputs
from tasks.nlp.writing import Writing
from tasks.packed import PackedShape
from zoo.nlp.causal_decoder import NETWORK
from zoo.nlp.gpt_lm import Options
from zoo.nlp.trained_tokenizer import train_lossless_tokenizer

TEXTS = ["the film was fine", "", "a", "no plot, no cast, no ending: " * 3, "the end"]
OPTIONS = Options(hidden_size=16, num_layers=2, num_heads=2, vocab_size=300, token_limit=24)


@pytest.fixture(scope="module")
def task() -> CausalLM:
    tokenizer = train_lossless_tokenizer([TEXTS * 3], "bpe", 300, 24)
    return CausalLM(Args()).bind_for_training(tokenizer, 24)


@pytest.fixture
def model(task: CausalLM) -> Any:
    torch.manual_seed(0)
    found, _ = NETWORK.build(OPTIONS, task, task.processor, None)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)  # so that tokens differ
    return found.eval()


@pytest.fixture
def rows(task: CausalLM) -> list[dict[str, Any]]:
    features = task.features(datasets.Dataset.from_dict({"text": TEXTS}), "")
    return features.__getitems__(range(len(features)))


def _alone(task: CausalLM, model: Any, rows: list[dict[str, Any]]) -> list[torch.Tensor]:
    """The loss of each token of each piece, by itself, by plain transformers."""
    found = []
    for row in rows:
        ids = torch.tensor(row["input_ids"])
        logits = model(input_ids=ids[:, :-1]).logits[0]
        found.append(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none"))
    return found


def test_padded_losses_are_those_of_documents_alone(
    task: CausalLM, model: Any, rows: list[dict[str, Any]]
) -> None:
    batch = task.collate(rows)
    alone = _alone(task, model, rows)
    for training in (False, True):  # in training the mask is left out
        if training:
            NETWORK.optimize_training(model.train(), None)
        loss = task.loss(task.forward(model, batch), batch)
        assert loss.count == sum(map(len, alone))
        torch.testing.assert_close(loss.sum, torch.cat(alone).sum())
        for each, terms, labels in zip(alone, loss.terms, batch.targets["labels"], strict=True):
            torch.testing.assert_close(terms[labels != IGNORED], each)
    with torch.no_grad():
        measured = task.loss(task.forward(model.eval(), batch), batch)
    torch.testing.assert_close(measured.sum, loss.sum)
    assert measured.count == loss.count


def test_packed_losses_and_gradients_are_those_of_documents_alone(
    task: CausalLM, model: Any, rows: list[dict[str, Any]]
) -> None:
    """No attention and no loss goes across a border, and positions begin anew."""
    alone = torch.cat(_alone(task, model, rows)).sum()
    expected = torch.autograd.grad(alone, list(model.parameters()))
    shape = PackedShape(160, len(rows) + 1, len(rows) + 2, 24)
    NETWORK.optimize_training(model, None)
    NETWORK.prepare_packing(model, shape)
    batch = task.collate_packed(rows[::-1], shape)
    assert batch.inputs["input_ids"].shape == batch.targets["labels"].shape == (1, 160)
    loss = task.loss(task.forward(model.train(), batch), batch)
    assert loss.count == sum(len(row["input_ids"][0]) - 1 for row in rows)
    torch.testing.assert_close(loss.sum, alone)
    found = torch.autograd.grad(loss.sum, list(model.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_another_document_in_the_row_changes_nothing(
    task: CausalLM, model: Any, rows: list[dict[str, Any]]
) -> None:
    shape = PackedShape(64, 2, 2, 24)
    NETWORK.prepare_packing(model, shape)
    first, *others = rows
    seen = []
    for other in others[:3]:
        logits = model(**task.collate_packed([first, other], shape).inputs).logits
        seen.append(logits[0, : len(first["input_ids"][0]) - 1])
    for logits in seen[1:]:
        torch.testing.assert_close(logits, seen[0])


def test_bits_per_byte_are_those_of_whole_documents(
    task: CausalLM, model: Any, rows: list[dict[str, Any]]
) -> None:
    """Whatever the batches, and however many logits fit."""
    alone = _alone(task, model, rows)
    bits = torch.cat(alone).sum().item() / math.log(2)
    size = sum(len(text.encode()) for text in TEXTS)
    whole = []
    for cut in (1, 3, len(rows)):
        accumulator = task.accumulator()
        for begin in range(0, len(rows), cut):
            batch = task.collate(rows[begin : begin + cut])
            with torch.inference_mode():
                outputs = task.forward(model, batch)
                predictions = task.predict(model, batch, outputs)
            loss = task.loss(outputs, batch)
            seen = Evaluated(batch, outputs, loss, predictions, task.references(batch))
            task.update(accumulator, seen)
            for loss_of_token, piece, *_ in task.errors(seen):
                each = alone[piece].detach()
                assert (each - loss_of_token).abs().min() < 1e-4 * each.max()
        measured, accuracy = accumulator.compute()
        assert (measured.n, accuracy.n) == (len(TEXTS), len(TEXTS))
        assert measured.value == pytest.approx(bits / size, rel=1e-5)
        whole.append((measured.value, accuracy.value))
    np.testing.assert_allclose(whole, [whole[0]] * 3, rtol=1e-5)


def test_an_evaluation_holds_few_logits(
    task: CausalLM, model: Any, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = task.collate(rows)
    with torch.no_grad():
        whole = task.forward(model, batch)
        monkeypatch.setattr(token_losses, "MOST_LOGITS", 2 * 24 * len(task.processor))
        parts = task.forward(model, batch)
    assert set(whole) == {"loss", "guess", "score"}
    for name, tensor in whole.items():
        known = batch.targets["labels"] != IGNORED
        torch.testing.assert_close(parts[name][known], tensor[known])


def test_the_config_gives_the_task_back(task: CausalLM) -> None:
    config = json.loads(json.dumps(task.config()))
    assert causal_lm.from_config(config) == task.bind(None) == task
    assert "writing" not in config


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "package,synopsis,description\n" + "".join(f"p{i},s,text {i}\n" for i in range(20))
    )
    task, examples = causal_lm.from_data(Args(), DataArgs(data=str(tmp_path / "a.csv")))
    assert task.columns["text"] == "description"
    assert {name: rows.num_rows for name, rows in examples.splits.items()} == {
        "train": 16, "validation": 2, "test": 2
    }  # fmt: skip
    assert examples.splits["train"].column_names == ["text"]
    found = causal_lm.for_evaluation(
        task, DataArgs(data=str(tmp_path / "a.csv")), None, examples.fingerprint
    )
    assert found.splits["test"]["text"][:] == examples.splits["test"]["text"][:]
    with pytest.raises(UserError, match="has no column 'x' for the text"):
        causal_lm.from_data(Args(text_column="x"), DataArgs(data=str(tmp_path / "a.csv")))


def test_prompts_come_from_flags_and_tables(task: CausalLM, tmp_path: Path) -> None:
    def read(**asked: Any) -> list[Any]:
        with ExitStack() as stack:
            return list(causal_lm.read_inputs(Inputs(**asked), task, stack))

    assert read(prompt=("a", "")) == [{"prompt": "a"}, {"prompt": ""}]
    (tmp_path / "p.txt").write_text("one\n\ntwo\n")
    assert [item["prompt"] for item in read(file=tmp_path / "p.txt")] == ["one", "", "two"]
    (tmp_path / "p.csv").write_text("text,prompt\nx,one\ny,two\n")
    items = read(file=tmp_path / "p.csv")
    assert [item["prompt"] for item in items] == ["one", "two"]
    assert items[0]["others"].to_pylist() == [{"text": "x"}]
    assert [item["prompt"] for item in read(file=tmp_path / "p.csv", text_column="text")] == [
        "x", "y"
    ]  # fmt: skip
    with pytest.raises(UserError, match="give `prompt` or `file`, not both"):
        read(prompt=("a",), file=tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("no plot, no cast, " * 9, "the prompt 'no plot, .* has .* shorten the prompt"),
        (3, "no text"),
    ],
)
def test_a_prompt_that_cannot_be_gone_on_with(task: CausalLM, prompt: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        task.inputs([prompt])


def test_prompts_are_begun_as_documents_are(task: CausalLM) -> None:
    rows = task.inputs(["", "a", {"prompt": "a"}])
    assert rows[0]["input_ids"] == [[task.begin]]
    assert rows[1]["input_ids"] == rows[2]["input_ids"]
    batch = task.collate(rows)
    assert batch.targets == {} and batch.inputs["attention_mask"].sum(1).tolist() == [1, 2, 2]


def test_settings_of_a_text(task: CausalLM) -> None:
    asked = causal_lm.for_prediction(task, Inputs(temperature=0.5, stop=(".",)))
    assert asked.writing == Writing(temperature=0.5, stop=(".",)) and asked == task
    assert asked.writing_as(stop="x", top_k=3).writing.stop == ("x",)
    with pytest.raises(UserError, match="no setting of a text is called 'top'"):
        task.writing_as(top=1)


def test_a_tokenizer_without_an_end_is_refused(task: CausalLM) -> None:
    import copy

    other = copy.deepcopy(task.processor)
    other.eos_token = None
    with pytest.raises(UserError, match="has no end token"):
        CausalLM(Args()).bind_for_training(other, 24)


def test_what_writes_nothing_says_so(task: CausalLM) -> None:
    batch = task.collate(task.inputs(["a"]))
    with pytest.raises(UserError, match="this deployment writes no text: use"):
        task.predict(torch.nn.Identity(), batch)


def test_random_targets_are_what_comes_next(task: CausalLM) -> None:
    ids = torch.tensor([[5, 6, 7], [5, 6, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    labels = task.random_targets({"input_ids": ids, "attention_mask": mask}, 0)["labels"]
    assert labels.tolist() == [[6, 7, task.end], [6, 0, IGNORED]]
    assert dataclasses.replace(task).random_targets({"input_ids": ids}, 1)["labels"].shape == (2, 3)
