"""Masked language modelling: what is hidden, the loss, the accumulator, and how guesses read."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tasks.base import Batch
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import masked_lm, text_classification
from tasks.nlp.masked_lm import ONLY_PREDICTED, Args, MaskedLM
from tasks.nlp.masking import FIXED, IGNORED, Vocabulary, mask, most_masked
from tasks.randomness import EpochView
from tests.evaluated import evaluated
from tests.tape import Tape
from zoo.evaluation.loop import evaluate

VOCABULARY = Vocabulary(size=1000, mask=4, special=(0, 1, 2, 3, 4))
WINDOWS = st.lists(st.lists(st.integers(0, 999), max_size=40), min_size=1, max_size=6)
VIEW = EpochView(seed=3, epoch=1)


@given(WINDOWS, st.floats(0.05, 0.6))
def test_labels_are_what_stood_there_and_the_rest_stays(windows, probability) -> None:
    ids, labels = mask(windows, range(len(windows)), VOCABULARY, probability, VIEW)
    for window, found, wanted in zip(windows, ids, labels, strict=True):
        window = np.array(window, np.int64)
        chosen = wanted != IGNORED
        assert (wanted[chosen] == window[chosen]).all()
        assert (found[~chosen] == window[~chosen]).all()
        free = ~np.isin(window, VOCABULARY.special)
        assert not (chosen & ~free).any()
        n = int(free.sum())
        assert chosen.sum() == (max(1, np.rint(probability * n)) if n else 0)


@given(WINDOWS, st.data())
@settings(max_examples=30)
def test_a_text_is_masked_alike_in_whatever_batch(windows, data) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(windows))), min_size=1, unique=True))
    ids, labels = mask(windows, range(len(windows)), VOCABULARY, 0.15, VIEW)
    some, wanted = mask([windows[i] for i in rows], rows, VOCABULARY, 0.15, VIEW)
    for place, row in enumerate(rows):
        assert some[place].tolist() == ids[row].tolist()
        assert wanted[place].tolist() == labels[row].tolist()


def test_seed_epoch_and_sample_each_change_the_mask() -> None:
    window = [list(range(10, 110))]
    first = mask(window, [0], VOCABULARY, 0.15, EpochView(1, 0))[1][0].tolist()
    assert mask(window, [0], VOCABULARY, 0.15, EpochView(1, 0))[1][0].tolist() == first
    for view, sample in ((EpochView(2, 0), 0), (EpochView(1, 1), 0), (EpochView(1, 0), 1)):
        assert mask(window, [sample], VOCABULARY, 0.15, view)[1][0].tolist() != first


def test_pieces_of_one_text_are_masked_apart() -> None:
    piece = list(range(10, 90))
    _, (first, second) = mask([piece, piece], [7, 7], VOCABULARY, 0.15, VIEW)
    assert first.tolist() != second.tolist()


def test_of_what_is_chosen_80_are_masked_10_replaced_10_stay() -> None:
    rng = np.random.default_rng(0)
    windows = [rng.integers(5, 1000, 100).tolist() for _ in range(4000)]
    ids, labels = map(np.concatenate, mask(windows, range(4000), VOCABULARY, 0.15, VIEW))
    chosen = labels != IGNORED
    n = int(chosen.sum())
    assert n == 4000 * 15
    shares = {
        "mask": ((ids == VOCABULARY.mask) & chosen).sum() / n,
        "same": ((ids == labels) & chosen).sum() / n,
    }
    # standard errors are below 0.002; one in a thousand replacements is the token itself
    assert shares["mask"] == pytest.approx(0.8, abs=0.008)
    assert shares["same"] == pytest.approx(0.1, abs=0.006)
    replaced = ids[chosen & (ids != VOCABULARY.mask) & (ids != labels)]
    assert len(np.unique(replaced)) > 950  # any token of the vocabulary


def test_places_are_chosen_evenly() -> None:
    windows = [list(range(10, 30))] * 8000
    labels = np.stack(mask(windows, range(8000), VOCABULARY, 0.15, VIEW)[1])
    shares = (labels != IGNORED).mean(0)  # [20], 3 of 20 each
    assert shares == pytest.approx(np.full(20, 0.15), abs=0.02)


# --- the task


class Tokenizer:
    """Numbers as words; enough for what the task asks of a tokenizer."""

    mask_token, mask_token_id, pad_token_id = "[MASK]", 4, 0
    all_special_ids = (0, 1, 2, 3, 4)

    def __len__(self) -> int:
        return 50

    def decode(self, ids: list[int]) -> str:
        return f"<{ids[0]}>"


class Guesser(nn.Module):
    """Logits [b, seq, 50] that depend on the token alone; perhaps of the asked places only."""

    def __init__(self, only: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = torch.randn(50, 50, generator=generator)
        setattr(self, ONLY_PREDICTED, only)

    def forward(self, input_ids, attention_mask, predicted=None):
        logits = self.table[input_ids]
        if getattr(self, ONLY_PREDICTED):
            logits = logits.flatten(0, 1)[predicted]
        return SimpleNamespace(logits=logits)


@pytest.fixture
def task() -> MaskedLM:
    return MaskedLM(Args()).bind_for_training(Tokenizer(), 16)


def rows_of(lengths: list[int], labelled: bool = True) -> list[dict]:
    rng = np.random.default_rng(1)
    windows = [rng.integers(5, 50, n).tolist() for n in lengths]
    ids, labels = mask(windows, range(len(lengths)), Vocabulary(50, 4, (0, 1, 2, 3, 4)), 0.3, VIEW)
    return [
        {"sample_id": i, "input_ids": [ids[i]]}
        | ({"token_labels": [labels[i]]} if labelled else {})
        for i in range(len(lengths))
    ]


def test_loss_is_the_cross_entropy_of_what_is_hidden(task: MaskedLM) -> None:
    model = Guesser(only=False)
    batch = task.collate(rows_of([9, 4, 13]))
    loss = task.loss(task.forward(model, batch), batch)
    full = model(batch.inputs["input_ids"], None).logits.flatten(0, 1)
    expected = nn.functional.cross_entropy(full, batch.targets["labels"].flatten(), reduction="sum")
    assert float(loss.sum) == pytest.approx(float(expected), rel=1e-6)
    assert float(loss.count) == int((batch.targets["labels"] != IGNORED).sum())


def test_a_model_that_computes_only_what_is_asked_gives_the_same(task: MaskedLM) -> None:
    for labelled in (True, False):
        batch = task.collate(rows_of([9, 4, 13], labelled))
        whole, part = (task.forward(Guesser(only), batch)["logits"] for only in (False, True))
        torch.testing.assert_close(whole, part, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("only", [False, True])
def test_a_fixed_number_of_places_has_the_loss_of_those_that_are_hidden(
    task: MaskedLM, only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU trains, which is not waited for; guesses are of the hidden ones alone."""
    model, batch = Guesser(only), task.collate(rows_of([9, 4, 13]))
    usual = task.loss(task.forward(model, batch), batch)
    monkeypatch.setattr(masked_lm, "_would_wait", lambda batch: "labels" in batch.targets)
    with Tape():
        outputs = task.forward(model, batch)
        loss = task.loss(outputs, batch)
    assert len(outputs["logits"]) == most_masked(3 * 13, 3, task.args.mlm_probability)
    assert len(outputs["logits"]) > int(usual.count) == int(loss.count)
    assert float(loss.sum) == pytest.approx(float(usual.sum), rel=1e-6)
    assert len(task.forward(model.eval(), batch)["logits"]) == int(usual.count)


