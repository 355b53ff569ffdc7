"""The inference API of the Hugging Face Hub, as `huggingface_hub.InferenceClient(model=URL)` asks.

Its routes:

    POST /               the only model that is served
    POST /models/NAME    one of several

A body is `{"inputs": ..., "parameters": {...}}`, or an image or sound file as it is; files in JSON
are base64. A list of inputs is answered by a list. Parameters that would change the answer and
can't be kept are refused. The answers are those of transformers' pipelines, whose names stand in
`Description.pipelines`; huggingface.co/docs/inference-providers/tasks describes them.
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
from zoo.serve.protocols.bodies import Body, check_names, flag_of, list_of, text_of
from zoo.serve.protocols.inputs import file_of, input_of

if TYPE_CHECKING:
    from zoo.serve.service import Service

MOST_SCORES = 5
"""Labels that an image's or sound's answer has where `top_k` does not say, as on the Hub."""
CONTINUES = "##"
"""What WordPiece writes before a token that goes on with a word."""
OUTER = ("inputs", "parameters", "options")
OF_EMBEDDING = ("normalize", "truncate", "truncation_direction", "dimensions", "encoding_format")
"""Parameters of an embedding, which stand beside `inputs`."""
TRANSFORMS = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
    "regression": "none",
}


@dataclass(frozen=True)
class HubRequest:
    """A request as a service takes it."""

    inputs: Sequence[Item]
    parameters: Mapping[str, Any]
    pipeline: str
    """what is asked for, of the model's `pipelines`"""
    is_batch: bool = False
    """whether a list of inputs was given, and a list of answers is wanted"""
    ignored: tuple[str, ...] = ()
    """labels of spans that are left out of the answer"""


def parse(body: Body, model: Description) -> HubRequest:
    """Return what a body asks a model for.

    Raises:
        BadRequest: it is no JSON.
        UserError: it does not suit the model, or has a parameter that can't be kept.
    """
    if body.is_form:
        raise UserError("the body is a form", hint="send JSON, or a file as it is")
    if not body.is_json:
        if asking.suited(model, asking.ZERO_SHOT):
            raise UserError("labels are missing", "candidate_labels", "send JSON with parameters")
        item = file_of(body.content, model, "inputs", body.content_type)
        return HubRequest([item], _usual(model, {}), model.pipelines[0])
    content = bodies.parse_object(body.content)
    if "inputs" not in content:
        raise UserError("`inputs` is missing", "inputs", f"send {example_body(model)}")
    given = content["inputs"]
    if asking.suited(model, asking.EMBEDS) and "candidate_labels" not in _parameters(content):
        return _of_embedding(content, given, model)
    check_names(content, OUTER, "the request")
    is_batch = isinstance(given, list)
    items = [input_of(one, model, "inputs") for one in (given if is_batch else [given])]
    parameters, ignored = _parsed(_parameters(content), model)
    return HubRequest(items, parameters, model.pipelines[0], is_batch, ignored)


def _parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request but for those that are null."""
    found = content.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"`parameters` is {bodies.name_of(found)}, and not an object", "parameters")
    return {name: value for name, value in found.items() if value is not None}


def _of_embedding(content: Mapping[str, Any], given: Any, model: Description) -> HubRequest:
    """Return a request for embeddings, or for the similarities of sentences."""
    check_names(content, (*OUTER, *OF_EMBEDDING, "prompt_name"), "the request")
    asked = {**_parameters(content), **content}
    kept = {"normalize": True, "truncate": True, "truncation_direction": "right"}
    kept |= {"encoding_format": "float", "dimensions": None, "prompt_name": None}
    for name, only in kept.items():
        if asked.get(name) not in (None, only):
            hint = "leave it out" if only is None else f"only {only!r}".lower()
            raise UserError(f"`{name}` is {asked[name]!r}, which can't be had here", name, hint)
    check_names(_parameters(content), tuple(kept), "parameters")
    if isinstance(given, Mapping):
        check_names(given, ("source_sentence", "sentences"), "inputs")
        source = text_of(given.get("source_sentence"), "source_sentence")
        others = list_of(given.get("sentences"), "sentences", text_of)
        return HubRequest([source, *others], {"embed": True}, "sentence-similarity")
    is_batch = isinstance(given, list)
    items = [input_of(one, model, "inputs") for one in (given if is_batch else [given])]
    return HubRequest(items, {"embed": True}, "feature-extraction", is_batch)


def _parsed(given: Mapping[str, Any], model: Description) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parameters of `Service.predict`, and the labels to leave out of spans."""
    pipeline = model.pipelines[0]
    known = {
        "token-classification": ("aggregation_strategy", "ignore_labels", "stride"),
        "fill-mask": ("top_k", "targets"),
        "automatic-speech-recognition": ("return_timestamps", "generation_parameters"),
    }.get(pipeline, ("top_k", "function_to_apply"))
    if pipeline in asking.ZERO_SHOT:
        known = ("candidate_labels", "hypothesis_template", "multi_label")
        return _of_zero_shot(given, known, model), ()
    if "candidate_labels" in given:
        raise asking.unsuited(model, asking.ZERO_SHOT, [model], "candidate_labels")
    check_names(given, known, "parameters")
    wanted = TRANSFORMS.get(getattr(model.task, "problem_type", ""))
    _only(given, "function_to_apply", wanted, f"this model's scores are those of {wanted}")
    _only(given, "aggregation_strategy", "first", "only first: whole words, by their first token")
    _only(given, "stride", 0, "leave it out: long texts are read in windows of the model's own")
    _only(given, "targets", [], "leave it out, and choose among `top_k` guesses")
    _only(given, "generation_parameters", {}, "leave it out")
    if flag_of(given.get("return_timestamps", False), "return_timestamps"):
        return {"words": True}, ()
    ignored = list_of(given.get("ignore_labels", []), "ignore_labels", text_of)
    chosen = asking.parameters_of(model, given.get("top_k"))
    return _usual(model, chosen), tuple(ignored)


