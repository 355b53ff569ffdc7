"""The Open Inference Protocol, version 2, as `tritonclient.http` and KServe's clients speak it.

    GET  /v2                        what this service is
    GET  /v2/models/NAME            what a model takes and gives; [/versions/1]
    GET  /v2/models/NAME/ready      200 where it can answer, else 503
    POST /v2/models/NAME/infer      tensors in, tensors out

Inputs are BYTES tensors [n], one element an input: `text` (of a model of pairs also `text_pair`),
`image` or `audio`, the content of a file; in JSON files are base64. The tensors of an answer are
those of `outputs_of`. The request's `parameters` may have `top_k`, and `labels` (a list, or one
text separated by commas) and `template` for weights that label without training.
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from tasks.errors import UserError
from zoo.serve.answers import answer, as_json, tell
from zoo.serve.description import Description
from zoo.serve.errors import BadRequest, NotFound
from zoo.serve.items import Item
from zoo.serve.protocols import asking, bodies, examples, tensors
from zoo.serve.protocols.bodies import check_names
from zoo.serve.protocols.inputs import file_of, input_of
from zoo.serve.protocols.tensors import Tensor, TextTensor

if TYPE_CHECKING:
    from zoo.serve.service import Service

VERSION = "1"
"""Of each model: there is one at a time; its digest is in the header of each answer."""
EXTENSIONS = ("binary_tensor_data",)
PARAMETERS = ("top_k", "labels", "template", "binary_data_output")
FIELDS = ("id", "inputs", "outputs", "parameters")
BINARY = "binary_data"
RAGGED = {
    "token-classification": ("spans",),
    "fill-mask": ("guesses",),
    "image-segmentation": ("labels", "shares"),
    "object-detection": ("labels", "scores", "boxes"),
}
"""What predictions hold of which each input has another number, by pipeline."""
PAIR = "text_pair"


@dataclass(frozen=True)
class InferRequest:
    """A request as a service takes it."""

    id: str | None
    inputs: Sequence[Item]
    parameters: Mapping[str, Any]
    outputs: Mapping[str, bool]
    """the tensors that are wanted, and whether in binary form; empty: all"""
    all_binary: bool = False
    """whether tensors are binary where nothing else is said"""


def input_names(model: Description) -> tuple[str, ...]:
    """Return the names of a model's input tensors."""
    return ("text", PAIR) if model.takes_pairs else (model.kind,)


def outputs_of(model: Description) -> list[dict[str, Any]]:
    """Return the output tensors of a model: name, datatype and shape.

    - Of a classifier of one label: `label` and `score` [n]; `labels` and `scores` [n, k], the best
      k first, all without `top_k`. Of several labels: `label` [n], a JSON list of those that are
      given, and `labels` and `scores` as before.
    - Of a regression: `values` [n, numbers]. Of a recogniser: `text` [n].
    - Of a tagger `spans`, of a masked model `guesses`, of a model of pixels `labels` and `shares`,
      of a detector `labels`, `scores` and `boxes` (x0, y0, x1, y1 in pixels of the image)
      [n], each as JSON, since they are ragged.
    - Of embeddings: `embedding` [n, hidden], where no labels are given.
    """
    several = -1
    named: dict[str, tuple[str, list[int]]] = {}
    if asking.suited(model, asking.CLASSIFIES):
        if getattr(model.task, "problem_type", "") == "regression":
            named["values"] = (tensors.FP32, [-1, max(len(model.task.labels), 1)])
        else:
            several = len(model.task.labels) or several
            named["label"] = (tensors.BYTES, [-1])
            if getattr(model.task, "problem_type", "") != "multi_label_classification":
                named["score"] = (tensors.FP32, [-1])
            named["labels"] = (tensors.BYTES, [-1, several])
            named["scores"] = (tensors.FP32, [-1, several])
    if asking.suited(model, asking.EMBEDS):
        named["embedding"] = (tensors.FP32, [-1, -1])
    if asking.suited(model, asking.TRANSCRIBES):
        named["text"] = (tensors.BYTES, [-1])
    for pipeline, ragged in RAGGED.items():
        if asking.suited(model, (pipeline,)):
            named |= dict.fromkeys(ragged, (tensors.BYTES, [-1]))
    return [
        {"name": name, "datatype": datatype, "shape": shape}
        for name, (datatype, shape) in named.items()
    ]