@given(WINDOWS, st.floats(0.05, 0.6))
def test_no_more_is_hidden_than_there_are_places(windows, probability) -> None:
    _, labels = mask(windows, range(len(windows)), VOCABULARY, probability, VIEW)
    hidden = sum(int((wanted != IGNORED).sum()) for wanted in labels)
    seq = max(len(window) for window in windows)
    assert hidden <= most_masked(seq * len(windows), len(windows), probability)


def test_the_tally_counts_texts_and_pieces_of_one_text_together(task: MaskedLM) -> None:
    model, rows = Guesser(only=False), rows_of([9, 4, 13])
    whole = {
        "sample_id": 1,
        "input_ids": rows[1]["input_ids"] + rows[2]["input_ids"],
        "token_labels": rows[1]["token_labels"] + rows[2]["token_labels"],
    }
    batch = task.collate([rows[0], whole])
    assert batch.windows.tolist() == [0, 1, 1]
    accumulator, outputs = task.accumulator(), task.forward(model, batch)
    task.update(accumulator, evaluated(task, batch, outputs))
    logits, loss = outputs["logits"], task.loss(outputs, batch)
    perplexity, accuracy = accumulator.compute()
    assert perplexity.value == pytest.approx(float((loss.sum / loss.count).exp()), rel=1e-5)
    assert (perplexity.n, accuracy.n) == (2, 2)
    truth = batch.targets["labels"][batch.targets["labels"] != IGNORED]
    assert accuracy.value == pytest.approx(float((logits.argmax(-1) == truth).float().mean()))
    _, counts = truth.unique(return_counts=True)
    shares, constant = counts / counts.sum(), accumulator.constant()
    assert constant is not None
    assert constant.values["masked_accuracy"] == pytest.approx(float(shares.max()))
    entropy = -(shares * shares.log()).sum()
    assert constant.values["perplexity"] == pytest.approx(float(entropy.exp()), rel=1e-5)