def _only(given: Mapping[str, Any], name: str, possible: Any, hint: str) -> None:
    """Raise `UserError` where a parameter has another value than the one that is possible here."""
    if name in given and given[name] != possible:
        raise UserError(f"`{name}` is {given[name]!r}, which can't be had here", name, hint)


def _usual(model: Description, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the number of scores that the Hub gives where none was asked for."""
    if "top_k" in chosen or not asking.suited(model, asking.CLASSIFIES):
        return dict(chosen)
    every = asking.every_label(model)
    if model.kind != "text" and every:
        every["top_k"] = min(every["top_k"], MOST_SCORES)
    return {**every, **chosen}


def _of_zero_shot(
    given: Mapping[str, Any], known: tuple[str, ...], model: Description
) -> dict[str, Any]:
    check_names(given, known, "parameters")
    if flag_of(given.get("multi_label", False), "multi_label"):
        raise UserError(
            "`multi_label`: the labels share one probability here", "multi_label", "leave it out"
        )
    labels = given.get("candidate_labels")
    if isinstance(labels, str):  # as the pipelines of transformers take them
        labels = [label.strip() for label in labels.split(",")]
    names = ("candidate_labels", "hypothesis_template")
    found = asking.parameters_of(model, None, labels, given.get("hypothesis_template"), names)
    return {**found, "top_k": len(found["labels"])}


def answered(request: HubRequest, predictions: Sequence[Mapping[str, Any]], mask: str = "") -> Any:
    """Return the JSON that answers a request.

    Args:
        predictions: one for each input, as `Service.predict` gives them.
        mask: the mask of the model's tokenizer, where it fills masks.
    """
    if request.pipeline == "sentence-similarity":
        first, *others = (one["embedding"] for one in predictions)
        return [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    answers = [
        _one(request, item, prediction, mask)
        for item, prediction in zip(request.inputs, predictions, strict=True)
    ]
    if request.is_batch or request.pipeline == "text-classification":  # [[...]] for a text alone
        return answers
    return answers[0]


def _one(request: HubRequest, item: Item, prediction: Mapping[str, Any], mask: str) -> Any:
    """Return the answer to one input."""
    if request.pipeline == "feature-extraction":
        return prediction["embedding"]
    if request.pipeline == "automatic-speech-recognition":
        return _transcribed(prediction)
    if request.pipeline == "token-classification":
        return [_span(one) for one in prediction["spans"] if one["label"] not in request.ignored]
    if request.pipeline == "fill-mask":
        return _filled(str(item), prediction["guesses"], mask)
    return asking.scored(prediction)


def _span(span: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "entity_group": span["label"],
        "score": span["score"],
        "word": span["text"],
        "start": span["start"],
        "end": span["end"],
    }


def _transcribed(prediction: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"text": prediction["text"]}
    if "words" in prediction:
        found["chunks"] = [
            {"text": one["word"], "timestamp": [one["start"], one["end"]]}
            for one in prediction["words"]
        ]
    return found


def _filled(text: str, guesses: Sequence[Sequence[Mapping[str, Any]]], mask: str) -> Any:
    """Return the guesses with the text in which each fills its mask: a list of one mask's, of
    several masks a list of lists."""
    places = text.split(mask) if mask else [text]
    found = []
    for i, of_mask in enumerate(guesses):
        before, after = mask.join(places[: i + 1]), mask.join(places[i + 1 :])
        found.append(
            [{**one, "sequence": _with_token(before, one["token_str"], after)} for one in of_mask]
        )
    return found[0] if len(found) == 1 else found


def _with_token(before: str, token: str, after: str) -> str:
    if token.startswith(CONTINUES):
        return before.rstrip() + token.removeprefix(CONTINUES) + after
    return before + token.strip() + after


def example_body(model: Description) -> dict[str, Any]:
    """Return a body that works for a model, for messages and documentation."""
    body: dict[str, Any] = {"inputs": examples.as_json(model)}
    if asking.suited(model, asking.ZERO_SHOT):
        body["parameters"] = {"candidate_labels": list(examples.LABELS)}
    return body


def router(service: "Service") -> APIRouter:
    """Return the routes of the Hub's inference API."""
    made = APIRouter(tags=["Hugging Face inference API"])

    async def ask(name: str | None, request: Request) -> Response:
        model = service.model(name)
        tell(request, model)
        asked = parse(await bodies.read(request), model)
        found = await service.predict(model.name, asked.inputs, asked.parameters)
        if asked.parameters.get("words"):
            for one in found:
                asking.must_have_words(one, model, "return_timestamps")
        mask = examples.mask_of(model) if asked.pipeline == "fill-mask" else ""
        return answer(answered(asked, found, mask))

    models = list(service.models.values())
    body = examples.documented({model.name: example_body(model) for model in models}, models)

    @made.post("/", openapi_extra=body, summary="A prediction", include_in_schema=len(models) == 1)
    async def ask_only(request: Request) -> Response:
        return await ask(None, request)

    @made.post("/models/{name}", openapi_extra=body, summary="A prediction of one of several")
    async def ask_named(name: str, request: Request) -> Response:
        return await ask(name, request)

    return made
