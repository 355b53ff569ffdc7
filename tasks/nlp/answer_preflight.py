"""Checks of prompts with completions, and of chats, before training."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.data.label_checks import error, warning
from tasks.data.label_checks import rows as counted
from tasks.errors import shortened
from tasks.nlp import chats, text_preflight
from tasks.nlp.text_forms import Form
from tasks.preflight import Finding

if TYPE_CHECKING:
    import datasets

SAME = 0.5
"""Share of rows that may have one and the same answer unremarked."""


def check(
    splits: "Mapping[str, datasets.Dataset]", form: Form, control: Collection[str] = ()
) -> list[Finding]:
    """Return what is wrong or suspicious in what is answered, errors first.

    Args:
        control: the texts of special tokens, which are read as such wherever a chat has them.
    """
    findings: list[Finding] = []
    for name, split in splits.items():
        if form == "chats":
            read = [chats.of_text(text) for text in split["chat"]]
            answers = [[m["content"] for m in chat if m["role"] == "assistant"] for chat in read]
            findings += [*_roles(name, read), *_empty(name, answers)]
            findings += _control(name, read, control)
        else:
            answers = [[text] for text in split["text_pair"]]
        findings += _same(name, answers)
    columns = ["chat"] if form == "chats" else ["text", "text_pair"]
    findings += text_preflight.check(splits, columns, None, {}, 0, None)
    return sorted(findings, key=lambda finding: finding.level != "error")


def _roles(name: str, read: Sequence[Sequence[chats.Message]]) -> Iterator[Finding]:
    alone, order = [], []
    for place, chat in enumerate(read, start=1):
        roles = [message["role"] for message in chat]
        if "user" not in roles:
            alone.append(place)
            continue
        turns = roles[1:] if roles[0] == "system" else roles
        if any(role != ("user", "assistant")[i % 2] for i, role in enumerate(turns)):
            order.append(place)
    if alone:
        yield warning(f"{name}: {counted(len(alone))} without a user, the first is {alone[0]}")
    if order:
        yield warning(
            f"{name}: {counted(len(order))} with roles out of order (perhaps a system, then user "
            f"and assistant in turn), the first is {order[0]}"
        )


def _control(
    name: str, read: Sequence[Sequence[chats.Message]], control: Collection[str]
) -> Iterator[Finding]:
    found = [
        (place, token)
        for place, chat in enumerate(read, start=1)
        for token in control
        if any(token in message["content"] for message in chat)
    ]
    if found:
        place, token = found[0]
        count = len({place for place, _ in found})
        yield warning(
            f"{name}: {counted(count)} with the text of a special token, which is read as that "
            f"token; the first is {place}, with {token}"
        )


def _empty(name: str, answers: Sequence[Sequence[str]]) -> Iterator[Finding]:
    empty = [place for place, given in enumerate(answers, start=1) if "" in map(str.strip, given)]
    if empty and name == "train" and len(empty) == len(answers):
        yield error(f"train: all {counted(len(answers))} have an empty answer")
    elif empty:
        said = f"{counted(len(empty))} with an empty answer, the first is {empty[0]}"
        yield warning(f"{name}: {said}")


def _same(name: str, answers: Sequence[Sequence[str]]) -> Iterator[Finding]:
    same = Counter(text.strip() for given in answers for text in given)
    [(text, times)] = same.most_common(1) or [("", 0)]
    if len(answers) > 2 and text and times > SAME * same.total():
        shown = shortened(text, 40)
        yield warning(f"{name}: {times:,} of {same.total():,} answers are {shown!r}")