def test_mistakes_name_the_worst_guess_of_each_text(task: MaskedLM) -> None:
    model = Guesser(only=False)
    batch = task.collate(rows_of([9, 4, 13]))
    seen = evaluated(task, batch, task.forward(model, batch))
    found = {row: (loss, truth, said) for loss, row, truth, said, _ in task.errors(seen)}
    given = {row: score for _, row, _, _, score in task.errors(seen)}
    assert set(found) <= {0, 1, 2} and found
    for row, (loss, truth, said) in found.items():
        labels = batch.targets["labels"][row]
        single = {"input_ids": batch.inputs["input_ids"][[row]], "attention_mask": None}
        alone = Batch(single, batch.ids[[row]], {"labels": labels[None]})
        own = task.forward(model, alone)["logits"]
        losses = nn.functional.cross_entropy(own, labels[labels != IGNORED], reduction="none")
        scores = {f"<{int(row.argmax())}>": float(row.softmax(-1).max()) for row in own}
        assert scores[said] == pytest.approx(given[row], rel=1e-5)
        assert loss <= float(losses.max()) + 1e-5
        assert truth != said and f"<{int(labels[labels != IGNORED][losses.argmax()])}>" == truth


class Softmaxes(TorchDispatchMode):
    """Counts them, and what is made of one."""

    count = 0
    names = ("log_softmax", "_log_softmax", "softmax", "_softmax", "cross_entropy_loss")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in self.names
        return func(*args, **(kwargs or {}))


def test_an_evaluation_computes_the_likelihood_once_a_batch(task: MaskedLM) -> None:
    features: Any = SimpleNamespace(
        lengths=np.array([9, 4, 13]), __getitems__=lambda chosen: rows_of([9, 4, 13])
    )
    model = Guesser(only=False)
    with Softmaxes() as softmaxes:
        found = evaluate(
            model,
            task,
            features,
            batch_size=3,
            accelerator=Accelerator(cpu=True),
            keep_errors=9,
        )
    assert softmaxes.count == 1
    assert found.hardest and found.value("perplexity") == pytest.approx(math.exp(found.loss))


def test_guesses_read_as_probabilities_in_order(task: MaskedLM) -> None:
    logits = torch.randn(2, 2, 50)
    logits[0, 1] = float("nan")  # the first text has one mask
    batch = task.collate(rows_of([9, 4], labelled=False))
    one, two = (task.to_json(each, 3) for each in task.predict(None, batch, {"logits": logits}))
    best = logits[0, 0].softmax(-1).topk(3)
    assert [guess["token"] for guess in one["guesses"][0]] == best.indices.tolist()
    assert [guess["score"] for guess in one["guesses"][0]] == pytest.approx(best.values.tolist())
    assert one["label"] == f"<{int(best.indices[0])}>" and isinstance(one["score"], float)
    assert len(two["label"]) == len(two["score"]) == len(two["guesses"]) == 2


# --- the data


def write(path: Path, rows: int, column: str = "text", labels: bool = True) -> Path:
    lines = [
        json.dumps({column: f"text {i}"} | ({"label": "ab"[i % 2]} if labels else {}))
        for i in range(rows)
    ]
    path.write_text("\n".join(lines))
    return path