def metadata(model: Description) -> dict[str, Any]:
    """Return what a model takes and gives, as the protocol has it."""
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": f"zoo_{model.deployment}",
        "inputs": [
            {"name": name, "datatype": tensors.BYTES, "shape": [-1]} for name in input_names(model)
        ],
        "outputs": outputs_of(model),
    }


def parse(content: bytes, header_length: str | None, model: Description) -> InferRequest:
    """Return what a body asks a model for.

    Args:
        header_length: see `tensors.split`.

    Raises:
        BadRequest: it is not what the protocol says.
        UserError: it does not suit the model.
    """
    asked, binary = tensors.split(content, header_length)
    check_names(asked, FIELDS, "the request")
    given: dict[str, TextTensor] = {}
    for one in bodies.list_of(asked.get("inputs"), "inputs", lambda value, _: value):
        tensor, binary = tensors.read(one, binary)
        if tensor.name in given:
            raise UserError(f"there are two tensors {tensor.name}", "inputs")
        given[tensor.name] = tensor
    if len(binary):
        raise BadRequest(f"{len(binary):,} bytes belong to no tensor")
    parameters = _object(asked, "parameters")
    check_names(parameters, PARAMETERS, "parameters")
    outputs = {}
    for one in bodies.list_of(asked.get("outputs") or [], "outputs", lambda value, _: value):
        name, is_binary = _output(one, model)
        outputs[name] = is_binary
    identity = asked.get("id")
    return InferRequest(
        None if identity is None else bodies.text_of(identity, "id"),
        _items(given, model),
        _parameters(parameters, model),
        outputs,
        bodies.flag_of(parameters.get("binary_data_output", False), "binary_data_output"),
    )


