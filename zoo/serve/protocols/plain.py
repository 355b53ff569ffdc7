"""The routes that people write by hand, and what is posted to them by hand.

    POST /predict, /prediction    any model
    POST /classify                a model that labels its inputs
    POST /recognize               a model that labels its inputs, or writes what is said
    POST /transcribe              a model that writes what is said

A body is JSON with one input or a list of them (`input`, `inputs`, `text`, `image`, `audio`, or
`row`, an object of columns and values); a form with the files `image`, `audio` or `file`; or a file
as it is. Beside them stand `model` and `top_k`, `labels` and `template` of weights that label
without training, and `masks` of a model that gives pixels classes (see `MASKS`); with a file as it
is they stand in the URL. Beside a `prompt` in JSON, for a model that writes, stand the settings of
`predict`: see `WRITING`. The answer is `{"model": NAME, "predictions": [...]}`, one for each input
in their order, as `zoo predict` prints it. A request has at most as many inputs as may wait
(`--max_queue`); more are answered 413.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from tasks.errors import UserError
from zoo.serve.answers import answer, tell
from zoo.serve.description import Description
from zoo.serve.items import Item
from zoo.serve.protocols import asking, bodies, examples
from zoo.serve.protocols.bodies import Body, Form, check_names, text_of
from zoo.serve.protocols.inputs import FILES, file_of, input_of, items_of, wanted

if TYPE_CHECKING:
    from zoo.serve.service import Service

GIVEN = ("input", "text", "prompt", "image", "audio", "row", "inputs")
"""Fields that hold an input, or a list of them."""
SETTINGS = ("top_k", "labels", "template")
MASKS = "masks"
"""Whether a model of pixels answers with the mask of each label too, a PNG file in base64."""
WRITING = (
    *("max_new_tokens", "min_new_tokens", "temperature", "top_p", "stop", "seed"),
    *("repetition_penalty", "no_repeat_ngram_size"),
)
"""Settings of a text, beside `top_k`."""
FILE_FIELDS = ("image", "audio", "file")
"""Fields of a form that hold files."""
TEXT_FIELDS = ("text", "input", "inputs")
"""Fields of a form that hold texts."""
PAIR_FIELD = "text_pair"
URL_FIELDS = ("model", *SETTINGS, MASKS)
FORM_FIELDS = (*URL_FIELDS, *TEXT_FIELDS, PAIR_FIELD)
JSON_FIELDS = (*URL_FIELDS, *WRITING, *GIVEN, PAIR_FIELD)
RECOGNIZES = (*asking.CLASSIFIES, *asking.TRANSCRIBES)
ROUTES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "/predict": ((), "A prediction"),
    "/prediction": ((), "A prediction"),
    "/classify": (asking.CLASSIFIES, "The label of an input"),
    "/recognize": (RECOGNIZES, "What an image or sound is, or what is said"),
    "/transcribe": (asking.TRANSCRIBES, "What is said in a sound"),
}
"""The pipelines that a route is for (empty: all), and what it answers."""


@dataclass(frozen=True)
class PlainRequest:
    """A request as a service takes it."""

    model: Description
    inputs: Sequence[Item]
    parameters: Mapping[str, Any]


def parse(
    body: Body, url: Mapping[str, str], service: "Service", pipelines: tuple[str, ...]
) -> PlainRequest:
    """Return what a body asks for.

    Args:
        url: the parameters of the URL; they count where the body has none of the name.
        pipelines: of which the model has to do one; empty: any.

    Raises:
        BadRequest: the body is not what its type says.
        NotFound: there is no such model.
        TooManyInputs: it has more than a request may have.
        UserError: it does not suit the model, or says something that is not known here.
    """
    form = None
    if body.is_form:
        form = bodies.parse_form(body)
    elif body.is_urlencoded(FORM_FIELDS):
        form = bodies.parse_urlencoded(body.content)
    if form is not None:
        check_names(form.fields, FORM_FIELDS, "the form")
        check_names(form.files, FILE_FIELDS, "the form")
        settings = _settings_of(form)
    elif body.is_json:
        content = bodies.parse_json(body.content)
        if not isinstance(content, dict):
            content = {"inputs" if isinstance(content, list) else "input": content}
        check_names(content, JSON_FIELDS, "the request")
        settings = {name: one for name, one in content.items() if one is not None}
    else:
        settings = {}
    settings = {**_split_labels(url), **settings}
    name = settings.get("model")
    model = _chosen(service, None if name is None else text_of(name, "model"), pipelines)
    if form is not None:
        items = _in_form(form, model)
    elif body.is_json:
        items = _in_json(settings, model, service.limits.max_queue)
    else:
        items = [file_of(body.content, model, "body", body.content_type)]
    masks = asking.with_masks(model, settings.get(MASKS))
    top_k, labels, template = (settings.get(key) for key in SETTINGS)
    written = {name: one for name in WRITING if (one := settings.get(name)) is not None}
    if written or asking.suited(model, asking.WRITES):
        more = asking.parameters_of(model, top_k, labels, template)
        return PlainRequest(model, items, asking.to_write(model, {**written, **more}))
    if asking.suited(model, asking.EMBEDS) and labels is None and not pipelines:
        return PlainRequest(model, items, asking.to_embed(top_k, template))
    found = asking.parameters_of(model, top_k, labels, template)
    return PlainRequest(model, items, found | masks)


def _chosen(service: "Service", name: str | None, pipelines: tuple[str, ...]) -> Description:
    return asking.choose(service, name, pipelines) if pipelines else service.model(name)


def _settings_of(form: Form) -> dict[str, Any]:
    """Return the fields of a form that hold no input. Raises `UserError` for one that comes twice,
    but for labels."""
    found: dict[str, Any] = {}
    for name, values in form.fields.items():
        if name in (*TEXT_FIELDS, PAIR_FIELD):
            continue
        if name != "labels" and len(values) > 1:
            raise UserError(f"the form has {name} {len(values)} times", name)
        found[name] = values[0]
    if "labels" in form.fields:
        found |= _split_labels({"labels": ",".join(form.fields["labels"])})
    return found


def _split_labels(given: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters that came as text, the labels (separated by commas) as a list."""
    found: dict[str, Any] = dict(given)
    if "labels" in found:
        found["labels"] = [one.strip() for one in found["labels"].split(",") if one.strip()]
    return found


