"""What the protocols share between a request and the service: which model, with what parameters."""

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import Request

from tasks.errors import UserError
from tasks.writes import Writes
from zoo.serve.description import Description
from zoo.serve.protocols.bodies import check_names, count_of, flag_of, list_of, text_of

if TYPE_CHECKING:
    from zoo.serve.service import Service

MOST_LABELS = 256
"""That weights choose from: each is a text that they read."""
ZERO_SHOT = ("zero-shot-classification", "zero-shot-image-classification")
TABULAR = ("tabular-classification", "tabular-regression")
CLASSIFIES: tuple[str, ...] = ("text-classification", "image-classification")
CLASSIFIES += ("audio-classification", *TABULAR, *ZERO_SHOT)
TRANSCRIBES = ("automatic-speech-recognition",)
WRITES = ("text-generation",)
LARGEST_SEED = 2**31
MOST_STOPS, LONGEST_STOP = 16, 256
"""Texts that end one, and the characters of each: all are looked for behind every token of it."""
EMBEDS = ("feature-extraction", "sentence-similarity")
SEGMENTS = ("image-segmentation",)


def suited(model: Description, pipelines: Iterable[str]) -> bool:
    """Whether a model answers any of these pipelines."""
    return not set(model.pipelines).isdisjoint(pipelines)


def choose(
    service: "Service", name: str | None, pipelines: tuple[str, ...], field: str = "model"
) -> Description:
    """Return the model of a name, or if none is named the only one that answers these pipelines.

    Args:
        pipelines: of which one will do.
        field: the field of the request that names the model.

    Raises:
        NotFound: there is none of this name.
        UserError: it does something else, or several would do.
    """
    if name is not None:
        model = service.model(name)
        if not suited(model, pipelines):
            raise unsuited(model, pipelines, service.models.values(), field)
        return model
    able = [model for model in service.models.values() if suited(model, pipelines)]
    if len(able) == 1:
        return able[0]
    if not able:
        raise unsuited(None, pipelines, service.models.values(), field)
    names = ", ".join(model.name for model in able)
    raise UserError("which model? there are several", field, f"name one of {names}")


def unsuited(
    model: Description | None,
    pipelines: tuple[str, ...],
    models: Iterable[Description],
    field: str,
) -> UserError:
    """Return the error of a request for what a model does not do.

    Args:
        model: the one that was named; None where there is none at all.
        models: all that are served, of which those that can do it are named.
    """
    known = list(models)
    able = [one.name for one in known if suited(one, pipelines)]
    what = " or ".join(pipelines)
    if model is not None:
        hint = f"{', '.join(able)} can" if able else None
        told = f"{model.name} does {', '.join(model.pipelines)}, and not {what}"
        return UserError(told, field, hint)
    served = "; ".join(f"{one.name} does {', '.join(one.pipelines)}" for one in known)
    return UserError(f"no model here does {what}", field, served)


def parameters_of(
    model: Description,
    top_k: Any = None,
    labels: Any = None,
    template: Any = None,
    names: tuple[str, str] = ("labels", "template"),
) -> dict[str, Any]:
    """Return the parameters of `Service.predict`, each checked; None is left out.

    Args:
        names: what the request calls `labels` and `template`.

    Raises `UserError` for labels of a model that has its own, and for weights without any.
    """
    found: dict[str, Any] = {}
    if top_k is not None:
        found["top_k"] = count_of(top_k, "top_k")
    if not suited(model, ZERO_SHOT):
        for field, given in zip(names, (labels, template), strict=True):
            if given is not None:
                raise UserError(
                    f"`{field}` is for weights that label without training, and {model.name} does"
                    f" {', '.join(model.pipelines)}",
                    field,
                    "leave it out",
                )
        return found
    if labels is None:
        raise UserError(
            f"{model.name} was not trained on labels: it wants some to choose from",
            names[0],
            f"give `{names[0]}`, a list of at least two",
        )
    found["labels"] = _labels_of(labels, names[0])
    if template is not None:
        found["template"] = text_of(template, names[1])
        if found["template"].count("{}") != 1:
            raise UserError(f"`{names[1]}` wants one {{}} where the label goes", names[1])
    return found


