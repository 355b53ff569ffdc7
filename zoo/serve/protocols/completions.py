"""Texts by OpenAI's API, as the package `openai` asks for them, whole or while they are written.

    POST /v1/completions         JSON of `prompt`, `model`, `max_tokens`, ...
    POST /v1/chat/completions    JSON of `messages`, `model`, `max_completion_tokens`, ...

As OpenAI has it, a text is drawn at `temperature` 1 unless another is given (0 takes the likeliest
token), a completion has 16 tokens, and an answer in a chat as many as the model's context has room
for. A text is JSON where `response_format` asks for it (`zoo.serve.protocols.response_format`). Of
vLLM's names there are `top_k`, `repetition_penalty` and `structured_outputs`. What would change the
text and can't be kept is refused, with 400. https://platform.openai.com/docs/api-reference/chat
"""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from tasks.errors import UserError
from zoo.serve.access import refusal
from zoo.serve.answers import answer, tell
from zoo.serve.description import Description
from zoo.serve.errors import TooManyInputs
from zoo.serve.items import Chat, Item
from zoo.serve.protocols import asking, bodies, events, response_format
from zoo.serve.protocols.bodies import check_names, count_of, flag_of, list_of, name_of, text_of

if TYPE_CHECKING:
    from zoo.serve.service import Service

SETTINGS = ("temperature", "top_p", "top_k", "stop", "seed", "repetition_penalty")
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "logprobs": (False,),
    "top_logprobs": (),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
}
"""What OpenAI knows and can't be had here, and the values of it that ask for nothing."""
IGNORED = ("user", "store", "metadata", "parallel_tool_calls", "service_tier", "safety_identifier")
"""What changes no text."""
COMMON = (
    *("model", "n", "stream", "stream_options", *response_format.FIELDS),
    *(*SETTINGS, *NEUTRAL, *IGNORED),
)
KNOWN = (
    ("prompt", "max_tokens", *COMMON),
    ("messages", "max_tokens", "max_completion_tokens", *COMMON),
)
"""Fields of a request for completions, and of one in a chat."""
USUAL_TOKENS = 16
"""Of a completion where nothing else is asked for."""
ENDLESS = 10**6
"""More tokens than any context has room for, which ends the text then."""
REFUSED = 400
"""OpenAI's status of a request that can't be answered as it is."""


@dataclass(frozen=True)
class TextRequest:
    """A request for texts."""

    model: Description
    inputs: Sequence[Item]
    parameters: Mapping[str, Any]
    """of `Service.predict`"""
    is_chat: bool
    choices: int = 1
    """texts behind each input"""
    is_stream: bool = False
    has_usage: bool = True
    """whether tokens are told; of a stream only where that is asked for"""

    def work(self) -> list[tuple[Item, Mapping[str, Any]]]:
        """Return the input and the parameters of each text, as they are numbered in the answer."""
        return [
            (item, {**self.parameters, "choice": choice})
            for item in self.inputs
            for choice in range(self.choices)
        ]


def parse(content: Mapping[str, Any], service: "Service", is_chat: bool) -> TextRequest:
    """Return what a body asks for.

    Raises:
        NotFound: there is no such model.
        TooManyInputs: it wants more texts than a request may have.
        UserError: it asks for what can't be had.
    """
    check_names(content, KNOWN[is_chat], "the request")
    given = {name: value for name, value in content.items() if value is not None}
    name = given.get("model")
    model = asking.choose(service, None if name is None else text_of(name, "model"), asking.WRITES)
    for field, neutral in NEUTRAL.items():
        if field in given and not _is_neutral(given[field], neutral):
            shown = repr(given[field])[:40]
            raise UserError(f"`{field}` {shown} can't be had here", field, "leave it out")
    inputs: list[Item] = [_chat(given)] if is_chat else _prompts(given)
    choices = count_of(given.get("n", 1), "n")
    if len(inputs) * choices > service.limits.max_queue:
        raise TooManyInputs(len(inputs) * choices, service.limits.max_queue)
    is_stream = flag_of(given.get("stream", False), "stream")
    has_usage = not is_stream
    if "stream_options" in given:
        has_usage = _wants_usage(given["stream_options"], is_stream)
    parameters = {**_settings(given, model, is_chat), "usage": True}
    parameters |= {} if is_chat else {"raw": True}
    return TextRequest(model, inputs, parameters, is_chat, choices, is_stream, has_usage)