def _in_json(content: Mapping[str, Any], model: Description, most: int) -> list[Item]:
    given = [name for name in GIVEN if name in content]
    if PAIR_FIELD in content:
        if given != ["text"] or not model.takes_pairs:
            raise UserError(f"`{PAIR_FIELD}` goes with `text`, for a model of pairs", PAIR_FIELD)
        items, _ = items_of(_pairs(content["text"], content[PAIR_FIELD]), model, "text", most)
        return items
    if len(given) != 1:
        said = f"both {given[0]} and {given[1]}" if given else "no input"
        raise UserError(
            f"the request has {said}", "input", f"send {{'input': ...}}: {_wants(model)}"
        )
    [name] = given
    is_prompt = name == "prompt" and not asking.suited(model, asking.WRITES)
    if is_prompt or (name in (*FILES, "row") and name != model.kind):
        raise UserError(f"`{name}`: {_wants(model)}", name)
    items, _ = items_of(content[name], model, name, most)
    return items


def _pairs(texts: Any, others: Any) -> Any:
    """Return a text and its other one as a pair, and two lists of such as a list of pairs."""
    if not isinstance(texts, list) or not isinstance(others, list):
        return {"text": texts, PAIR_FIELD: others}
    if len(texts) != len(others):
        raise UserError(f"`text` has {len(texts):,} and `{PAIR_FIELD}` {len(others):,}", PAIR_FIELD)
    return [{"text": one, PAIR_FIELD: other} for one, other in zip(texts, others, strict=True)]


def _in_form(form: Form, model: Description) -> list[Item]:
    items: list[Item] = []
    for name, contents in form.files.items():
        if name != "file" and name != model.kind:
            raise UserError(f"the form has a file {name}: {_wants(model)}", name)
        items += [file_of(content, model, name) for content in contents]
    texts = [text for name in TEXT_FIELDS for text in form.fields.get(name, ())]
    if texts and model.kind in FILES:
        raise UserError(f"the form has a text: {_wants(model)}", "text", "send it as a file")
    pairs = form.fields.get(PAIR_FIELD, [])
    if pairs and len(pairs) != len(texts):
        raise UserError(f"the form has {len(texts)} text and {len(pairs)} text_pair", PAIR_FIELD)
    if pairs:
        both = zip(texts, pairs, strict=True)
        items += [input_of(list(pair), model, PAIR_FIELD) for pair in both]
    else:
        items += [input_of(text, model, "text") for text in texts]
    if not items:
        field = model.kind if model.kind in FILES else "text"
        raise UserError(f"the form has no {field}: {_wants(model)}", field)
    return items


def _wants(model: Description) -> str:
    return f"{model.name} takes {wanted(model)}"


def example_body(model: Description) -> dict[str, Any]:
    """Return a body that works for a model, for documentation."""
    body: dict[str, Any] = {"model": model.name, "input": examples.as_json(model)}
    if asking.suited(model, asking.ZERO_SHOT):
        body["labels"] = list(examples.LABELS)
    return body


def router(service: "Service") -> APIRouter:
    """Return the plain routes, those that a model here can answer."""
    made = APIRouter(tags=["plain"])
    every = list(service.models.values())
    for path, (pipelines, _) in ROUTES.items():
        able = [one for one in every if not pipelines or asking.suited(one, pipelines)]
        _add(made, service, path, able)
    return made


def _add(made: APIRouter, service: "Service", path: str, able: Sequence[Description]) -> None:
    """Add a route; where no model is able to answer it, it says so, and is not documented."""
    pipelines, summary = ROUTES[path]
    named = {model.name: example_body(model) for model in able}
    properties = {name: {"type": "string", "format": "binary"} for name in FILE_FIELDS}
    texts = {name: {"type": "string"} for name in ("text", "model", "top_k")}
    body = examples.documented(named, able, {**properties, **texts})

    @made.post(path, openapi_extra=body, summary=summary, include_in_schema=bool(able))
    async def predict(request: Request) -> Response:
        url = asking.query_of(request, URL_FIELDS)
        asked = parse(await bodies.read(request), url, service, pipelines)
        tell(request, asked.model)
        found = await service.predict(asked.model.name, asked.inputs, asked.parameters)
        return answer({"model": asked.model.name, "predictions": found})