def to_write(
    model: Description, settings: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the parameters of `Service.predict` for a text, each checked; None is left out. One
    that is drawn without a seed has one that nobody knows: another text each time.

    Args:
        settings: as the task's `writing_as` takes them, None where one is not given.
        names: what the request calls them, where that is something else.

    Raises `UserError` for a model that writes nothing, and values that can't be.
    """
    found = {name: value for name, value in settings.items() if value is not None}
    names = {name: (names or {}).get(name, name) for name in settings}
    if "stop" in found:
        given = [found["stop"]] if isinstance(found["stop"], str) else found["stop"]
        found["stop"] = _stops_of(given, names["stop"])
    if not isinstance(model.task, Writes):
        field = names[next(iter(found))]
        raise UserError(f"`{field}` is for models that write, and not {model.name}", field)
    try:
        task: Any = model.task.writing_as(**found)
    except UserError as error:
        own = error.field or ""
        field = names.get(own, own)
        raise UserError(str(error).replace(f"`{own}`", f"`{field}`"), field) from None
    if "seed" not in found and task.writing.settings.get("do_sample"):
        found["seed"] = secrets.randbelow(LARGEST_SEED)
    return found


def with_masks(model: Description, asked: Any) -> dict[str, Any]:
    """Return the parameters of `Service.predict` for masks, empty where `asked` is None or false.

    Raises `UserError` for a model that gives pixels no classes, and for what is no flag.
    """
    if asked is None or not flag_of(asked, "masks"):
        return {}
    if not suited(model, SEGMENTS):
        told = f"`masks` is for models of {SEGMENTS[0]}, and {model.name} does"
        raise UserError(f"{told} {', '.join(model.pipelines)}", "masks", "leave it out")
    return {"masks": True}


def to_embed(top_k: Any = None, template: Any = None) -> dict[str, Any]:
    """Return the parameters of `Service.predict` for embeddings.

    Raises `UserError` for what only labels have: it would change nothing.
    """
    for field, given in (("top_k", top_k), ("template", template)):
        if given is not None:
            raise UserError(
                f"`{field}` goes with `labels`, and without them the answer is an embedding",
                field,
                "give `labels`, or leave it out",
            )
    return {"embed": True}


def _stops_of(given: Any, field: str) -> list[str]:
    """Return texts that end one. Raises `UserError` for more, or longer ones, than may be."""
    stops = list_of(given, field, text_of)
    if len(stops) > MOST_STOPS:
        raise UserError(f"`{field}` has {len(stops):,} texts: {MOST_STOPS} at most", field)
    longest = max(map(len, stops), default=0)
    if longest > LONGEST_STOP:
        raise UserError(
            f"`{field}` has a text of {longest:,} characters: {LONGEST_STOP} at most", field
        )
    return stops


def _labels_of(given: Any, field: str) -> list[str]:
    """Return labels to choose from. Raises `UserError` for fewer than two, an empty one, one that
    comes twice, and more than `MOST_LABELS`."""
    labels = [label.strip() for label in list_of(given, field, text_of)]
    if not 2 <= len(labels) <= MOST_LABELS:
        raise UserError(f"`{field}` has {len(labels):,}: from 2 to {MOST_LABELS}", field)
    if "" in labels:
        raise UserError(f"`{field}` has an empty label", field)
    twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if twice is not None:
        raise UserError(f"`{field}` has {twice[:40]!r} twice", field)
    return labels


def must_have_words(prediction: Mapping[str, Any], model: Description, field: str) -> None:
    """Raise `UserError` where a transcription has no times of its words (`words`)."""
    if "words" not in prediction:
        raise UserError(f"`{field}`: {model.name} does not tell when a word was said", field)


def every_label(model: Description) -> dict[str, Any]:
    """Return the parameters that ask a classifier for the scores of all its labels."""
    count = len(model.task.labels)
    return {"top_k": count} if count else {}


def scored(prediction: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the labels of a classifier's prediction with their scores, as many as were asked for,
    the best first."""
    if "scores" in prediction:
        pairs = list(prediction["scores"].items())
    elif isinstance(prediction["label"], list):
        pairs = list(zip(prediction["label"], prediction["score"], strict=True))
    else:
        pairs = [(prediction["label"], prediction["score"])]
    return [{"label": label, "score": score} for label, score in pairs]


def query_of(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters in the URL of a request.

    Raises `UserError` for one that is not known, or comes twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        check_names({name: value}, known, "the URL")
        if name in found:
            raise UserError(f"the URL has {name} twice", name)
        found[name] = value
    return found