def test_splits_are_the_classifiers_own(tmp_path: Path) -> None:
    data = DataArgs(data=str(write(tmp_path / "a.jsonl", 60)), split_seed=5, max_train_samples=30)
    _, ours = masked_lm.from_data(Args(), data)
    _, theirs = text_classification.from_data(text_classification.Args(), data)
    assert ours.fingerprint == theirs.fingerprint
    for name, split in theirs.splits.items():
        assert ours.splits[name]["text"] == split["text"]
        assert ours.splits[name].column_names == ["text"]


def test_texts_alone_are_enough_and_evaluation_takes_what_was_cut(tmp_path: Path) -> None:
    data = DataArgs(data=str(write(tmp_path / "a.jsonl", 40, "content", labels=False)))
    task, examples = masked_lm.from_data(Args(), data)
    assert {name: len(split) for name, split in examples.splits.items()} == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }
    found = masked_lm.for_evaluation(task, data, None, examples.fingerprint)
    assert found.splits["test"]["text"] == examples.splits["test"]["text"]


def test_what_makes_no_sense_is_refused(tmp_path: Path, task: MaskedLM) -> None:
    data = DataArgs(data=str(write(tmp_path / "a.jsonl", 20)))
    with pytest.raises(UserError, match="mlm_probability"):
        masked_lm.from_data(Args(mlm_probability=1.0), data)
    with pytest.raises(UserError, match="`max_length` 20 is more than the 16"):
        MaskedLM(Args(max_length=20)).bind_for_training(Tokenizer(), 16)
    blind = Tokenizer()
    blind.mask_token_id = None
    with pytest.raises(UserError, match="no mask token"):
        MaskedLM(Args()).bind_for_training(blind, 16)


def test_a_task_comes_back_from_its_record(task: MaskedLM) -> None:
    assert masked_lm.from_config(json.loads(json.dumps(task.config()))) == task


@pytest.fixture(scope="module")
def tokenizer():
    from zoo.nlp.trained_tokenizer import train_tokenizer

    texts = [f"the film number {i} was wonderful and long" for i in range(50)]
    return train_tokenizer([texts], "bpe", 400, True, 16, masked=True)


def test_long_texts_are_learned_from_whole(tokenizer) -> None:
    text = " ".join(f"film {i}" for i in range(30))
    split = datasets.Dataset.from_dict({"text": [text, "the film"]})
    for how, pieces in (("window", True), ("truncate", False)):
        task = MaskedLM(Args(max_length=12, long_texts=how)).bind_for_training(tokenizer, 16)
        features = task.features(split, f"long/{how}")
        rows = features.__getitems__([0, 1])
        assert (len(rows[0]["input_ids"]) > 1) == pieces
        assert len(rows[1]["input_ids"]) == 1
        assert max(map(len, rows[0]["input_ids"])) <= 12
        first, again = features.__getitems__([1, 0]), features.view(FIXED).__getitems__([1, 0])
        assert all(
            (a == b).all()
            for x, y in zip(first, again, strict=True)
            for a, b in zip(x["token_labels"], y["token_labels"], strict=True)
        )
        task.collate(rows)


def test_a_text_to_fill_wants_a_mask_that_is_read(tokenizer) -> None:
    task = MaskedLM(Args(max_length=12)).bind_for_training(tokenizer, 16)
    rows = task.inputs(["the [MASK] was [MASK]", "[MASK] film"])
    batch = task.collate(rows)
    assert (batch.inputs["input_ids"] == tokenizer.mask_token_id).sum(1).tolist() == [2, 1]
    assert not batch.targets
    with pytest.raises(UserError, match=r"has no \[MASK\]"):
        task.inputs(["the film"])
    with pytest.raises(UserError, match="stands beyond the 12 tokens"):
        task.inputs(["the film was wonderful " * 5 + "[MASK]"])


def test_the_tokenizer_is_that_of_a_bert(tokenizer) -> None:
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("The [MASK]", "was")["input_ids"])
    assert tokens[0] == "[CLS]" and tokens[2:4] == ["[MASK]", "[SEP]"] and tokens[-1] == "[SEP]"
    assert tokenizer("the", "was")["token_type_ids"][-2:] == [1, 1]
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == [
        "[PAD]",
        "[UNK]",
        "[SEP]",
        "[CLS]",
        "[MASK]",
    ]
