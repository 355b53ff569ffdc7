"""The inference API of the Hugging Face Hub, as `huggingface_hub.InferenceClient(model=URL)` asks.

Its routes:

    POST /               the only model that is served
    POST /models/NAME    one of several
    GET  /health, /info  behind either: whether it can answer, and what it is

A body is `{"inputs": ..., "parameters": {...}}`, or an image or sound file as it is; files in JSON
are base64. A list of inputs is answered by a list, and has at most as many as may wait. Parameters
that would change the answer and can't be kept are refused. The answers are those of transformers'
pipelines, whose names stand in `Description.pipelines`; what they mean is described at
huggingface.co/docs/inference-providers/tasks.

Of `aggregation_strategy` there is `first`, which is meant where none is named: spans of whole
words, each by the tag of its first piece, as they were trained; `none`, each piece by itself; and
`simple`, pieces put together by their own tags, which may cut a word in two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from tasks.errors import UserError
from zoo.serve.answers import answer, tell
from zoo.serve.description import Description
from zoo.serve.items import Item
from zoo.serve.protocols import asking, bodies, examples, hub_texts
from zoo.serve.protocols.bodies import Body, check_names, flag_of, list_of, share_of, text_of
from zoo.serve.protocols.hub_texts import HubTexts
from zoo.serve.protocols.inputs import file_of, items_of

if TYPE_CHECKING:
    from zoo.serve.service import Service

MOST_SCORES = 5
"""Labels that an image's or sound's answer has where `top_k` does not say, as on the Hub."""
CONTINUES = "##"
"""What WordPiece writes before a token that goes on with a word."""
OUTER = ("inputs", "parameters", "options")
AGGREGATIONS = ("first", "simple", "none")
OUTSIDE = "O"
"""The tag of what is in no span."""
OF_EMBEDDING = ("normalize", "truncate", "truncation_direction", "dimensions", "encoding_format")
"""Parameters of an embedding, which stand beside `inputs`."""
REWRITES = "text2text-generation"
REWRITTEN = ("generated_text", "translation_text", "summary_text")
"""What a text out of another one is called, by what a client asks for: which can't be told."""
DETECTS = "object-detection"
OF_SEGMENTS = ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold")
"""Parameters of a segmentation; all but the first are for masks that may overlap."""
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
    """labels of spans, or tags of pieces, that are left out of the answer"""
    is_table: bool = False
    """whether rows came as a table, and labels or numbers alone are wanted"""
    aggregation: str = "first"
    """how pieces of words become spans: one of `AGGREGATIONS`"""


def parse(body: Body, model: Description, most: int) -> HubRequest:
    """Return what a body asks a model for.

    Args:
        most: inputs in one request.

    Raises:
        BadRequest: it is no JSON.
        TooManyInputs: it has more than a request may have.
        UserError: it does not suit the model, or has a parameter that can't be kept.
    """
    if body.is_form or body.is_urlencoded(OUTER):
        raise UserError("the body is a form", hint="send JSON, or a file as it is")
    if not body.is_json:
        if asking.suited(model, asking.ZERO_SHOT):
            raise UserError("labels are missing", "candidate_labels", "send JSON with parameters")
        item = file_of(body.content, model, "inputs", body.content_type)
        return HubRequest([item], _usual(model, {}), model.pipelines[0])
    content = bodies.parse_object(body.content)
    if "table" in content and asking.suited(model, asking.TABULAR):
        return _of_table(content, model, most)
    if "inputs" not in content:
        raise UserError("`inputs` is missing", "inputs", f"send {example_body(model)}")
    given = content["inputs"]
    if asking.suited(model, asking.EMBEDS) and "candidate_labels" not in _parameters(content):
        return _of_embedding(content, given, model, most)
    check_names(content, OUTER, "the request")
    items, is_batch = items_of(given, model, "inputs", most)
    pipeline, given = model.pipelines[0], _parameters(content)
    if pipeline == "token-classification":
        return HubRequest(items, is_batch=is_batch, pipeline=pipeline, **_of_tags(given))
    return HubRequest(items, _parsed(given, model), pipeline, is_batch)


def _of_table(content: Mapping[str, Any], model: Description, most: int) -> HubRequest:
    """Return a request for the rows of a table, which comes as columns of values."""
    check_names(content, ("table", "parameters", "options"), "the request")
    table = content["table"]
    columns = list(table.values()) if isinstance(table, Mapping) else []
    lengths = {len(one) if isinstance(one, list) else -1 for one in columns}
    if len(lengths) != 1 or min(lengths) < 1:
        raise UserError(
            "`table` is no object of columns, lists of as many values each",
            "table",
            "such as {'age': [3, 4], 'city': ['Rome', 'Bonn']}",
        )
    rows = [dict(zip(table, values, strict=True)) for values in zip(*columns, strict=True)]
    items, _ = items_of(rows, model, "table", most)
    return HubRequest(items, {}, model.pipelines[0], is_batch=True, is_table=True)


