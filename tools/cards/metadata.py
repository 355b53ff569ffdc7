"""The YAML metadata of a card, which the Hub reads: what is recorded, and no guess."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.metrics.spec import METRICS, title_of
from tasks.printing import visible
from tools.cards import record, rules
from tools.cards.facts import Facts
from tools.cards.numbers import reference
from tools.cards.record import Record
from zoo.store import evidence
from zoo.store.evidence import Fact

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

HUB = "https://huggingface.co"
ORDER = (
    "language",
    "license",
    "license_name",
    "license_link",
    "library_name",
    "pipeline_tag",
    "base_model",
    "base_model_relation",
    "datasets",
    "tags",
    "metrics",
)


def metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a checkpoint's card as plain data.

    Raises `UserError` where the folder is no checkpoint, has no evidence, or its `card.md` can't be
    read.
    """
    return of_record(record.read(folder))


def of_record(record: Record) -> dict[str, Any]:
    """Return the metadata of a card, as its YAML front matter has it, from records that were read
    already."""
    from huggingface_hub import ModelCardData

    front, facts = record.card_text.front, Facts(record)
    results = [_result(record, fact) for fact in facts.results]
    measured = {METRICS[fact.name].hub_id for fact in facts.results if fact.name in METRICS}
    data = ModelCardData(
        language=_one_or_all(languages(record)),
        library_name="transformers",
        pipeline_tag=record.manifest["pipeline"],
        tags=[record.entry.name, *front.get("tags", [])],
        datasets=_unique([*_datasets(record), *front.get("datasets", [])]) or None,
        metrics=sorted(filter(None, measured)) or None,
        eval_results=results or None,
        model_name=model_name(record) if results else None,
        **_license(record),
        **_base_model(record),
    )
    said: dict[str, Any] = _visible(data.to_dict())  # type: ignore[no-untyped-call]
    return {key: said[key] for key in (*ORDER, *said) if key in said}


def _visible(said: Any) -> Any:
    """Return metadata with the control characters of its texts written out, so that none ends a
    line of the YAML."""
    if isinstance(said, dict):
        return {_visible(key): _visible(value) for key, value in said.items()}
    if isinstance(said, list):
        return [_visible(value) for value in said]
    return visible(said) if isinstance(said, str) else said


def languages(record: Record) -> list[str]:
    """Codes that `card.md` gives, or the one that the model was told to write."""
    told = record.manifest["config"].get("options", {}).get("language")
    return list(record.card_text.front.get("language", [told] if told in rules.languages() else []))


def base_model(record: Record) -> str | None:
    """The Hub id of the weights that training began with; None where it began anew, or with
    weights that have no such id."""
    source = record.manifest.get("source") or {}
    if record.manifest["config"].get("options", {}).get("from_scratch"):
        return None
    repo = source.get("repo")
    return str(repo) if rules.is_hub_id(repo, owner=True) else None


def model_name(record: Record) -> str:
    """The name in the model-index: of `card.md`, or model and data."""
    name = record.card_text.front.get("name") or f"{record.entry.name}-{record.data_name}"
    return re.sub(r"[^\w.-]+", "-", name)


def hub_revision(dataset: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Commit and configuration of a fact's data set; None where it is none of the Hub's."""
    found = rules.COMMIT.fullmatch(str(dataset.get("fingerprint")))
    if found is None or not rules.is_hub_id(dataset.get("name")):
        return None
    return found[1], found[2]


def dump(said: Mapping[str, Any]) -> str:
    """The metadata as the YAML between the two lines of ---."""
    import yaml

    return yaml.safe_dump(dict(said), sort_keys=False, allow_unicode=True).strip()


def _license(record: Record) -> dict[str, Any]:
    front = record.card_text.front
    said = front.get("license")
    if said is None and base_model(record):
        said = record.manifest["source"].get("license")
    if not said:
        return {}
    if name := rules.hub_license(said):
        given = {key: front[key] for key in ("license_name", "license_link") if key in front}
        return {"license": name, **given}
    link = f"{HUB}/{base_model(record)}" if base_model(record) else "LICENSE"
    return {
        "license": "other",
        "license_name": front.get("license_name") or re.sub(r"[^a-z0-9.]+", "-", said.lower()),
        "license_link": front.get("license_link") or link,
    }


def _base_model(record: Record) -> dict[str, Any]:
    repo = base_model(record)
    return {"base_model": repo, "base_model_relation": "finetune"} if repo else {}


def _datasets(record: Record) -> list[str]:
    trained_on = record.manifest["data"]
    return [trained_on["name"]] if hub_revision(trained_on) else []


def _result(record: Record, fact: Fact) -> "EvalResult":
    """A fact as the Hub's evaluation result; the value is the evidence's, digit for digit."""
    from huggingface_hub import EvalResult

    assert fact.dataset is not None
    revision, config = hub_revision(fact.dataset) or (None, None)
    metric, pipeline = METRICS.get(fact.name), str(record.manifest["pipeline"])
    arguments = {"average": metric.average} if metric and metric.average else {}
    repo = record.card_text.front.get("repo")
    return EvalResult(
        task_type=pipeline,
        task_name=title(pipeline),
        dataset_type=re.sub(r"[^\w./-]+", "_", fact.dataset["name"]),
        dataset_name=fact.dataset["name"],
        dataset_config=config,
        dataset_split=fact.split,
        dataset_revision=revision,
        dataset_args=None if revision else {"fingerprint": str(fact.dataset["fingerprint"])},
        metric_type=(metric and metric.hub_id) or fact.name,
        metric_name=title_of(fact.name),
        metric_value=fact.value,
        metric_args={**arguments, "evidence": reference(fact)},
        source_name=evidence.FILE if repo else None,
        source_url=f"{HUB}/{repo}/blob/main/{evidence.FILE}" if repo else None,
    )


def title(pipeline: str) -> str:
    """A task of the Hub as people write it."""
    return pipeline.replace("-", " ").title()


def _one_or_all(values: list[str]) -> str | list[str] | None:
    return values[0] if len(values) == 1 else values or None


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))
