"""Routes that people write by hand: `POST /predict` and its other names, JSON or a file in, JSON
out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from tasks import json_files
from tasks.errors import UserError, did_you_mean
from zoo.serve import inputs
from zoo.serve.access import STATE
from zoo.serve.description import Description
from zoo.serve.errors import BadRequest
from zoo.serve.items import Item
from zoo.serve.service import Service

PATHS = ("/predict", "/prediction", "/classify", "/recognize", "/transcribe")
ONE = ("input", "text", "image", "audio")
"""Fields that hold one input."""
FIELDS = (*ONE, "inputs", "text_pair", "model", *inputs.PARAMETERS)
FILES = ("image", "audio", "file", "text")
"""Fields of a form that hold one input."""


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    model: Description
    inputs: Sequence[Item]
    parameters: Mapping[str, Any]


def router(service: Service) -> APIRouter:
    """Return the routes."""
    made = APIRouter()

    async def predict(request: Request) -> Response:
        asked = await read(service, request)
        tell(request, asked.model)
        found = await service.predict(asked.model.name, asked.inputs, asked.parameters)
        return answer({"model": asked.model.name, "predictions": found})

    for path in PATHS:
        made.add_api_route(path, predict, methods=["POST"], response_model=None)
    return made


async def read(service: Service, request: Request, model: str | None = None) -> Asked:
    """Return what a request asks for.

    Args:
        model: its name where the path has it; else the request itself or the only one there is.

    Raises:
        BadRequest: the body is not what its headers say.
        UserError: what is asked can't be.
        NotFound: there is no such model.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form(service, request, model)
    body = await request.body()
    if kind.endswith("json") or body.lstrip()[:1] == b"{":  # curl -d sends JSON as a form
        return _json(service, parse(body), model)
    query = request.query_params
    described = service.model(model or query.get("model"))
    parameters = inputs.parameters_of(_numbers(query))
    return Asked(described, [inputs.file_of(described, body, "body")], parameters)


def parse(body: bytes) -> Any:
    """Return the value of a body in JSON. Raises `BadRequest` where it is none."""
    try:
        return json_files.parse(body.decode("utf-8"), strict=True)
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None
    except ValueError as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


def answer(content: Any, status: int = 200) -> Response:
    """Return an answer in JSON; numbers that are none are null, as in JavaScript."""
    try:
        body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        body = json.dumps(_finite(content), ensure_ascii=False)
    return Response(body.encode(), status, media_type="application/json")


def tell(request: Request, model: Description) -> None:
    """Have the answer, the log and the metrics name the model."""
    request.scope[STATE].update(model=model.name, sha256=model.sha256)


def _json(service: Service, given: Any, model: str | None) -> Asked:
    if not isinstance(given, dict):
        raise UserError("the body is no object of JSON", hint='send {"input": ...}')
    for name in given:
        if name not in FIELDS:
            hint = did_you_mean(name, FIELDS) or f"there are {', '.join(FIELDS)}"
            raise UserError(f"no field {name!r}", name, hint)
    described = service.model(model or _name(given))
    named = [name for name in (*ONE, "inputs") if given.get(name) is not None]
    if len(named) != 1:
        said = f"{' and '.join(named)} are two" if named else "there is no input"
        raise UserError(said, "input", 'send {"input": ...}, or {"inputs": [...]} for several')
    [field] = named
    if field != "inputs":
        value = given[field]
        if given.get("text_pair") is not None:
            value = {"text": value, "text_pair": given["text_pair"]}
        items = [inputs.item_of(described, value, field)]
    elif isinstance(given[field], list):
        items = [inputs.item_of(described, one, field) for one in given[field]]
    else:
        raise UserError("`inputs` is no list", hint='send {"input": ...} for one')
    return Asked(described, items, inputs.parameters_of(given))


def _name(given: Mapping[str, Any]) -> str | None:
    name = given.get("model")
    if name is not None and not isinstance(name, str):
        raise UserError("`model` is no name")
    return name


async def _form(service: Service, request: Request, model: str | None) -> Asked:
    from starlette.exceptions import HTTPException

    try:
        form = await request.form(max_files=1, max_fields=len(FIELDS))
    except HTTPException as error:
        raise BadRequest(f"the form can't be read: {error.detail}") from None
    texts = {name: value for name, value in form.items() if isinstance(value, str)}
    described = service.model(model or texts.get("model"))
    files = {name: value for name, value in form.items() if not isinstance(value, str)}
    for name in (*files, *texts):
        if name not in (*FILES, "model", "text_pair", *inputs.PARAMETERS):
            hint = did_you_mean(name, FILES) or f"there are {', '.join(FILES)}"
            raise UserError(f"no field {name!r}", name, hint)
    parameters = inputs.parameters_of(_numbers(texts))
    if files:
        [(field, file)] = files.items()
        content = await file.read()
        return Asked(described, [inputs.file_of(described, content, field)], parameters)
    return _json(service, {n: v for n, v in texts.items() if n != "top_k"} | parameters, model)


def _numbers(given: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters that came as text, as numbers where they are such."""
    found: dict[str, Any] = {name: given[name] for name in inputs.PARAMETERS if name in given}
    return {name: int(text) if text.isdecimal() else text for name, text in found.items()}


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if content - content == 0 else None
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list) else content
