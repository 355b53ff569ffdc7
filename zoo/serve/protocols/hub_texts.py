"""Texts by the inference API of the Hugging Face Hub, as `InferenceClient(URL).text_generation`
asks for them: `{"inputs": PROMPT, "parameters": {...}, "stream": false}`.

Parameters are those of text-generation-inference, and mean what they do there: the likeliest token
comes next unless `do_sample`, `temperature`, `top_k` or `top_p` is given, a text has 100 tokens,
the prompt goes through no chat template, and is no part of the text. `details` has no
probabilities. What would change the text and can't be kept is refused.
"""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import Response

from tasks.errors import UserError
from zoo.serve.answers import answer
from zoo.serve.description import Description
from zoo.serve.items import Item
from zoo.serve.protocols import asking, events
from zoo.serve.protocols.bodies import check_names, count_of, flag_of, list_of, text_of

if TYPE_CHECKING:
    from zoo.serve.service import Service

OF_DRAWS = ("temperature", "top_k", "top_p")
NEUTRAL: Mapping[str, Any] = {
    "frequency_penalty": 0,
    "best_of": 1,
    "typical_p": 1,
    "watermark": False,
    "decoder_input_details": False,
    "top_n_tokens": 0,
    "truncate": None,
    "grammar": None,
    "adapter_id": None,
}
"""What is known there and can't be had here, and the value of it that asks for nothing."""
KNOWN = (
    *("max_new_tokens", "do_sample", *OF_DRAWS, "seed", "stop", "repetition_penalty"),
    *("return_full_text", "details", *NEUTRAL),
)
USUAL_TOKENS = 100


@dataclass(frozen=True)
class HubTexts:
    """A request for texts."""

    inputs: Sequence[Item]
    parameters: Mapping[str, Any]
    """of `Service.predict`"""
    is_batch: bool = False
    is_stream: bool = False
    has_prompt: bool = False
    """whether a text begins with its prompt"""
    has_details: bool = False


def parse(
    inputs: Sequence[Item],
    is_batch: bool,
    given: Mapping[str, Any],
    stream: Any,
    model: Description,
) -> HubTexts:
    """Return what is asked for.

    Args:
        given: the parameters, none of them null.
        stream: of the request.

    Raises `UserError` for a parameter that can't be kept.
    """
    check_names(given, KNOWN, "parameters")
    for name, neutral in NEUTRAL.items():
        if name in given and given[name] != neutral:
            shown = repr(given[name])[:40]
            raise UserError(f"`{name}` {shown} can't be had here", name, "leave it out")
    is_stream = flag_of(stream, "stream")
    if is_stream and is_batch:
        raise UserError("`stream` goes with one input", "stream", "send one, or leave it out")
    flags = ("do_sample", "return_full_text", "details")
    draws, has_prompt, has_details = (flag_of(given.get(name, False), name) for name in flags)
    settings: dict[str, Any] = {name: given.get(name) for name in (*OF_DRAWS, "seed")}
    if draws and all(settings[name] is None for name in OF_DRAWS):
        settings["temperature"] = 1.0
    if all(settings[name] is None for name in OF_DRAWS):
        # nothing is drawn, whatever the model's own config says
        settings |= {"seed": None, "temperature": 0}
    elif given.get("do_sample") is False:
        raise UserError("`do_sample` is false, and the others draw", "do_sample", "leave it out")
    stop = list_of(given.get("stop", []), "stop", text_of)
    most = count_of(given.get("max_new_tokens", USUAL_TOKENS), "max_new_tokens")
    settings["repetition_penalty"] = given.get("repetition_penalty")
    written = asking.to_write(model, {"max_new_tokens": most, "stop": stop, **settings})
    more = {"usage": True, "tokens": True} if has_details else {}
    return HubTexts(
        inputs, {**written, **more, "raw": True}, is_batch, is_stream, has_prompt, has_details
    )


async def answered(service: "Service", model: Description, asked: HubTexts) -> Response:
    """Return the answer to a request: the texts, or events while one is written."""
    if asked.is_stream:
        parameters = {**asked.parameters, "usage": True}
        texts = service.write(model.name, [(asked.inputs[0], parameters)])
        return await events.stream(_events(asked, texts), lambda _, said: said)
    found = await service.predict(model.name, asked.inputs, asked.parameters)
    pairs = zip(asked.inputs, found, strict=True)
    return answer([_whole(asked, item, one) for item, one in pairs])


def _whole(asked: HubTexts, item: Item, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a text with its prompt or details, as they were asked for."""
    prompt = item if asked.has_prompt and isinstance(item, str) else ""
    said: dict[str, Any] = {"generated_text": prompt + one["text"]}
    if asked.has_details:
        tokens = [{**token, "logprob": None, "special": False} for token in one["tokens"]]
        if one["has_end"]:
            tokens[-1]["special"] = True
        said["details"] = {**_details(asked, one), "prefill": [], "tokens": tokens}
    return said


def _details(asked: HubTexts, one: Mapping[str, Any]) -> dict[str, Any]:
    reason = {"length": "length", "stop": "stop_sequence"}[one["finish_reason"]]
    return {
        "finish_reason": "eos_token" if one["has_end"] else reason,
        "generated_tokens": one["completion_tokens"],
        "seed": asked.parameters.get("seed"),
    }


async def _events(
    asked: HubTexts, texts: AsyncGenerator[tuple[int, Mapping[str, Any]]]
) -> AsyncGenerator[Any]:
    """Yield the content of an event for each token; the last one has the text."""
    index = 0
    async with contextlib.aclosing(texts):
        async for _, one in texts:
            if "piece" not in one:
                return  # it stood with the last piece
            index += 1
            ended = one.get("prediction")
            said: dict[str, Any] = {"generated_text": None, "details": None}
            if ended is not None:
                said = _whole(replace(asked, has_details=False), asked.inputs[0], ended)
                said["details"] = _details(asked, ended) if asked.has_details else None
            is_end = ended is not None and ended["has_end"]
            token = {"id": one["token"], "text": one["piece"], "logprob": None, "special": is_end}
            yield {"index": index, "token": token, **said}
