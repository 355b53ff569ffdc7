"""A tokenizer's chat template: chats as text, where the answers lie in it, and what ends one.

A template is a program in Jinja, and transformers runs it in Jinja's sandbox
(`ImmutableSandboxedEnvironment`): it can compute a text, and nothing else. It need not mark the
answers (`{% generation %}`): an answer is what follows the text of the chat before it, rendered
with the template's own prompt for an answer, up to the token that ends a turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import UserError, foreign
from tasks.nlp.chats import Message
from tasks.nlp.tokenization import whole_encodings

QUESTION, ANSWER = "zyxq?", "zyxa!"
"""Contents of a chat that shows what a template writes around them."""
PROBE = ({"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER})


@dataclass(frozen=True)
class TurnEnd:
    """What a template writes behind an answer."""

    text: str
    """up to the end of the token"""
    token: int
    """the special token that ends a turn"""


def render(processor: Any, messages: Sequence[Message], where: str, asks: bool = False) -> str:
    """Return a chat as text.

    Args:
        where: names the chat, for errors.
        asks: whether the prompt for an answer is to follow.

    Raises `UserError` where there is no template, or it refuses the chat.
    """
    must_have_template(processor)
    try:
        text: str = processor.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=asks
        )
    except Exception as error:  # a template makes Python raise anything
        reason = foreign(error).strip().partition("\n")[0][:200]
        raise UserError(f"{where}: the chat template refuses it ({reason})") from None
    return text


def must_have_template(processor: Any) -> None:
    """Raise `UserError` where a tokenizer has no chat template."""
    if not getattr(processor, "chat_template", None):
        raise UserError(
            "this model's tokenizer has no chat template, so it can't read chats: train it on "
            "chats (finetune `data` with a column messages), or give it prompts"
        )


def turn_end(processor: Any) -> TurnEnd:
    """Return what ends an answer in a tokenizer's chat template.

    Raises `UserError` where no special token does: no answer would ever end.
    """
    text = render(processor, PROBE, "a question with its answer")
    begin = text.rfind(ANSWER) + len(ANSWER)
    if QUESTION not in text or begin < len(ANSWER):
        raise UserError("the chat template leaves out what is said: it is none for chats of text")
    tail = text[begin:]
    [encoded] = whole_encodings([tail], processor)
    special = special_ids(processor)
    for token, (_, stop) in zip(encoded.ids, encoded.offsets, strict=True):
        if token in special:
            return TurnEnd(tail[:stop], token)
    raise UserError(
        "the chat template writes no special token behind an answer, so no answer would ever end: "
        "let it write {{ eos_token }} there"
    )


def special_ids(processor: Any) -> set[int]:
    """Return the ids of a tokenizer's special and added tokens."""
    return {*processor.all_special_ids, *processor.added_tokens_decoder}


@dataclass(frozen=True)
class Answer:
    """Where an answer lies in the text of its chat."""

    head: str
    """the text before it, which the model is given when it is to answer"""
    stop: int
    """the character behind the token that ends it"""


def answers(
    processor: Any, messages: Sequence[Message], end: TurnEnd, where: str
) -> tuple[str, list[Answer]]:
    """Return a chat as text, and where its answers are, each with its end; an answer to nothing is
    none.

    Raises `UserError` where the template writes a chat otherwise once it goes on, so that what the
    model answers to is no part of it.
    """
    text = render(processor, messages, where)
    found: list[Answer] = []
    for i, message in enumerate(messages):
        if message["role"] != "assistant" or i == 0:
            continue
        head = render(processor, messages[:i], where, asks=True)
        stop = _stop(text, len(head), message["content"], end.text)
        if not text.startswith(head) or stop is None:
            raise UserError(
                f"{where}, message {i + 1}: the chat template writes this chat otherwise than the "
                "prompt for that answer, so what is learned would not be what is asked: give "
                "another template (`chat_template`), or learn the whole text (`train_on_prompt`)"
            )
        found.append(Answer(head, stop))
    return text, found


def _stop(text: str, begin: int, content: str, end: str) -> int | None:
    """Return where a content that begins at or behind `begin` ends, with the end of its turn; a
    template may strip it. None where it is not there."""
    for written in (content, content.strip()):
        at = text.find(written + end, begin)
        if at >= 0 and end not in text[begin:at]:
            return at + len(written) + len(end)
    return None