def parse_texts(body: Body, model: Description, most: int) -> HubTexts:
    """Return what a body asks a model for that writes; raises as `parse` does."""
    if body.is_form or body.is_urlencoded(OUTER):
        raise UserError("the body is a form", hint="send JSON, or a prompt as text/plain")
    if not body.is_json:
        prompt = file_of(body.content, model, "inputs", body.content_type)
        return hub_texts.parse([prompt], False, {}, False, model)
    content = bodies.parse_object(body.content)
    check_names(content, (*OUTER, "stream"), "the request")
    if "inputs" not in content:
        raise UserError("`inputs` is missing", "inputs", f"send {example_body(model)}")
    inputs, is_batch = items_of(content["inputs"], model, "inputs", most)
    stream = content.get("stream") or False
    return hub_texts.parse(inputs, is_batch, _parameters(content), stream, model)


def _parameters(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request but for those that are null."""
    found = content.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"`parameters` is {bodies.name_of(found)}, and not an object", "parameters")
    return {name: value for name, value in found.items() if value is not None}


def _of_embedding(
    content: Mapping[str, Any], given: Any, model: Description, most: int
) -> HubRequest:
    """Return a request for embeddings, or for the similarities of sentences."""
    check_names(content, (*OUTER, *OF_EMBEDDING, "prompt_name"), "the request")
    asked = {**content, **_parameters(content)}
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
    items, is_batch = items_of(given, model, "inputs", most)
    return HubRequest(items, {"embed": True}, "feature-extraction", is_batch)


def _of_tags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request for tags."""
    check_names(given, ("aggregation_strategy", "ignore_labels", "stride"), "parameters")
    _only(given, "stride", 0, "leave it out: long texts are read in windows of the model's own")
    how = given.get("aggregation_strategy", "first")
    if how not in AGGREGATIONS:
        hint = f"there is {', '.join(AGGREGATIONS)}"
        raise UserError(
            f"`aggregation_strategy` is {how!r}, which can't be had here",
            "aggregation_strategy",
            hint,
        )
    ignored = list_of(given.get("ignore_labels", [OUTSIDE]), "ignore_labels", text_of)
    parameters = {} if how == "first" else {"pieces": True}
    return {"parameters": parameters, "ignored": tuple(ignored), "aggregation": how}


def _parsed(given: Mapping[str, Any], model: Description) -> dict[str, Any]:
    """Return the parameters of `Service.predict`."""
    pipeline = model.pipelines[0]
    of_pipeline: dict[str, tuple[str, ...]] = {
        "fill-mask": ("top_k", "targets"),
        "automatic-speech-recognition": ("return_timestamps", "generation_parameters"),
        REWRITES: (),
        DETECTS: ("threshold",),
        **dict.fromkeys(asking.SEGMENTS, OF_SEGMENTS),
    }
    known = of_pipeline.get(pipeline, ("top_k", "function_to_apply"))
    if pipeline in asking.ZERO_SHOT:
        known = ("candidate_labels", "hypothesis_template", "multi_label")
        return _of_zero_shot(given, known, model)
    if "candidate_labels" in given:
        raise asking.unsuited(model, asking.ZERO_SHOT, [model], "candidate_labels")
    check_names(given, known, "parameters")
    wanted = TRANSFORMS.get(getattr(model.task, "problem_type", ""))
    _only(given, "function_to_apply", wanted, f"this model's scores are those of {wanted}")
    _only(given, "targets", [], "leave it out, and choose among `top_k` guesses")
    _only(given, "generation_parameters", {}, "leave it out")
    if pipeline == DETECTS and "threshold" in given:
        return {"threshold": share_of(given["threshold"], "threshold")}
    _only(given, "subtask", "semantic", "there is semantic")
    for name in OF_SEGMENTS[1:]:
        _only(given, name, None, "leave it out: each pixel has one class, the likeliest")
    times = given.get("return_timestamps", False)
    if times == "word" or flag_of(times, "return_timestamps"):
        return {"words": True}
    return _usual(model, asking.parameters_of(model, given.get("top_k")))


def _only(given: Mapping[str, Any], name: str, possible: Any, hint: str) -> None:
    """Raise `UserError` where a parameter has another value than the one that is possible here."""
    if name in given and given[name] != possible:
        raise UserError(f"`{name}` is {given[name]!r}, which can't be had here", name, hint)


def _usual(model: Description, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the number of scores that the Hub gives where none was asked for, or
    the wish for masks."""
    if asking.suited(model, asking.SEGMENTS):
        return {**chosen, "masks": True}
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
    if request.is_table:
        name = "score" if request.pipeline == "tabular-regression" else "label"
        return [one[name] for one in predictions]
    answers = [
        _one(request, item, prediction, mask)
        for item, prediction in zip(request.inputs, predictions, strict=True)
    ]
    if request.is_batch or request.pipeline in ("text-classification", REWRITES):  # for one, too
        return answers
    return answers[0]


def _one(request: HubRequest, item: Item, prediction: Mapping[str, Any], mask: str) -> Any:
    """Return the answer to one input."""
    if request.pipeline == "feature-extraction":
        return prediction["embedding"]
    if request.pipeline == "automatic-speech-recognition":
        return _transcribed(prediction)
    if request.pipeline == REWRITES:
        return dict.fromkeys(REWRITTEN, prediction["text"])
    if request.pipeline == "token-classification":
        return _spans(request, prediction, str(item))
    if request.pipeline == DETECTS:
        return _detected(prediction)
    if request.pipeline == "fill-mask":
        return _filled(str(item), prediction["guesses"], mask)
    if request.pipeline in asking.SEGMENTS:  # no score, as of transformers' pipeline
        both = zip(prediction["labels"], prediction["masks"], strict=True)
        return [{"score": None, "label": label, "mask": mask} for label, mask in both]
    return asking.scored(prediction)


def _spans(request: HubRequest, prediction: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
    """Return the spans of a text, or its pieces, without those that are to be ignored."""
    spans, name = prediction.get("spans", ()), "entity_group"
    if request.aggregation == "none":
        spans, name = prediction["pieces"], "entity"
    elif request.aggregation == "simple":
        spans = [_joined(pieces, text) for pieces in _together(prediction["pieces"])]
    return [
        {
            name: one["label"],
            "score": one["score"],
            "word": one["text"],
            "start": one["start"],
            "end": one["end"],
        }
        for one in spans
        if one["label"] not in request.ignored
    ]


def _together(pieces: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the pieces that `simple` puts together: neighbours of one type, but for a B-, which
    begins anew."""
    found: list[list[Mapping[str, Any]]] = []
    for one in pieces:
        if found and not one["label"].startswith("B-") and _type(found[-1][-1]) == _type(one):
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _joined(pieces: Sequence[Mapping[str, Any]], text: str) -> dict[str, Any]:
    start, end = pieces[0]["start"], pieces[-1]["end"]
    score = sum(one["score"] for one in pieces) / len(pieces)
    said = {"score": score, "start": start, "end": end, "text": text[start:end]}
    return {"label": pieces[0]["label"].split("-", 1)[-1], **said}


def _type(piece: Mapping[str, Any]) -> str:
    """Return the type of a piece's tag: PER of B-PER and I-PER."""
    label: str = piece["label"]
    return label[2:] if label.startswith(("B-", "I-")) else label


def _transcribed(prediction: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"text": prediction["text"]}
    if "words" in prediction:
        found["chunks"] = [
            {"text": one["word"], "timestamp": [one["start"], one["end"]]}
            for one in prediction["words"]
        ]
    return found


def _detected(prediction: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the things found, their corners cut to whole pixels as transformers does."""
    found = (prediction[name] for name in ("labels", "scores", "boxes"))
    corners = ("xmin", "ymin", "xmax", "ymax")
    return [
        {"label": label, "score": score, "box": dict(zip(corners, map(int, box), strict=True))}
        for label, score, box in zip(*found, strict=True)
    ]


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
        body, most = await bodies.read(request), service.limits.max_queue
        if asking.suited(model, asking.WRITES):
            return await hub_texts.answered(service, model, parse_texts(body, model, most))
        asked = parse(body, model, most)
        found = await service.predict(model.name, asked.inputs, asked.parameters)
        if asked.parameters.get("words"):
            for one in found:
                asking.must_have_words(one, model, "return_timestamps")
        mask = model.mask if asked.pipeline == "fill-mask" else ""
        return answer(answered(asked, found, mask))

    models = list(service.models.values())
    body = examples.documented({model.name: example_body(model) for model in models}, models)

    @made.post("/", openapi_extra=body, summary="A prediction", include_in_schema=len(models) == 1)
    async def ask_only(request: Request) -> Response:
        return await ask(None, request)

    @made.post("/models/{name}", openapi_extra=body, summary="A prediction of one of several")
    async def ask_named(name: str, request: Request) -> Response:
        return await ask(name, request)

    @made.get("/health", summary="Whether each model can answer")
    async def health() -> Response:
        return _health(service.is_ready())

    @made.get("/models/{name}/health", summary="Whether a model can answer")
    async def health_of(name: str) -> Response:
        return _health(service.is_ready(service.model(name).name))

    @made.get("/info", summary="What the model is", include_in_schema=len(models) == 1)
    async def info() -> Response:
        return answer(_info(service.model(None)))

    @made.get("/models/{name}/info", summary="What a model is")
    async def info_of(name: str) -> Response:
        return answer(_info(service.model(name)))

    return made


def _health(is_ready: bool) -> Response:
    return answer({"ready": is_ready}, 200 if is_ready else 503)


def _info(model: Description) -> dict[str, Any]:
    """Return what a model is, by the names that text-generation-inference has for it."""
    return {
        "model_id": model.name,
        "model_sha": model.sha256,
        "model_pipeline_tag": model.pipelines[0],
        "deployment": model.deployment,
    }
