"""Answers are learned alone: their tokens and ends, and nothing across a border."""

import math
from typing import Any

import datasets
import pytest
import torch

from tasks.base import Evaluated
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED
from tasks.nlp import chats
from tasks.nlp.causal_lm import Args, CausalLM
from tasks.packed import PackedShape
from tests.tasks.nlp import chat_tokenizers as made
from zoo.nlp.causal_decoder import NETWORK
from zoo.nlp.chat_tokenizer import prepare
from zoo.nlp.gpt_lm import Options
from zoo.nlp.trained_tokenizer import train_lossless_tokenizer

LIMIT = 48
OPTIONS = Options(hidden_size=16, num_layers=2, num_heads=2, token_limit=LIMIT)
PAIRS = [("no plot", "the film 图书"), ("", "fine"), ("the cast was", ""), ("a" * 30, "b" * 60)]
CHATS = [
    [("user", "no plot?"), ("assistant", "the end")],
    [("system", "图书"), ("user", "a"), ("assistant", "fine"), ("user", "b"), ("assistant", "é")],
    [("user", "the film"), ("assistant", "")],
    [("user", "a"), ("assistant", "the end " * 30)],
    [("user", "the end " * 30), ("assistant", "a")],
    [("user", "nobody answers")],
]


def rows_of(form: str) -> datasets.Dataset:
    if form == "completions":
        prompts, answers = zip(*PAIRS, strict=True)
        return datasets.Dataset.from_dict({"text": prompts, "text_pair": answers})
    read = [[dict(zip(("role", "content"), one, strict=True)) for one in chat] for chat in CHATS]
    names = [f"row {i}" for i in range(len(CHATS))]
    return datasets.Dataset.from_dict({"chat": [*map(chats.as_text, read)], "row": names})


def task_of(form: str, tokenizer: Any = None, **args: Any) -> CausalLM:
    columns = {"messages": "m"} if form == "chats" else {"prompt": "p", "completion": "c"}
    task = CausalLM(Args(separator="\n", **args), columns=columns)
    return task.bind_for_training(tokenizer or made.chatml(), LIMIT)


def read(task: CausalLM) -> tuple[Any, list[dict[str, Any]]]:
    features = task.features(rows_of(task.form), "")
    return features, features.__getitems__(range(len(features)))


def learned(task: CausalLM, row: dict[str, Any]) -> str:
    labels = task.collate([row]).targets["labels"][0]
    return task.processor.decode(labels[labels != IGNORED])


def test_the_answers_of_chats_are_learned(capsys: pytest.CaptureFixture[str]) -> None:
    task = task_of("chats")
    features, rows = read(task)
    answers = ["the end<|im_end|>", "fine<|im_end|>é<|im_end|>", "<|im_end|>"]
    assert features.origins.tolist() == [0, 1, 2, 3]
    assert [learned(task, row) for row in rows[:3]] == answers
    assert [row["bytes"] for row in rows[:3]] == [7, 4 + 2, 0]
    whole = task.processor.decode(rows[1]["input_ids"][0])
    assert whole.startswith("<|im_start|>system\n图书<|im_end|>\n<|im_start|>user\na<|im_end|>")
    assert whole.endswith("é<|im_end|>"), "nothing behind what is learned"
    assert len(rows[3]["input_ids"][0]) == LIMIT + 1
    cut = learned(task, rows[3])
    assert ("the end " * 30).startswith(cut) and rows[3]["bytes"] == len(cut) > 20
    assert capsys.readouterr().err.splitlines()[-1] == (
        "note: of 6 rows, left out are 1 without an answer, 1 whose answer begins behind the 48 "
        "tokens that the model sees; 1 longer than 48 tokens lose their end"
    )


@pytest.mark.parametrize("template", [made.LLAMA3, made.THINKS, made.MISTRAL])
def test_what_comes_before_is_what_the_model_is_asked_with(template: str) -> None:
    task = task_of("chats", made.with_template(template))
    [row] = task.features(rows_of("chats").select([0]), "").__getitems__([0])
    [asked] = task.inputs([{"messages": [{"role": "user", "content": "no plot?"}]}])
    [prompt], [piece] = asked["input_ids"], row["input_ids"]
    assert piece[: len(prompt)] == prompt
    assert row["learned"][0] == [0] * (len(prompt) - 1) + [1] * (len(piece) - len(prompt))


