"""Chats as examples: messages, each with a role and a content, as tables of several makers have
them.

A chat is a list of `{"role": "user", "content": "..."}`, as OpenAI and the Hub write it, or of
`{"from": "human", "value": "..."}`, as ShareGPT does; in a table of text it is that list as JSON.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks import json_files
from tasks.data import columns
from tasks.data.source import Source
from tasks.errors import UserError, shortened
from tasks.nlp.text_inputs import checked

if TYPE_CHECKING:
    import datasets

COLUMNS = ("messages", "conversations", "conversation", "chat")
"""Usual names of the column of chats."""
ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
"""The role that each name of one stands for."""
NOT_READ = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")
"""Fields of a message that would change what is learned of it."""
ROWS = 1_000  # chats that become Python values together

Message = dict[str, str]
"""`role` (system, user or assistant) and `content`."""


def messages_of(value: Any, where: str) -> list[Message]:
    """Return the messages of a chat.

    Args:
        value: a list of messages, or its JSON; a content may be in parts that are texts.
        where: names the chat, for errors.

    Raises `UserError` for anything else, an unknown role, and what can't be learned yet.
    """
    if isinstance(value, str):
        try:
            value = json_files.parse(value)
        except ValueError as error:
            raise UserError(f"{where}: no chat, but text that is not JSON ({error})") from None
    if not isinstance(value, list | tuple) or not value:
        raise UserError(f"{where}: {_shown(value)} is no list of messages with role and content")
    return [_message(each, f"{where}, message {i}") for i, each in enumerate(value, start=1)]


def _message(value: Any, where: str) -> Message:
    if not isinstance(value, Mapping):
        raise UserError(f"{where}: {_shown(value)} is no object with role and content")
    given = {name: each for name, each in value.items() if each is not None}
    if extra := next((name for name in NOT_READ if given.get(name)), None):
        raise UserError(f"{where} has {extra!r}, which is not learned: leave that chat out")
    if (weight := given.get("weight", 1)) != 1:  # of OpenAI's: 0 is not to be learned
        raise UserError(
            f"{where} has the weight {_shown(weight)}, and all answers are learned alike: leave "
            "that chat out, or its weight (1)"
        )
    role = given.get("role", given.get("from"))
    known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        said = "no role" if role is None else f"the role {_shown(role)}"
        raise UserError(f"{where} has {said}: there are system, user and assistant")
    content = given.get("content", given.get("value"))
    if isinstance(content, list):
        content = _joined(content, where)
    if not isinstance(content, str):
        said = "no content" if content is None else f"the content {_shown(content)}, which is"
        raise UserError(f"{where} has {said}{'' if content is None else ' no text'}")
    return {"role": known, "content": checked(content, where)}


def _joined(parts: Sequence[Any], where: str) -> str:
    """Return the text of a content in parts. Raises `UserError` for a part that is no text."""
    texts: list[str] = []
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            raise UserError(f"{where} has a part that is no text: {_shown(part)}")
        texts.append(text)
    return "".join(texts)


def _shown(value: Any) -> str:
    return shortened(repr(value))


def as_text(messages: Sequence[Message]) -> str:
    """Return a chat as the text that the examples hold: JSON, which is equal for equal chats."""
    return json.dumps([[one["role"], one["content"]] for one in messages], ensure_ascii=False)


def of_text(text: str) -> list[Message]:
    """Return the messages of a chat that `as_text` wrote."""
    return [{"role": role, "content": content} for role, content in json.loads(text)]


def canonical(source: Source, column: str) -> "datasets.DatasetDict":
    """Return the splits with the chats of a column as `chat` (see `as_text`), and as `row` how an
    error names each.

    Raises `UserError` with the row for a value that is no chat.
    """
    import datasets
    import pyarrow as pa

    splits = columns.select(source.splits, {column: "chat"}, source.name)
    made = {}
    for name, split in splits.items():
        texts: list[str] = []
        rows: list[str] = []
        for batch in split.with_format("arrow").iter(batch_size=ROWS):
            for value in batch.column("chat").to_pylist():
                rows.append(f"{source.name}, {name} row {len(rows) + 1}")
                texts.append(as_text(messages_of(value, rows[-1])))
        table = {"chat": pa.array(texts, pa.large_string()), "row": pa.array(rows, pa.string())}
        made[name] = datasets.Dataset(pa.table(table))
    return datasets.DatasetDict(made)


def contents_of(examples: "datasets.Dataset") -> Iterator[list[str]]:
    """Yield all that is said in a split, in lists of texts."""
    for rows in examples.iter(batch_size=ROWS):
        yield [message["content"] for text in rows["chat"] for message in of_text(text)]