def _object(given: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = given.get(field) or {}
    if not isinstance(found, Mapping):
        raise UserError(f"`{field}` is {bodies.name_of(found)}, and not an object", field)
    return found


def _output(asked: Any, model: Description) -> tuple[str, bool]:
    """Return the name of a tensor that is wanted, and whether in binary form."""
    if not isinstance(asked, Mapping):
        raise UserError(f"an output is {bodies.name_of(asked)}, and not an object", "outputs")
    check_names(asked, ("name", "parameters"), "an output")
    name = bodies.text_of(asked.get("name"), "name")
    known = tuple(one["name"] for one in outputs_of(model))
    if name not in known:
        hint = f"there is {', '.join(known)}"
        raise UserError(f"{model.name} has no output {name[:40]!r}", "outputs", hint)
    parameters = _object(asked, "parameters")
    check_names(parameters, (BINARY,), f"the parameters of {name}")
    return name, bodies.flag_of(parameters.get(BINARY, False), BINARY)


def _items(given: Mapping[str, TextTensor], model: Description) -> list[Item]:
    wanted = input_names(model)
    if set(given) != set(wanted):
        said = ", ".join(given) or "nothing"
        hint = f"send {' and '.join(wanted)}"
        pipelines = ", ".join(model.pipelines)
        raise UserError(f"{model.name} ({pipelines}) can't take {said}", "inputs", hint)
    if model.takes_pairs:
        first, second = ([_as_text(one, name) for one in given[name].values] for name in wanted)
        if len(first) != len(second):
            raise UserError(f"{len(first)} text and {len(second)} {PAIR}", PAIR)
        return list(zip(first, second, strict=True))
    [name] = wanted
    return [
        file_of(value, model, name) if isinstance(value, bytes) else input_of(value, model, name)
        for value in given[name].values
    ]


def _as_text(value: str | bytes, field: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"the tensor {field} is not UTF-8 text") from None


def _parameters(given: Mapping[str, Any], model: Description) -> dict[str, Any]:
    """Return the parameters of `Service.predict`: all scores, unless fewer are asked for."""
    labels = given.get("labels")
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    if labels is None and asking.suited(model, asking.EMBEDS):
        return asking.to_embed(given.get("top_k"), given.get("template"))
    found = asking.parameters_of(model, given.get("top_k"), labels, given.get("template"))
    if "top_k" not in found and labels is not None:
        found["top_k"] = len(labels)
    every = asking.suited(model, asking.CLASSIFIES) and labels is None
    return {**(asking.every_label(model) if every else {}), **found}


def tensors_of(predictions: Sequence[Mapping[str, Any]], model: Description) -> list[Tensor]:
    """Return predictions of a model as tensors; see `outputs_of`."""
    if not predictions:
        return []
    first = predictions[0]
    if "embedding" in first:
        return [tensors.numbers("embedding", [one["embedding"] for one in predictions])]
    if "label" not in first or "guesses" in first:  # ragged: as JSON
        ragged = RAGGED.get(model.pipelines[0], ("text",))
        return [
            tensors.texts(name, [_written(one[name]) for one in predictions]) for name in ragged
        ]
    rows = [asking.scored(one) for one in predictions]
    scores = tensors.numbers("scores", [[one["score"] for one in row] for row in rows])
    if getattr(model.task, "problem_type", "") == "regression":
        return [Tensor("values", scores.shape, scores.values, tensors.FP32)]
    names = [one["label"] for row in rows for one in row]
    found = [tensors.texts("label", [_written(one["label"]) for one in predictions])]
    if not isinstance(first["label"], list):
        found.append(tensors.numbers("score", [one["score"] for one in predictions]))
    return [*found, Tensor("labels", scores.shape, names), scores]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def answered(request: InferRequest, model: Description, found: Sequence[Tensor]) -> Response:
    """Return the tensors that were asked for, each in the form that was asked for."""
    if request.outputs:
        found = [one for one in found if one.name in request.outputs]
    outputs, binary = [], []
    for tensor in found:
        described = tensor.described()
        if request.outputs.get(tensor.name, request.all_binary):
            binary.append(tensor.binary())
            described["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            described["data"] = list(tensor.values)
        outputs.append(described)
    head: dict[str, Any] = {"model_name": model.name, "model_version": VERSION}
    head |= {} if request.id is None else {"id": request.id}
    written = as_json({**head, "outputs": outputs})
    if not binary:
        return Response(written, media_type="application/json")
    return Response(
        b"".join((written, *binary)),
        media_type="application/octet-stream",
        headers={tensors.HEADER: str(len(written))},
    )


def example_body(model: Description) -> dict[str, Any]:
    """Return a body that works for a model, for documentation."""
    item = examples.as_json(model)
    if model.kind == "row":
        item = json.dumps(item, ensure_ascii=False)
    values = [item["text"], item[PAIR]] if model.takes_pairs else [item]
    inputs = [
        {"name": name, "shape": [1], "datatype": tensors.BYTES, "data": [value]}
        for name, value in zip(input_names(model), values, strict=True)
    ]
    body: dict[str, Any] = {"inputs": inputs}
    if asking.suited(model, asking.ZERO_SHOT):
        body["parameters"] = {"labels": ",".join(examples.LABELS)}
    return body


def router(service: "Service") -> APIRouter:
    """Return the routes of the protocol, but for the health of the service itself."""
    made = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])
    models = list(service.models.values())
    body = examples.documented({model.name: example_body(model) for model in models}, ())

    def model_of(name: str, version: str = VERSION) -> Description:
        if version != VERSION:
            raise NotFound(f"{name} has no version {version[:40]!r}: there is {VERSION}")
        return service.model(name)

    @made.get("", summary="What this service is")
    async def server() -> Response:
        return answer({"name": "zoo", "version": _version(), "extensions": list(EXTENSIONS)})

    @made.get("/models/{name}", summary="What a model takes and gives")
    @made.get("/models/{name}/versions/{version}", include_in_schema=False)
    async def model(name: str, version: str = VERSION) -> Response:
        return answer(metadata(model_of(name, version)))

    @made.get("/models/{name}/ready", summary="Whether a model can answer")
    @made.get("/models/{name}/versions/{version}/ready", include_in_schema=False)
    async def ready(name: str, version: str = VERSION) -> Response:
        is_ready = service.is_ready(model_of(name, version).name)
        return answer({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    @made.post("/models/{name}/infer", openapi_extra=body, summary="Tensors in, tensors out")
    @made.post("/models/{name}/versions/{version}/infer", include_in_schema=False)
    async def infer(request: Request, name: str, version: str = VERSION) -> Response:
        described = model_of(name, version)
        tell(request, described)
        read = await bodies.read(request)
        asked = parse(read.content, request.headers.get(tensors.HEADER), described)
        found = await service.predict(described.name, asked.inputs, asked.parameters)
        return answered(asked, described, tensors_of(found, described))

    return made


def _version() -> str:
    """Return the version that is installed; a checkout that was only copied has none."""
    try:
        return importlib.metadata.version("zoo")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
