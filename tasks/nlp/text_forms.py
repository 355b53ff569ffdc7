"""The forms in which texts to learn come: documents, prompts with completions, and chats.

The form follows from the columns of a table. Whatever it is, the examples are texts: a document is
`text`; a prompt is `text` and its completion `text_pair`; a chat is `chat` as `tasks.nlp.chats`
writes it, and `row` names it in errors.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tasks.data.columns import find_column, folded, names_of
from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_source
from tasks.errors import UserError
from tasks.nlp import chats, text_inputs
from tasks.nlp.cleaning import CleanArgs, cleaned_splits, steps_of
from tasks.nlp.text_columns import canonical
from tasks.nlp.text_inputs import TEXT_COLUMNS, Columns
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets

Form = Literal["documents", "completions", "chats"]

COLUMNS = (*TEXT_COLUMNS[:1], "document", "article", "body", "description", *TEXT_COLUMNS[1:])
"""Usual names of the column of documents."""
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
)
"""Usual names of the columns of prompts and completions."""
CONTEXTS = ("input", "context")
"""Usual names of a column that goes on with an instruction (Alpaca, Dolly) or a question."""
BLANK_LINE = "\n\n"
"""What stands between an instruction and what goes on with it."""


@dataclass(frozen=True)
class FormArgs(CleanArgs):
    """Which columns are read, and what of them is learned."""

    text_column: str | None = None
    """column of the documents; found by itself where it has a usual name"""
    prompt_column: str | None = None
    """column of prompts, where each has a completion; only that is learned. Found by itself:
    prompt, instruction (with input or context behind it), question"""
    completion_column: str | None = None
    """column of the completions; found by itself: completion, response, output, answer"""
    messages_column: str | None = None
    """column of chats, lists of messages with role and content; only what the assistant says is
    learned. Found by itself: messages, conversations"""
    train_on_prompt: bool = False
    """learn all tokens of prompts and chats, and not the answers alone"""
    separator: str | None = None
    """text between a prompt and its completion, in which \\n is a line break; by default one, or
    nothing where most of the data have a blank there"""


def form_of(columns: Columns) -> Form:
    """Return the form of data by what their columns hold."""
    if "messages" in columns:
        return "chats"
    return "completions" if "completion" in columns else "documents"


def find(names: Sequence[str], args: FormArgs, where: str) -> Columns:
    """Return the columns to learn from, by what they hold: `text`; `prompt`, `completion` and
    `context` (None where there is none); or `messages`.

    Args:
        names: the columns there are.
        where: the data's name, for errors.

    Raises `UserError` where no column is plain from its name, or flags of two forms are given.
    """
    pair = args.prompt_column, args.completion_column
    flags = ("text_column", "prompt_column", "completion_column", "messages_column")
    given = [flag for flag in flags if getattr(args, flag) is not None]
    if len(given) > 1 and given != [*flags[1:3]]:
        one, other, *_ = given
        raise UserError(f"`{one}` and `{other}` name columns of two forms of data: give one")
    there = {folded(name): name for name in reversed(names)}
    if args.messages_column or (not given and any(name in there for name in chats.COLUMNS)):
        found = find_column(names, args.messages_column, chats.COLUMNS, "messages", where)
        return {"messages": found}
    usual = next((both for both in PAIRS if all(name in there for name in both)), None)
    if any(pair) or (not given and usual):
        firsts, seconds = ([*dict.fromkeys(each)] for each in zip(*PAIRS, strict=True))
        prompt, completion = usual or (None, None)
        first = find_column(names, pair[0] or prompt, firsts, "prompt", where)
        second = find_column(names, pair[1] or completion, seconds, "completion", where)
        return {"prompt": first, "completion": second, "context": _context(there, first)}
    try:
        return {"text": find_column(names, args.text_column, COLUMNS, "text", where)}
    except UserError as error:
        if args.text_column is not None:
            raise
        ways = "prompts want prompt and completion beside each other, chats messages"
        raise UserError(str(error), "text_column", ways) from None


def _context(there: Mapping[str, str], prompt: str) -> str | None:
    """Return the column that goes on with a prompt, where there is one."""
    if folded(prompt) not in ("instruction", "question"):
        return None
    return next((there[name] for name in CONTEXTS if name in there), None)


def find_again(names: Sequence[str], where: str, known: Columns) -> Columns:
    """Return the columns of other data than training's, in the form of the training.

    Args:
        known: the columns of the training.

    Raises `UserError` where the data are of another form.
    """
    if form_of(known) == "documents":
        text, _ = text_inputs.text_columns(names, where, known, usual=COLUMNS)
        return {"text": text}
    needed = [name for key, name in known.items() if name and key != "context"]
    if all(name in names for name in needed):
        there = known.get("context")
        return {**known, "context": there if there in names else None} if there else known
    found = find(names, FormArgs(), where)
    if form_of(found) != form_of(known):
        raise UserError(
            f"{where} has no {' and '.join(map(repr, needed))}, which training read as "
            f"{form_of(known)}; its columns are {', '.join(names)}"
        )
    return found


def read(source: Source, columns: Columns, args: FormArgs) -> "datasets.DatasetDict":
    """Return the splits of data in the columns of the examples, and say on standard error what of
    prompts and chats is learned.

    Raises `UserError` for a column that holds something else.
    """
    form = form_of(columns)
    if form == "documents":
        assert columns["text"] is not None
        return canonical(source, columns["text"])
    what = "all of their tokens are" if args.train_on_prompt else None
    if form == "chats":
        if steps_of(args.clean):
            raise UserError(f"`clean` {args.clean} mends texts, and {source.name} has chats")
        assert columns["messages"] is not None
        splits = chats.canonical(source, columns["messages"])
        read_as = f"chats in {columns['messages']!r}"
        what = what or "what the assistant says is"
    else:
        prompt, completion, context = (columns[n] for n in ("prompt", "completion", "context"))
        assert prompt is not None and completion is not None
        flags = "prompt_column", "completion_column"
        splits = _with_context(canonical(source, prompt, completion, context, flags), context)
        more = f" (with {context!r} behind)" if context else ""
        read_as = f"prompts in {prompt!r}{more}, completions in {completion!r}"
        what = what or "the completions are"
    print_lines(f"{source.name}: {read_as}; {what} learned and measured", file=sys.stderr)
    return splits


def _with_context(splits: "datasets.DatasetDict", context: str | None) -> "datasets.DatasetDict":
    """Return prompts with what goes on with them, which the splits have as `label`."""
    import datasets
    import pyarrow as pa

    if context is None:
        return splits
    made = {}
    for name, split in splits.items():
        both = zip(split["text"], split["label"], strict=True)
        texts = [with_context(text, more) for text, more in both]
        columns = {"text": pa.array(texts, pa.large_string())}
        columns["text_pair"] = pa.array(split["text_pair"][:], pa.large_string())
        made[name] = datasets.Dataset(pa.table(columns))
    return datasets.DatasetDict(made)


def with_context(text: str, context: object) -> str:
    """Return a prompt with what goes on with it, if anything does."""
    return f"{text}{BLANK_LINE}{context}" if context not in (None, "") else text


def separator_of(args: FormArgs, train: "datasets.Dataset") -> str:
    """Return what stands between prompts and completions: what is asked for, else nothing where
    most of them have a blank there, else a line break."""
    if args.separator is not None:
        return args.separator.replace("\\n", "\n")
    both = zip(train["text"], train["text_pair"], strict=True)
    blanks = sum(prompt[-1:].isspace() or answer[:1].isspace() for prompt, answer in both)
    return "" if 2 * blanks > len(train) else "\n"


def shown(form: Form, example: Mapping[str, str]) -> str:
    """Return an example in one line of a table."""
    if form == "chats":
        said = chats.of_text(example["chat"])
        return " ".join(f"{one['role']}: {one['content']}" for one in said)
    return " ".join(example[name] for name in ("text", "text_pair") if name in example)


def load(
    args: FormArgs, data: DataArgs, known: Columns | None = None
) -> "tuple[Source, datasets.DatasetDict, Columns]":
    """Return the data in the columns of the examples, and what these are called in the data.

    Args:
        known: the columns of the training, where the data may be other than that.

    Raises `UserError` where there is nothing to learn from.
    """
    from tasks.nlp import documents
    from tasks.nlp.embedded import docstrings

    source = load_source(data, docstrings.load, documents.load)
    names = names_of(source.splits)
    columns = find_again(names, source.name, known) if known else find(names, args, source.name)
    splits, counts = cleaned_splits(read(source, columns, args), args.clean, source.name)
    if form_of(columns) == "documents":
        columns = {**columns, "text_pair": None}
    return replace(source, cleaned=counts), splits, columns
