"""How much faster a model writes several texts at once than one after the other, through its
service: `python -m bench streams CHECKPOINT|URL`.

Each text is a stream of `/v1/completions`, greedy, so that a text that is another one beside others
than it is alone shows. In a round the texts are asked for one after the other, and at once, in an
order that changes from round to round; tokens a second are those of all texts over the time from
the first request to the end of the last text.
"""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.load import payloads
from bench.load.args import StreamsArgs
from bench.load.arms import OURS, URL, LoadArm, check_options, key_in, worker_threads
from bench.load.service import ServiceFailed
from tasks.errors import UserError
from tasks.printing import print_lines

PATH = "/v1/completions"
TIMEOUT_S = 600.0
BEGINNINGS = (
    "This package provides",
    "The library",
    "A small program that",
    "This is a dummy package, which is there for",
)
THINGS = ("a set of tools for", "the documentation of", "support for", "an interface to")
"""Beginnings of texts, of several lengths."""
DATA = b"data: "
DONE = b"[DONE]"


@dataclass(frozen=True)
class Text:
    """A text as a stream has brought it."""

    text: str
    tokens: int
    first_s: float
    """from the request to the first piece"""


@dataclass(frozen=True)
class Client:
    """Asks a service for texts."""

    netloc: str
    new_tokens: int
    """of a text, at most"""
    key: str | None
    """sent as a bearer token"""

    def asked(self, prompt: str) -> Text:
        """Return the likeliest text behind a prompt, read while it is written.

        Raises `UserError` where the service refuses it, or nobody answers.
        """
        body: dict[str, Any] = {"prompt": prompt, "max_tokens": self.new_tokens, "temperature": 0}
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {"content-type": "application/json"}
        headers |= {} if self.key is None else {"authorization": f"Bearer {self.key}"}
        where = f"{self.netloc}{PATH}"
        connection = http.client.HTTPConnection(self.netloc, timeout=TIMEOUT_S)
        began, first, text, tokens = time.perf_counter(), 0.0, "", 0
        try:
            connection.request("POST", PATH, json.dumps(body), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                said = answer.read(300).decode("utf-8", "replace")
                raise UserError(f"{where} answers {answer.status}: {said}")
            for line in answer:
                if not line.startswith(DATA) or line[len(DATA) :].strip() == DONE:
                    continue
                event = json.loads(line[len(DATA) :])
                if "error" in event:
                    raise UserError(f"{where}: {event['error'].get('message')}")
                first = first or time.perf_counter() - began
                text += "".join(choice["text"] for choice in event["choices"])
                tokens = event["usage"]["completion_tokens"] if event.get("usage") else tokens
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"{where} does not answer: {error}") from None
        finally:
            connection.close()
        return Text(text, tokens, first)


@dataclass(frozen=True)
class Pass:
    """All texts of a round, asked for in one way."""

    texts: Sequence[Text]
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Return the tokens of all texts over the time of all."""
        return sum(one.tokens for one in self.texts) / self.seconds


def run(args: StreamsArgs, options: Sequence[str] = ()) -> list[tuple[Pass, Pass]]:
    """Measure, and print what was found; return the passes of each round, one after the other and
    at once.

    Args:
        options: flags for `zoo serve`.

    Raises `UserError` for a service that can't be started or asked, and options that a URL or the
    measuring itself has no room for.
    """
    is_url = args.service.startswith(("http://", "https://"))
    if not is_url and not Path(args.service).is_dir():
        raise UserError(f"`service` {args.service}: there is no such folder, and it is no URL")
    check_options(options, is_url)
    kind, model = (URL, args.service) if is_url else (OURS, str(Path(args.service).absolute()))
    threads = worker_threads(args.threads, options)
    arm = LoadArm(kind, model, args.deployment, threads, tuple(options))
    key = key_in(args.key_file) or arm.key()
    try:
        with arm.running(payloads.of_text("a"), key) as service:
            return _measured(args, Client(urlsplit(service.url).netloc, args.new_tokens, key))
    except ServiceFailed as error:
        raise UserError(f"`service` {args.service}: {error}") from None


def _measured(args: StreamsArgs, client: Client) -> list[tuple[Pass, Pass]]:
    prompts = [
        f"{BEGINNINGS[i % len(BEGINNINGS)]} {THINGS[i // len(BEGINNINGS) % len(THINGS)]}"
        for i in range(args.streams)
    ]
    for together in (False, True):  # warm
        _pass(client, prompts, together)
    rounds = []
    for i in range(args.rounds):
        order = (False, True) if i % 2 == 0 else (True, False)
        found = {one: _pass(client, prompts, one) for one in order}
        rounds.append((found[False], found[True]))
        _tell_round(i, *rounds[-1])
    _tell(rounds)
    return rounds


def _pass(client: Client, prompts: Sequence[str], together: bool) -> Pass:
    """Ask for all texts, one after the other or at once."""
    found: list[Text | UserError] = [UserError("no answer")] * len(prompts)

    def ask(place: int) -> None:
        try:
            found[place] = client.asked(prompts[place])
        except UserError as error:
            found[place] = error

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(prompts))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
        if not together:
            thread.join()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    texts = []
    for one in found:
        if isinstance(one, UserError):
            raise one
        texts.append(one)
    return Pass(texts, seconds)


def _tell_round(number: int, alone: Pass, together: Pass) -> None:
    print_lines(
        f"round {number + 1}: one after the other {alone.tokens_per_s:,.0f} tokens/s, at once "
        f"{together.tokens_per_s:,.0f}"
    )


def _tell(rounds: Sequence[tuple[Pass, Pass]]) -> None:
    alone, together = ([one[i].tokens_per_s for one in rounds] for i in (0, 1))
    ratios = [b / a for a, b in zip(alone, together, strict=True)]
    texts = [one.text for one in rounds[0][0].texts]
    passes = [one for pair in rounds for one in pair]
    same = [all(one.texts[i].text == texts[i] for one in passes) for i in range(len(texts))]
    first = [
        1000 * statistics.median(text.first_s for one in rounds for text in one[i].texts)
        for i in (0, 1)
    ]
    count = sum(one.tokens for one in rounds[0][0].texts)
    print_lines(
        f"{len(texts)} texts, {count:,} tokens, {len(rounds)} rounds",
        f"one after the other  {statistics.median(alone):,.0f} tokens/s, first token after "
        f"{first[0]:.1f} ms (median)",
        f"at once              {statistics.median(together):,.0f} tokens/s, first token after "
        f"{first[1]:.1f} ms (median)",
        f"speedup              {statistics.median(ratios):.2f}x (median; {min(ratios):.2f} to "
        f"{max(ratios):.2f})",
        f"the same text always {sum(same)} of {len(same)}",
    )
