"""Which base models may be published again."""

from pathlib import Path

import pytest

from tasks.atomic import write_json
from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import TinyHub
from tools.cards import rules
from tools.hub import licenses
from zoo.model import registry
from zoo.store.checkpoint import read_manifest


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"model": None, "license": None}, None),
        ({"repo": "a/b", "license": "Apache-2.0"}, None),
        ({"repo": "a/b", "license": "cc-by-nc-4.0"}, None),
        ({"repo": "a/b", "license": None}, "not known"),
        ({"repo": "a/b", "license": "cc-by-nc-nd-4.0"}, "no altered copies"),
        ({"repo": "a/b", "license": "other"}, "a person has to read"),
        ({"repo": "a/b", "license": "llama3"}, "a person has to read"),
        ({"model": "weights", "sha256": None, "license": None}, "not known"),
    ],
)
def test_what_stands_against_it(source: dict[str, str | None], said: str | None) -> None:
    fault = licenses.fault(source)
    assert fault is None if said is None else fault is not None and said in fault


def test_they_are_licences_of_the_hub() -> None:
    assert rules.licenses() >= licenses.FREE | set(licenses.FORBIDDING)
    assert not licenses.FREE & set(licenses.FORBIDDING)


def test_every_preset_of_the_zoo_may_be_published() -> None:
    for entry in registry.entries():
        for preset in entry.presets.values():
            assert licenses.fault({"repo": preset.repo, "license": preset.license}) is None


def test_a_push_asks_and_can_be_answered(hub: TinyHub, checkpoint: Path) -> None:
    manifest = read_manifest(checkpoint)
    source = {"model": "big", "repo": "big/model", "sha256": None, "license": "cc-by-nd-4.0"}
    write_json(checkpoint / "zoo.json", {**manifest, "source": source})
    (checkpoint / "README.md").unlink()
    done = hub_cli("push", checkpoint, "user/x")
    assert done.code == 1 and "--accept_license" in done.err and hub.repos == {}
    push(checkpoint, "user/x", "--accept_license")