def test_an_answer_that_melts_into_its_prompt_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its first token is one that the model can't be asked for."""
    lines = train_lossless_tokenizer([["a\n\n\nb\n\n\nc"] * 9], "bpe", 300, LIMIT)
    task = task_of("chats", prepare(lines, Options(), "chats"))
    chat = [
        chats.as_text([{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}])
        for answer in ("b", "\n\nb")
    ]
    rows = datasets.Dataset.from_dict({"chat": chat, "row": ["row 0", "row 1"]})
    assert task.features(rows, "").origins.tolist() == [0]
    assert "1 whose answer melts into one token with what" in capsys.readouterr().err


def test_completions_are_learned_alone() -> None:
    task = task_of("completions")
    _, rows = read(task)
    end = task.processor.eos_token
    assert [learned(task, row) for row in rows[:3]] == [f"the film 图书{end}", f"fine{end}", end]
    assert [row["bytes"] for row in rows[:3]] == [len("the film 图书".encode()), 4, 0]
    [prompt] = task.inputs(["no plot"])[0]["input_ids"]
    assert rows[0]["input_ids"][0][: len(prompt)] == prompt
    assert task.processor.decode(prompt) == f"{end}no plot\n"
    assert len(rows[3]["input_ids"][0]) == LIMIT + 1 and 0 < rows[3]["bytes"] < 60


@pytest.mark.parametrize("form", ["chats", "completions"])
def test_a_prompt_is_learned_where_it_is_asked_for(form: str) -> None:
    task = task_of(form, train_on_prompt=True)
    _, rows = read(task)
    for row in rows:
        assert row["learned"][0] == [1] * (len(row["input_ids"][0]) - 1)
    said = "<|im_start|>user\nno plot?<|im_end|>\n<|im_start|>assistant\nthe end<|im_end|>\n"
    if form == "chats":
        assert task.processor.decode(rows[0]["input_ids"][0]) == said
        assert rows[0]["bytes"] == len(said) - 2 * len("<|im_start|><|im_end|>")
        assert len(rows) == len(CHATS)


def test_nothing_to_learn_is_an_error() -> None:
    task = task_of("chats")
    with pytest.raises(UserError, match="of 1 rows nothing can be learned: there are 1 without"):
        task.features(rows_of("chats").select([5]), "")


@pytest.fixture(scope="module", params=["chats", "completions"])
def task(request: pytest.FixtureRequest) -> CausalLM:
    return task_of(request.param)


@pytest.fixture
def model(task: CausalLM) -> Any:
    torch.manual_seed(0)
    found, _ = NETWORK.build(OPTIONS, task, task.processor, None)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)  # so that tokens differ
    return found.eval()


def alone(model: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    """The losses of learned tokens, each row by itself, by plain transformers."""
    found = []
    for row in rows:
        ids = torch.tensor(row["input_ids"])
        logits = model(input_ids=ids[:, :-1]).logits[0]
        losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        found.append(losses[torch.tensor(row["learned"][0]).bool()])
    return torch.cat(found)


def test_padded_and_packed_losses_are_those_of_rows_alone(task: CausalLM, model: Any) -> None:
    _, rows = read(task)
    expected = alone(model, rows)
    padded = task.collate(rows)
    loss = task.loss(task.forward(model, padded), padded)
    assert loss.count == len(expected)
    torch.testing.assert_close(loss.sum, expected.sum())
    gradients = torch.autograd.grad(expected.sum(), list(model.parameters()))
    shape = PackedShape(256, len(rows) + 1, len(rows) + 2, LIMIT)
    NETWORK.optimize_training(model, None)
    NETWORK.prepare_packing(model, shape)
    packed = task.collate_packed(rows[::-1], shape)
    loss = task.loss(task.forward(model.train(), packed), packed)
    assert loss.count == len(expected)
    torch.testing.assert_close(loss.sum, expected.sum())
    found = torch.autograd.grad(loss.sum, list(model.parameters()))
    torch.testing.assert_close(found, gradients, rtol=1e-4, atol=1e-5)


def test_bits_per_byte_count_what_is_learned(task: CausalLM, model: Any) -> None:
    _, rows = read(task)
    batch = task.collate(rows)
    with torch.inference_mode():
        outputs = task.forward(model, batch)
        predictions = task.predict(model, batch, outputs)
    loss = task.loss(outputs, batch)
    accumulator = task.accumulator()
    truth = task.references(batch)
    task.update(accumulator, Evaluated(batch, outputs, loss, predictions, truth))
    measured, accuracy = accumulator.compute()
    bits = alone(model, rows).sum().item() / math.log(2)
    size = sum(row["bytes"] for row in rows)
    assert measured.n == len(rows) and accuracy.n == len(rows)
    assert measured.value == pytest.approx(bits / size, rel=1e-5)
    assert sum(map(len, truth)) == sum(sum(row["learned"][0]) for row in rows)
