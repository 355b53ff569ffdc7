"""OpenAI's API, as the package `openai` speaks it with `base_url=URL/v1`.

    GET  /v1/models, /v1/models/NAME
    POST /v1/audio/transcriptions      a form of `file`, `model`, `response_format`, ...
    POST /v1/embeddings                JSON of `input`, `model`, `encoding_format`
    POST /v1/completions, /v1/chat/completions    see `zoo.serve.protocols.completions`

Whatever else is asked for under /v1 is answered by a 404 that says so.
Errors have OpenAI's form (`refused`), on every path under /v1. Settings that would change the
answer and can't be kept are refused. https://platform.openai.com/docs/api-reference
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response

from tasks.errors import UserError
from zoo.serve.answers import answer, tell
from zoo.serve.description import LANGUAGE, Description
from zoo.serve.errors import NotFound
from zoo.serve.items import Item
from zoo.serve.protocols import asking, bodies, completions, examples, subtitles
from zoo.serve.protocols.bodies import Body, check_names, text_of
from zoo.serve.protocols.inputs import file_of

if TYPE_CHECKING:
    from zoo.serve.service import Service

PREFIX = "/v1"
OWNER = "zoo"
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
OF_TRANSCRIPTION = (
    *("model", "language", "prompt", "response_format", "stream", "temperature"),
    "timestamp_granularities[]",
)
OF_EMBEDDING = ("model", "input", "encoding_format", "dimensions", "user")
GRANULARITIES = ("word", "segment")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
"""Of which each is answered in OpenAI's form."""
WRITTEN = ("/completions", "/chat/completions", "/responses")
"""What a model that writes text would answer."""
CODES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
"""Type and code of an error, by its status, where they are not the usual ones."""


@dataclass(frozen=True)
class TranscriptionRequest:
    """A request for what is said in a sound."""

    model: Description
    sound: Item
    form: str = "json"
    """one of `FORMATS`"""
    language: str = ""
    """as the client has named it, else the one that the model is for; empty where nobody says"""
    granularities: tuple[str, ...] = ("segment",)

    @property
    def parameters(self) -> dict[str, bool]:
        """What the answer has beside the text, as parameters of `Service.predict`."""
        if self.form in subtitles.WRITERS or "word" in self.granularities:
            return {"words": True, "seconds": True}
        return {"seconds": True} if self.form == "verbose_json" else {}


