"""The Hub's rules for metadata, offline: https://huggingface.co/docs/hub/model-cards and the
specification in modelcard.md of huggingface/hub-docs.

The Hub itself has the last word (`ModelCard.validate`); what is found here it refuses or ignores.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlparse

from tools.cards import rules

LISTS = ("tags", "datasets", "metrics")
DATASET_TYPE = re.compile(r"[\w./-]+")


def faults(metadata: Mapping[str, Any]) -> list[str]:
    """Return the faults of a card's metadata, each in one line that names the place."""
    # nulls alone, where there are any: what follows takes them for absent, or for other types
    found = list(_nulls("", metadata)) or [
        *_license(metadata),
        *_languages(metadata),
        *_names(metadata),
        *_base_model(metadata),
        *_model_index(metadata),
    ]
    return [" ".join(fault.split()) for fault in found]


def _nulls(place: str, value: Any) -> Iterator[str]:
    if value is None:
        yield f"{place} is null: leave it out"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _nulls(f"{place}.{key}" if place else str(key), one)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _nulls(f"{place}[{number}]", one)


def _listed(metadata: Mapping[str, Any], key: str) -> list[Any]:
    value = metadata.get(key, [])
    return value if isinstance(value, list) else [value]


def _license(metadata: Mapping[str, Any]) -> Iterator[str]:
    for one in _listed(metadata, "license"):
        if not isinstance(one, str) or one not in rules.licenses():
            yield (
                f"license {one!r} is none of the Hub's: see "
                "https://huggingface.co/docs/hub/repositories-licenses, or say other"
            )
    if "other" in _listed(metadata, "license"):
        for key in ("license_name", "license_link"):
            if not isinstance(metadata.get(key), str):
                yield f"license is other, so {key} must say which"


def _languages(metadata: Mapping[str, Any]) -> Iterator[str]:
    for one in _listed(metadata, "language"):
        if not isinstance(one, str) or one not in rules.languages():
            yield f"language {one!r} is no code of ISO 639, such as en or yue"


def _names(metadata: Mapping[str, Any]) -> Iterator[str]:
    tag = metadata.get("pipeline_tag")
    if tag is not None and (not isinstance(tag, str) or tag not in rules.pipeline_tags()):
        yield f"pipeline_tag {tag!r} is none of the Hub's tasks"
    if not isinstance(metadata.get("library_name", ""), str):
        yield f"library_name is no text: {metadata['library_name']!r}"
    for key in LISTS:
        value = metadata.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            yield f"{key} is no list of texts: {value!r}"
    for one in _listed(metadata, "datasets"):
        if not rules.is_hub_id(one):
            yield f"datasets: {one!r} is no id of the Hub, such as stanfordnlp/imdb"


def _base_model(metadata: Mapping[str, Any]) -> Iterator[str]:
    for one in _listed(metadata, "base_model"):
        if not rules.is_hub_id(one):
            yield f"base_model {one!r} is no id of the Hub, such as google-bert/bert-base-uncased"
    relation = metadata.get("base_model_relation")
    if relation is None:
        return
    if not isinstance(relation, str) or relation not in rules.base_model_relations():
        known = ", ".join(sorted(rules.base_model_relations()))
        yield f"base_model_relation {relation!r} is none of {known}"
    if "base_model" not in metadata:
        yield "base_model_relation says how, and no base_model says from what"


def _model_index(metadata: Mapping[str, Any]) -> Iterator[str]:
    index = metadata.get("model-index", [])
    if not isinstance(index, list):
        yield "model-index is no list"
        return
    for number, model in enumerate(index):
        place = f"model-index[{number}]"
        if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
            yield f"{place}.name is no text"
            continue
        results = model.get("results")
        if not isinstance(results, list) or not results:
            yield f"{place}.results is no list of results"
            continue
        for i, result in enumerate(results):
            if isinstance(result, Mapping):
                yield from _result(f"{place}.results[{i}]", result)
            else:
                yield f"{place}.results[{i}] has no fields"


def _result(place: str, result: Mapping[str, Any]) -> Iterator[str]:
    parts = {name: result.get(name) for name in ("task", "dataset", "source") if name in result}
    for name, required, optional in (
        ("task", ("type",), ("name",)),
        ("dataset", ("type", "name"), ("config", "split", "revision")),
        ("source", ("url",), ("name",)),
    ):
        if name in parts or name != "source":
            yield from _texts(f"{place}.{name}", parts.get(name), required, optional)
    dataset, source = parts.get("dataset"), parts.get("source")
    if isinstance(dataset, Mapping):
        kind = dataset.get("type")
        if isinstance(kind, str) and not DATASET_TYPE.fullmatch(kind):
            yield f"{place}.dataset.type {kind!r} does not look like the id of a data set"
        yield from _arguments(f"{place}.dataset.args", dataset)
    if isinstance(source, Mapping) and isinstance(source.get("url"), str):
        parsed = urlparse(source["url"])
        if parsed.scheme not in ("http", "https") or not parsed.netloc:
            yield f"{place}.source.url {source['url']!r} is no address"
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f"{place}.metrics is no list of metrics"
        return
    for number, metric in enumerate(metrics):
        where = f"{place}.metrics[{number}]"
        yield from _texts(where, metric, ("type",), ("name", "config"))
        if isinstance(metric, Mapping):
            yield from _arguments(f"{where}.args", metric)
            if not _is_value(metric.get("value")):
                yield f"{where}.value is neither a finite number nor a text"


def _texts(
    place: str, part: Any, required: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[str]:
    if not isinstance(part, Mapping):
        yield f"{place} has no fields"
        return
    for key in required:
        if not isinstance(part.get(key), str) or not part[key]:
            yield f"{place}.{key} is no text"
    for key in optional:
        if key in part and not isinstance(part[key], str):
            yield f"{place}.{key} is no text: {part[key]!r}"


def _arguments(place: str, part: Mapping[str, Any]) -> Iterator[str]:
    given = part.get("args", {})
    if not isinstance(given, Mapping):
        yield f"{place} has no names: {given!r}"
        return
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str):
            yield f"{place}.{key} is no text: {value!r}"


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
