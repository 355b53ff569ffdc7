"""Where answers lie in a chat, whatever its template writes around them."""

import pytest

from tasks.errors import UserError
from tasks.nlp import chat_template
from tests.tasks.nlp import chat_tokenizers as made

TWO = [
    {"role": "user", "content": "no plot?"},
    {"role": "assistant", "content": "the end"},
    {"role": "user", "content": "the end"},
    {"role": "assistant", "content": " fine\n"},
]


def learned(tokenizer, messages) -> list[str]:
    end = chat_template.turn_end(tokenizer)
    text, answers = chat_template.answers(tokenizer, messages, end, "the chat")
    return [text[len(one.head) : one.stop] for one in answers]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (made.LLAMA3, ["the end<|eot|>", "fine<|eot|>"]),
        (made.THINKS, ["the end<|eot|>", "<think>\n\n</think>\n\n fine\n<|eot|>"]),
        (made.MISTRAL, [" the end<|endoftext|>", "  fine\n<|endoftext|>"]),
    ],
    ids=["llama3", "thinks", "mistral"],
)
def test_answers_are_found_without_marks(template: str, expected: list[str]) -> None:
    assert learned(made.with_template(template), TWO) == expected


def test_answers_are_those_that_a_template_marks() -> None:
    tokenizer = made.chatml()
    chat = [{"role": "system", "content": "be fine"}, *TWO]
    found = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    pairs = zip(found["input_ids"], found["assistant_masks"], strict=True)
    marked = tokenizer.decode([token for token, is_marked in pairs if is_marked])
    assert "".join(learned(tokenizer, chat)) == marked == "the end<|im_end|> fine\n<|im_end|>"


def test_an_answer_to_nothing_is_none() -> None:
    assert learned(made.chatml(), TWO[1:]) == [" fine\n<|im_end|>"]


def test_an_empty_answer_is_its_end() -> None:
    chat = [TWO[0], {"role": "assistant", "content": ""}]
    assert learned(made.chatml(), chat) == ["<|im_end|>"]


@pytest.mark.parametrize(
    ("template", "messages", "said"),
    [
        (made.NEVER_ENDS, TWO, "no special token behind an answer"),
        (made.REWRITES, TWO, "the chat, message 2: the chat template writes this chat otherwise"),
        (made.MISTRAL, TWO[1:], r"the chat: the chat template refuses it \(roles must alternate\)"),
        ("{{ messages[", TWO, "the chat template refuses it"),
        ("{{ ''.__class__.__mro__ }}", TWO, "the chat template refuses it .*unsafe"),
        ("a text", TWO, "leaves out what is said"),
        (None, TWO, "has no chat template"),
    ],
    ids=["endless", "rewrites", "order", "syntax", "sandbox", "nothing", "none"],
)
def test_a_template_that_cannot_be_learned(template, messages, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        learned(made.with_template(template), messages)
    assert "\n" not in str(raised.value)
