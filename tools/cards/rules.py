"""The lists that the Hub checks metadata against, and ids that look like its own.

`hub_rules.json` names where each list is from. Language codes are those that the package datasets
ships; nothing of it is imported.
"""

import functools
import importlib.util
import json
import re
from pathlib import Path

COMMIT = re.compile(r"([0-9a-f]{40})(?:/(.+))?")
"""The fingerprint of a data set of the Hub; see `tasks.data.source.Source`."""


@functools.cache
def _rules() -> dict[str, list[str]]:
    path = Path(__file__).with_name("hub_rules.json")
    rules: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return rules


def licenses() -> frozenset[str]:
    """Identifiers of the Hub's licences."""
    return frozenset(_rules()["licenses"])


def pipeline_tags() -> frozenset[str]:
    """Return the tasks that the Hub knows, as `pipeline_tag` of a card names them."""
    return frozenset(_rules()["pipeline_tags"])


def base_model_relations() -> frozenset[str]:
    """Return the relations of a model to its base model that the Hub knows ("finetune",
    "quantized")."""
    return frozenset(_rules()["base_model_relations"])


@functools.cache
def languages() -> frozenset[str]:
    """Codes of ISO 639-1, 639-2 and 639-3, and the Hub's own values beside them."""
    spec = importlib.util.find_spec("datasets")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    shipped = (folder / "utils" / "resources" / "languages.json").read_text(encoding="utf-8")
    return frozenset(json.loads(shipped)) | frozenset(_rules()["other_languages"])


def hub_license(said: str) -> str | None:
    """The Hub's identifier of a licence ("Apache-2.0" is apache-2.0); None where it has none."""
    name = said.strip().lower().replace(" ", "-")
    return name if name in licenses() else None


def is_hub_id(text: object, owner: bool = False) -> bool:
    """Return whether a text can be the id of a repository on the Hub. With `owner` it must name an
    owner too: "user/name"."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    if not isinstance(text, str) or (owner and "/" not in text):
        return False
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True
