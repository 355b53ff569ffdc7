"""Prompts and chats that a model is to go on with, from the command line, files and Python."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tasks.errors import UserError, shortened
from tasks.nlp import chats, text_inputs
from tasks.nlp.chats import Message
from tasks.nlp.text_forms import with_context
from tasks.nlp.text_inputs import TEXT_COLUMNS, Columns
from tasks.printing import print_lines

COLUMNS = ("prompt", *TEXT_COLUMNS)
"""Usual names of the column of prompts."""
OPENING_TOKENS = 16
"""Of the beginning of a text that a model is given, to go on with it as it likes."""


def read(
    file: Path | None, column: str | None, known: Columns, is_chat: bool, stack: ExitStack
) -> Iterator[Mapping[str, Any]]:
    """Yield the inputs in a file or on standard input: `prompt`, of a table's row `others`, its
    other columns, and of a chat `messages`.

    Args:
        column: of the prompts in a table, where it is asked for.
        known: the columns of the training.
        is_chat: whether a column of chats is read.
        stack: closes the file.

    Raises `UserError` as `tasks.nlp.text_inputs.read` does.
    """
    if is_chat and column is None and file is not None and (found := _chats(file, known)):
        return found
    asked = text_inputs.Inputs(file=file, text_column=column)
    trained = known.get("prompt")
    usual = (trained, *COLUMNS) if trained else COLUMNS
    read = text_inputs.read(asked, {}, stack, usual=usual)
    return (_item(item, known.get("context")) for item in read)


def _item(item: Mapping[str, Any], context: str | None) -> dict[str, Any]:
    prompt, others = item["text"], item.get("others")
    if others is not None and context in others.schema.names:
        prompt = with_context(prompt, others.column(context)[0].as_py())
    return {"prompt": prompt} | ({} if others is None else {"others": others})


def _chats(file: Path, known: Columns) -> Iterator[Mapping[str, Any]] | None:
    """Return the chats in a table; None where it is none, or has no column of them."""
    from tasks.data import cells, tables

    if file.suffix.lower() not in tables.READERS or not file.is_file():
        return None
    table = tables.read(file)
    usual = (known.get("messages"), *chats.COLUMNS)
    column = next((name for name in usual if name in table.column_names), None)
    if column is None:
        return None
    cells.tell(table)
    return _each(file, table, column)


def _each(file: Path, table: Any, column: str) -> Iterator[Mapping[str, Any]]:
    """Yield the chats of a table, each up to what is to be answered."""
    row, is_told = 0, False
    for batch in table.to_batches(max_chunksize=text_inputs.ROWS):
        for i, value in enumerate(batch.column(column).to_pylist()):
            row += 1
            messages = chats.messages_of(value, f"{file}, row {row}")
            while messages and messages[-1]["role"] == "assistant":
                messages.pop()
                if not is_told:
                    line = f"note: {file} has answers, too: the last of a chat is written anew"
                    print_lines(line, file=sys.stderr)
                    is_told = True
            if not messages:
                raise UserError(f"{file}, row {row}: nobody but the assistant says anything")
            prompt = messages[-1]["content"]
            yield {"prompt": prompt, "messages": messages, "others": batch.slice(i, 1)}


def is_one(raw: Any) -> bool:
    """Return whether an input from Python is a single prompt or chat, and not a list of them."""
    return is_chat(raw) or text_inputs.is_one(raw)


def is_chat(raw: Any) -> bool:
    """Return whether an input from Python is the messages of a chat."""
    return (
        isinstance(raw, list | tuple)
        and len(raw) > 0
        and all(isinstance(one, Mapping) and ("role" in one or "from" in one) for one in raw)
    )


def of(raw: Any) -> "str | Sequence[Message]":
    """Return a prompt, or the messages of a chat, of what Python was given: a text, a mapping with
    `prompt` or `messages`, or a list of messages.

    Raises `UserError` for anything else, and a chat that ends with an answer.
    """
    if isinstance(raw, Mapping) and "messages" in raw:
        raw = raw["messages"]
        if not is_chat(raw):
            raise UserError("'messages' wants a list of messages with role and content")
    if is_chat(raw):
        messages = chats.messages_of(raw, "the chat")
        if messages[-1]["role"] == "assistant":
            raise UserError("the chat ends with the assistant's answer: what is to be answered?")
        return messages
    if isinstance(raw, Mapping) and "prompt" in raw:
        raw = raw["prompt"]
    text: str = text_inputs.item(raw, {"text": "text", "text_pair": None})["text"]
    return text


def too_long(prompt: "str | Sequence[Message]", tokens: int, longest: int) -> UserError:
    """Return the error of a prompt or chat of so many tokens, which leaves no room for a text in
    the `longest` that the model sees at once."""
    said = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    return UserError(
        f"the prompt {shortened(said)!r} has {tokens:,} tokens, and what this model sees at once, "
        f"the text that it writes included, are {longest:,} with the beginning: shorten the prompt"
    )


def number_of(ids: Sequence[int]) -> int:
    """Return a number of a prompt's tokens for draws, which differ from prompt to prompt."""
    digest = hashlib.blake2b(" ".join(map(str, ids)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def in_row(row: Mapping[str, Any]) -> str | None:
    """Return what a user says first in a row of the examples: in its chat, or as its text."""
    if not row.get("chat"):
        return row.get("text")
    said = (one["content"] for one in chats.of_text(row["chat"]) if one["role"] == "user")
    return next(said, None)


def opening(row: Mapping[str, Any], tokenizer: Any, longest: int) -> "tuple[str, str] | None":
    """Return a prompt out of a row of the examples, and what follows it there: what is asked first
    and its answer, or the `OPENING_TOKENS` that a text begins with, and the rest. None where one of
    them is blank.

    Args:
        longest: tokens that the model sees at once, of which the beginning takes a quarter at most.
    """
    from tasks.nlp.tokenization import beginning

    if row.get("chat"):
        said = chats.of_text(row["chat"])
        answers = (one["content"] for one in said if one["role"] == "assistant")
        prompt, rest = in_row(row), next(answers, None)
    elif row.get("text_pair") is not None:
        prompt, rest = row["text"], row["text_pair"]
    else:
        text = row["text"] or ""
        prompt = beginning(text, tokenizer, max(1, min(OPENING_TOKENS, longest // 4)))
        rest = text[len(prompt) :]
    if not prompt or not rest or not prompt.strip() or not rest.strip():
        return None
    return prompt, rest
