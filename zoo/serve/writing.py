"""A model in a worker that writes: the texts of many requests beside each other, token by token.

The worker is told of a request ("write") or of a client that has gone ("drop") at any time, between
two steps of the model; after each step it says what was written of every text, and how full it is.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import UserError
from tasks.writes import Draft, Writes
from zoo.generation.continuous import Request, Written
from zoo.generation.decoding import Decoding
from zoo.generation.writer import TokenWriter
from zoo.predict.pipeline import Predictor
from zoo.serve.frames import Message
from zoo.serve.items import Item, from_wire
from zoo.serve.model import fault_of

LOG = logging.getLogger(__name__)
WARM_TEXTS, WARM_TOKENS = 4, 4
"""By which a model warms up."""
OTHERS = CHOICE, USAGE, TOKENS, RAW = "choice", "usage", "tokens", "raw"
"""Parameters that are no settings of a text: the number of one of several texts behind the same
prompt, whether the answer counts tokens, whether it has each of them, and whether the prompt is
taken as it stands by a model of chats, too."""


@dataclass(eq=False)
class Text:
    """A text that is being written for a request of the front."""

    number: int
    """by which the front knows it"""
    request: Request
    draft: Draft
    parameters: Mapping[str, Any]
    tokens: int = 0
    """that the model has given, the one that ends a text included"""
    shown: int = 0
    """characters that the front has"""
    pieces: list[dict[str, Any]] = field(default_factory=list)
    """what each token has brought, where the answer has that"""


class WritingModel:
    """Writes texts of many requests at once; see the module."""

    def __init__(self, predictor: Predictor, cache_tokens: int | None) -> None:
        """
        Args:
            cache_tokens: see `ContinuousBatch`; by default what the memory has room for.

        Raises `UserError` for a model that can't write beside others, under its deployment.
        """
        assert isinstance(predictor.task, Writes)
        self.predictor, self.task = predictor, predictor.task
        write = getattr(predictor.model, "write", None)
        if not isinstance(write, TokenWriter):
            raise UserError(
                f"{predictor.source} can't write several texts at once", hint="serve it eager"
            )
        self.write = write
        task = self.task
        self.batch = write.continuous(task.special_tokens(), cache_tokens, task.longest())
        self._most_characters = task.most_characters()
        self._texts: dict[int, Text] = {}
        self._of_request: dict[Request, Text] = {}

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is to be written."""
        return not self._texts

    def state(self) -> dict[str, int]:
        """Return how full the model is."""
        batch = self.batch
        return {
            "running": batch.running,
            "waiting": batch.waiting,
            "cached_tokens": batch.cached_tokens,
            "cache_tokens": batch.cache_tokens,
        }

    def warm_up(self, most: int = 2) -> None:
        """Write short texts that join each other, so many. Raises what the model raises."""
        _, pad = self.task.special_tokens()
        for length in range(1, min(most, WARM_TEXTS) + 1):
            self.batch.add(Request([pad] * length, Decoding(max_new_tokens=WARM_TOKENS)))
            self.batch.step()
        while self.batch.running or self.batch.waiting:
            self.batch.step()

    def begin(self, number: int, item: Item, parameters: Mapping[str, Any]) -> None:
        """Begin a text. Raises `UserError` for a prompt or parameters that can't be."""
        self._check_length(item)
        settings = {k: v for k, v in parameters.items() if k not in OTHERS}
        task: Any = self.task.writing_as(**settings)
        if parameters.get(RAW):
            task = task.as_it_stands()
        [row] = task.inputs([item])
        draft: Draft = task.draft(row["input_ids"][0])
        # one text is kept of each request, whatever the model's own config says
        decoding = self.write.decoding({"num_beams": 1, **task.settings()}, draft.limit)
        request = Request(draft.prompt, decoding, draft.number + parameters.get(CHOICE, 0))
        self.batch.add(request)
        text = Text(number, request, draft, parameters)
        self._texts[number] = self._of_request[request] = text

    def _check_length(self, item: Item) -> None:
        """Raise `UserError` for a prompt or chat that is too long by its characters: its tokens
        take seconds to find, in which nothing is written of other texts."""
        given: Any = item  # of what else there is, the task says that it is no prompt
        characters = len(given) if isinstance(given, str) else 0
        if isinstance(given, dict):  # each message has a token at least
            characters = sum(1 + len(one["content"]) for one in given.get("messages", ()))
        if characters > self._most_characters:
            raise UserError(
                f"the prompt has {characters:,} characters, and what this model sees at once, the "
                f"text that it writes included, are {self.task.longest():,} tokens, which have "
                f"{self._most_characters:,} at most: shorten the prompt"
            )

    def drop(self, number: int) -> None:
        """Write no more of a text; one that has ended is none any more."""
        if (text := self._texts.pop(number, None)) is not None:
            self.batch.drop(text.request)
            del self._of_request[text.request]

    def step(self) -> list[dict[str, Any]]:
        """Write one token of each text; return what the front is told of each.

        Where the model fails, all that it was writing fails. Raises what the model raises where it
        then fails at a text of its own: the process is to end, and another one answers.
        """
        try:
            written = self.batch.step()
        except Exception as error:  # whatever a model raises: the worker goes on
            LOG.exception("a step failed that wrote %d texts", len(self._texts))
            failed = [{"number": one, "failure": type(error).__name__} for one in self._texts]
            self._texts.clear()
            self._of_request.clear()
            self.batch.clear()
            self.warm_up()
            return failed
        told = [self._told(self._of_request[one.request], one) for one in written]
        if self.is_idle:  # rows of texts that `stop` has ended
            self.batch.clear()
        return told

    def _told(self, text: Text, written: Written) -> dict[str, Any]:
        """Return what a token has added to a text: `piece`, characters that are sure by now, and
        `token`; and where it has ended its `prediction`, and the tokens that it took, or its
        `fault`."""
        if written.fault is not None:
            self.drop(text.number)
            return {"number": text.number, "fault": fault_of(written.fault)}
        growing = text.draft.text
        growing.add(None if written.is_end else written.token)
        text.tokens += 1
        piece = growing.text[text.shown :]
        text.shown += len(piece)
        if text.parameters.get(TOKENS):
            text.pieces.append({"id": written.token, "text": piece})
        told = {"number": text.number, "piece": piece, "token": written.token}
        if growing.finish_reason is None:
            return told
        self.drop(text.number)
        prediction: dict[str, Any] = {"text": growing.text, "finish_reason": growing.finish_reason}
        counts = {"prompt_tokens": len(text.draft.prompt), "completion_tokens": text.tokens}
        if text.parameters.get(TOKENS):
            prediction["tokens"] = text.pieces
        if text.parameters.get(USAGE):
            prediction |= {**counts, "has_end": written.is_end}
        return {**told, **counts, "prediction": prediction}


def answer(model: WritingModel, told: Iterable[Message], say: Callable[[Any], None]) -> None:
    """Write what messages ask for until they end.

    Args:
        told: the messages of the front; waits for the next one.
        say: sends the front a message.
    """
    inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def listen() -> None:
        for message in told:
            inbox.put(message)
        inbox.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        events: list[dict[str, Any]] = []
        while model.is_idle or not inbox.empty():
            message = inbox.get()
            if message is None:
                return
            events += _obeyed(model, message)
            if model.is_idle:  # nothing will be written that could be told with it
                break
        events += model.step()
        say({"type": "written", "events": events, **model.state()})


def _obeyed(model: WritingModel, message: Message) -> list[dict[str, Any]]:
    """Begin or drop a text as a message asks; return what is wrong with it, if anything."""
    number = message.content["number"]
    if message.type == "drop":
        model.drop(number)
        return []
    try:
        item = from_wire(message.content["item"], message.blobs)
        model.begin(number, item, message.content["parameters"])
    except UserError as error:
        return [{"number": number, "fault": fault_of(error)}]
    except Exception as error:  # whatever a tokenizer raises: the worker goes on
        LOG.exception("a prompt failed")
        return [{"number": number, "failure": type(error).__name__}]
    return []