def refused(status: int, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error in OpenAI's form.

    Args:
        said: `error`, and perhaps `field`, as other routes say it.
    """
    usual = ("server_error" if status >= 500 else "invalid_request_error", None)
    kind, code = CODES.get(status, usual)
    told = {"message": said["error"], "type": kind, "param": said.get("field"), "code": code}
    return {"error": told}


def listed(model: Description) -> dict[str, Any]:
    """Return a model as OpenAI lists it."""
    try:
        created = int(model.folder.stat().st_mtime)
    except OSError:  # it was loaded, and its folder is gone
        created = 0
    return {"id": model.name, "object": "model", "created": created, "owned_by": OWNER}


def parse_transcription(body: Body, service: "Service") -> TranscriptionRequest:
    """Return what a form asks for.

    Raises:
        BadRequest: it is no form, or cut short.
        NotFound: there is no such model.
        UserError: it has no sound, or asks for what can't be had.
    """
    if not body.is_form:
        raise UserError("the body is no form", "file", "send multipart/form-data with a file")
    form = bodies.parse_form(body)
    check_names(form.fields, (*OF_TRANSCRIPTION, "timestamp_granularities"), "the form")
    check_names(form.files, ("file",), "the form")
    given = {name: values[0] for name, values in form.fields.items() if values[0]}
    many = [value for name in form.fields if name.startswith("timestamp") for value in
            form.fields[name]]  # fmt: skip
    model = asking.choose(service, given.get("model"), asking.TRANSCRIBES)
    sounds = form.files.get("file", [])
    if len(sounds) != 1:
        raise UserError(f"`file` is there {len(sounds)} times, and not once", "file")
    chosen = given.get("response_format", "json")
    if chosen not in FORMATS:
        hint = f"there is {', '.join(FORMATS)}"
        raise UserError(f"`response_format` {chosen[:40]!r}", "response_format", hint)
    for one in many:
        if one not in GRANULARITIES:
            raise UserError(f"`timestamp_granularities` {one[:40]!r}", "timestamp_granularities")
    if many and chosen != "verbose_json":
        raise UserError("`timestamp_granularities` go with `response_format` verbose_json")
    if bodies.flag_of(given.get("stream", False), "stream"):
        raise UserError("`stream`: the text is written at once", "stream", "leave it out")
    if given.get("temperature", "0").rstrip("0") not in ("", "0.", "."):
        raise UserError("`temperature` can't be had here", "temperature", "0, or leave it out")
    language = given.get("language", "")
    if model.language and LANGUAGE.fullmatch(language) and language != model.language:
        raise UserError(
            f"`language` {language!r}: {model.name} takes all speech for {model.language!r}",
            "language",
            "leave it out",
        )
    if "prompt" in given:
        raise UserError("`prompt` can't be had here", "prompt", "leave it out")
    sound = file_of(sounds[0], model, "file")
    granularities = tuple(many) or ("segment",)
    language = language or model.language or ""
    return TranscriptionRequest(model, sound, chosen, language, granularities)


def transcribed(request: TranscriptionRequest, prediction: Mapping[str, Any]) -> Response:
    """Return the answer in the form that was asked for.

    Raises `UserError` where it needs times of words, and the model has none.
    """
    text = prediction["text"]
    if request.parameters.get("words"):
        asking.must_have_words(prediction, request.model, "response_format")
    if request.form == "json":
        return answer({"text": text})
    if request.form == "text":
        return Response(f"{text}\n", media_type="text/plain; charset=utf-8")
    words = prediction.get("words", [])
    if request.form in subtitles.WRITERS:
        written = subtitles.WRITERS[request.form](words)
        return Response(written, media_type=subtitles.MEDIA_TYPES[request.form])
    found: dict[str, Any] = {
        "task": "transcribe",
        "language": request.language,
        "duration": prediction["seconds"],
        "text": text,
    }
    if "word" in request.granularities:
        found["words"] = list(words)
    if "segment" in request.granularities:
        whole = subtitles.Cue(0.0, prediction["seconds"], text)
        found["segments"] = [
            {"id": i, "start": one.start, "end": one.end, "text": one.text}
            for i, one in enumerate(subtitles.cues(words) or [whole])
        ]
    return answer(found)


def parse_embedding(body: Body, service: "Service") -> tuple[Description, list[Item], bool]:
    """Return the model, the texts, and whether numbers are wanted as base64 of float32.

    Raises:
        BadRequest: the body is no JSON.
        NotFound: there is no such model.
        UserError: it asks for what can't be had.
    """
    content = bodies.parse_object(body.content)
    check_names(content, OF_EMBEDDING, "the request")
    name = content.get("model")
    name = None if name is None else text_of(name, "model")
    model = asking.choose(service, name, asking.EMBEDS)
    if content.get("dimensions") is not None:
        raise UserError("`dimensions` can't be had here", "dimensions", "leave it out")
    coding = content.get("encoding_format", "float")
    if coding not in ("float", "base64"):
        raise UserError("`encoding_format` is float or base64", "encoding_format")
    given = content.get("input")
    texts = given if isinstance(given, list) else [given]
    if not texts or any(not isinstance(one, str) or not one for one in texts):
        hint = "send texts: tokens can't be read here"
        raise UserError("`input` is neither a text nor a list of texts", "input", hint)
    return model, list(texts), coding == "base64"


def embedded(
    predictions: Sequence[Mapping[str, Any]], model: Description, in_base64: bool
) -> dict[str, Any]:
    """Return embeddings as OpenAI lists them; a vector in base64 is float32, little endian."""

    def written(vector: Sequence[float]) -> Any:
        return (
            base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode() if in_base64 else vector
        )

    data = [
        {"object": "embedding", "index": i, "embedding": written(one["embedding"])}
        for i, one in enumerate(predictions)
    ]
    tokens = sum(one["tokens"] for one in predictions)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model.name, "usage": usage}


def router(service: "Service") -> APIRouter:
    """Return the routes of OpenAI's API."""
    made = APIRouter(prefix=PREFIX, tags=["OpenAI"])
    models = list(service.models.values())

    @made.get("/models", summary="The models")
    async def every() -> Response:
        return answer({"object": "list", "data": [listed(one) for one in service.models.values()]})

    @made.get("/models/{name}", summary="A model")
    async def one(name: str) -> Response:
        return answer(listed(service.model(name)))

    if any(asking.suited(model, asking.TRANSCRIBES) for model in models):
        body = examples.documented({}, (), _FORM)

        @made.post("/audio/transcriptions", openapi_extra=body, summary="What is said in a sound")
        async def transcribe(request: Request) -> Response:
            asked = parse_transcription(await bodies.read(request), service)
            tell(request, asked.model)
            [found] = await service.predict(asked.model.name, [asked.sound], asked.parameters)
            return transcribed(asked, found)

    embeds = [model for model in models if asking.suited(model, asking.EMBEDS)]
    if embeds:
        shown = {one.name: {"model": one.name, "input": examples.TEXT} for one in embeds}

        @made.post("/embeddings", openapi_extra=examples.documented(shown, ()), summary="Vectors")
        async def embed(request: Request) -> Response:
            model, texts, in_base64 = parse_embedding(await bodies.read(request), service)
            tell(request, model)
            found = await service.predict(model.name, texts, {"embed": True})
            return answer(embedded(found, model, in_base64))

    writes = any(asking.suited(model, asking.WRITES) for model in models)
    if writes:
        completions.add_routes(made, service, refused)

    @made.api_route("/{path:path}", methods=METHODS, include_in_schema=False)
    async def other(path: str) -> Response:
        is_text = f"/{path}" in WRITTEN and not writes
        what = "writes text" if is_text else f"answers {PREFIX}/{path[:60]}"
        does = "; ".join(f"{m.name} does {', '.join(m.pipelines)}" for m in models)
        raise NotFound(f"no model here {what}: {does}")

    return made


_FORM = {
    "file": {"type": "string", "format": "binary"},
    "model": {"type": "string"},
    "response_format": {"type": "string", "enum": list(FORMATS)},
    "language": {"type": "string"},
}