def _is_neutral(value: Any, neutral: Sequence[Any]) -> bool:
    """Return whether a value is one of these; 0 is another one than false."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in neutral)


def _prompts(given: Mapping[str, Any]) -> list[Item]:
    if "prompt" not in given:
        raise UserError("`prompt` is missing", "prompt", "a text, or a list of them")
    found = given["prompt"] if isinstance(given["prompt"], list) else [given["prompt"]]
    if not found or any(not isinstance(one, str) for one in found):
        hint = "send texts: tokens can't be read here"
        raise UserError("`prompt` is neither a text nor a list of texts", "prompt", hint)
    return found


def _chat(given: Mapping[str, Any]) -> Chat:
    """Return the messages of a chat, each with its text as one."""
    messages = list_of(given.get("messages"), "messages", _message)
    if not messages:
        raise UserError("`messages` is empty", "messages", "send one at least")
    return Chat(messages=messages)


def _message(given: Any, field: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise UserError(f"`{field}` has {name_of(given)}, and not an object", field)
    check_names(given, ("role", "content", "name"), f"a message of `{field}`")
    content = given.get("content")
    if isinstance(content, list):  # parts, as newer clients send them
        content = "".join(list_of(content, field, _part))
    role = text_of(given.get("role"), "role")
    return {"role": role, "content": text_of(content, "content")}


def _part(given: Any, field: str) -> str:
    if not isinstance(given, Mapping) or given.get("type") != "text":
        raise UserError(f"`{field}` has a part that is no text", field, "send texts alone")
    return text_of(given.get("text"), "text")


def _wants_usage(given: Any, is_stream: bool) -> bool:
    if not isinstance(given, Mapping) or not is_stream:
        raise UserError("`stream_options` is an object that goes with `stream`", "stream_options")
    check_names(given, ("include_usage", "include_obfuscation"), "stream_options")
    return flag_of(given.get("include_usage") or False, "include_usage")


def _settings(given: Mapping[str, Any], model: Description, is_chat: bool) -> dict[str, Any]:
    """Return how the text is written, by our names."""
    limits = [name for name in ("max_tokens", "max_completion_tokens") if name in given]
    if len(limits) > 1:
        raise UserError("`max_tokens` and `max_completion_tokens` are one", limits[0], "give one")
    most = ENDLESS if is_chat else USUAL_TOKENS
    if limits:
        most = count_of(given[limits[0]], limits[0])
    settings = {name: given.get(name) for name in SETTINGS}
    if settings["temperature"] is None:
        settings["temperature"] = 1.0
    if settings["temperature"] == 0:  # the likeliest token, whatever else is said of a draw
        settings |= dict.fromkeys(("top_p", "top_k", "seed"))
    settings |= response_format.settings_of(given)
    names = {"max_new_tokens": limits[0]} if limits else {}
    return asking.to_write(model, {"max_new_tokens": most, **settings}, names)


class Written:
    """The answer to a request, or its events."""

    def __init__(self, request: TextRequest) -> None:
        self.request = request
        kind = "chat.completion" if request.is_chat else "text_completion"
        chunk = ".chunk" if request.is_stream and request.is_chat else ""
        self.head = {
            "id": f"{'chatcmpl' if request.is_chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": kind + chunk,
            "created": int(time.time()),
            "model": request.model.name,
            "system_fingerprint": request.model.version,
        }

    def whole(self, predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the answer that has the texts whole."""
        choices = [self._choice(i, one["text"], one) for i, one in enumerate(predictions)]
        return {**self.head, "choices": choices, "usage": self._usage(predictions)}

    async def events(
        self, texts: AsyncGenerator[tuple[int, Mapping[str, Any]]]
    ) -> AsyncGenerator[Any]:
        """Yield the content of events, the last one `DONE`.

        Args:
            texts: see `Service.write`.
        """
        ended: list[Mapping[str, Any]] = []
        begun: set[int] = set()
        usage = {"usage": None} if self.request.has_usage else {}
        async with contextlib.aclosing(texts):
            async for place, one in texts:
                if place not in begun and self.request.is_chat:
                    begun.add(place)
                    yield {**self.head, "choices": [self._choice(place, "", role=True)], **usage}
                if "piece" not in one:
                    ended.append(one)
                    yield {**self.head, "choices": [self._choice(place, "", one)], **usage}
                elif one["piece"]:
                    yield {**self.head, "choices": [self._choice(place, one["piece"])], **usage}
        if self.request.has_usage:
            yield {**self.head, "choices": [], "usage": self._usage(ended)}
        yield events.DONE

    def _choice(
        self,
        place: int,
        text: str,
        ended: Mapping[str, Any] | None = None,
        role: bool = False,
    ) -> dict[str, Any]:
        """Return a text, or a piece of it, as it stands among the choices.

        Args:
            ended: the prediction, where the text has ended.
            role: whether it says who speaks, as the first event of a chat does.
        """
        reason = None if ended is None else ended["finish_reason"]
        common = {"index": place, "logprobs": None, "finish_reason": reason}
        if not self.request.is_chat:
            return {**common, "text": text}
        speaks = {"role": "assistant"} if role or not self.request.is_stream else {}
        if not self.request.is_stream:
            return {**common, "message": {**speaks, "content": text, "refusal": None}}
        return {**common, "delta": {**speaks, **({"content": text} if text or role else {})}}

    def _usage(self, predictions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Return how many tokens were read and written; a prompt with several texts counts once."""
        prompts = sum(one["prompt_tokens"] for one in predictions) // self.request.choices
        texts = sum(one["completion_tokens"] for one in predictions)
        return {
            "prompt_tokens": prompts,
            "completion_tokens": texts,
            "total_tokens": prompts + texts,
        }


def add_routes(made: APIRouter, service: "Service", refused: Any) -> None:
    """Add the routes.

    Args:
        refused: an error in OpenAI's form, given its status and `refusal`.
    """

    async def write(request: Request, is_chat: bool) -> Response:
        try:
            asked = parse(
                bodies.parse_object((await bodies.read(request)).content), service, is_chat
            )
            tell(request, asked.model)
            written = Written(asked)
            if asked.is_stream:
                texts = service.write(asked.model.name, asked.work())
                return await events.stream(written.events(texts), refused)
            return answer(written.whole(await service.predict_each(asked.model.name, asked.work())))
        except UserError as error:
            return answer(refused(REFUSED, refusal(error)), REFUSED)

    able = [one for one in service.models.values() if asking.suited(one, asking.WRITES)]
    for path, is_chat in (("/completions", False), ("/chat/completions", True)):
        _add(made, path, is_chat, able, write)


def _add(
    made: APIRouter, path: str, is_chat: bool, able: Sequence[Description], write: Any
) -> None:
    from zoo.serve.protocols import examples

    given: Any = "prompt", examples.TEXT
    if is_chat:
        given = "messages", [{"role": "user", "content": examples.TEXT}]
    shown = {one.name: {"model": one.name, given[0]: given[1]} for one in able}
    body = examples.documented(shown, ())
    summary = "The answer in a chat" if is_chat else "What goes on behind a text"

    @made.post(path, openapi_extra=body, summary=summary)
    async def asked(request: Request) -> Response:
        response: Response = await write(request, is_chat)
        return response
