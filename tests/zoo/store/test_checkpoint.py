"""A checkpoint is read as what it is, or refused in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.errors import UserError
from tests import tiny_models
from tests.faults.planted import change, sign
from zoo.store.checkpoint import MANIFEST, open_checkpoint


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of bert_cls; copy it to change it."""
    folder = tmp_path_factory.mktemp("trained")
    return tiny_models.checkpoint("bert_cls", request.getfixturevalue, folder)


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../outside", "a/../../outside", "", ".", "a\\b", "C:x", "a\nb", "\0"]
)
def test_a_name_that_leaves_the_folder_is_refused(name: str, checkpoint: Path) -> None:
    (checkpoint.parent / "outside").write_text("secret")
    change(checkpoint / MANIFEST, lambda m: m["files"].update({name: "0" * 64}))
    with pytest.raises(UserError, match="outside of its folder") as told:
        open_checkpoint(checkpoint)
    assert "\n" not in str(told.value)


def test_a_link_that_leaves_the_folder_is_refused(checkpoint: Path) -> None:
    outside = checkpoint.parent / "outside"
    (checkpoint / "tokenizer.json").rename(outside)
    (checkpoint / "tokenizer.json").symlink_to(outside)
    with pytest.raises(UserError, match=r"tokenizer\.json is a link to what lies outside"):
        open_checkpoint(checkpoint)


def test_links_inside_and_those_of_the_hubs_cache_are_taken(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "weights")
    (checkpoint / "model.safetensors").symlink_to("weights")
    open_checkpoint(checkpoint)
    root = checkpoint.parent / "models--me--x"
    (root / "blobs").mkdir(parents=True)
    shutil.copytree(checkpoint, root / "snapshots" / "abc")
    for path in (root / "snapshots" / "abc").glob("*.json"):
        path.rename(root / "blobs" / path.name)
        path.symlink_to(Path("../../blobs") / path.name)
    open_checkpoint(root / "snapshots" / "abc")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m.update(model=3), "model is 3, not a text"),
        (lambda m: m.update(files=[]), "files is [], not an object"),
        (lambda m: m["files"].update({"config.json": 3}), "config.json is 3, not a text"),
        (lambda m: m.update(config=[]), "config is [], not an object"),
        (lambda m: m["config"].pop("task"), "it has no config.task"),
        (lambda m: m.pop("data"), "it has no data"),
        (lambda m: m["data"].update(fingerprint=None), "data.fingerprint is None, not a text"),
        (lambda m: m.update(seed="42"), "seed is '42', not an integer"),
        (lambda m: m.update(schema=2), "it is of schema 2, and this version knows 1"),
        (lambda m: m.update(schema="1"), "schema is '1', not an integer"),
        (lambda m: m["config"]["task"].update(labels="ab"), "config.task.labels is 'ab', not a"),
        (lambda m: m["config"]["task"].update(labels=[1, 2]), "labels[0] is 1, not a text"),
        (lambda m: m["config"]["task"].pop("labels"), "config.task is not that of"),
        (
            lambda m: m["config"]["task"]["args"].update(threshold="x"),
            "`threshold` 'x' is no number",
        ),
        (lambda m: m["config"]["task"]["args"].update(long_texts="x"), "long_texts is 'x', none"),
        (lambda m: m["config"]["task"]["args"].update(new=1), "config.task is not that of"),
        (lambda m: m["config"]["data"].update(test_size="a"), "config.data.test_size is 'a'"),
        (lambda m: m["config"]["data"].update(new=1), "config.data has 'new', which is not known"),
        (lambda m: m["config"]["options"].update(new=1), "config.options has 'new'"),
        (lambda m: m["config"]["train"].update(learning_rate=[]), "learning_rate is [], not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_zoo_json_is_held_against_its_types(
    edit: Callable[[dict[str, Any]], object], said: str, checkpoint: Path
) -> None:
    change(checkpoint / MANIFEST, edit)
    with pytest.raises(UserError) as told:
        open_checkpoint(checkpoint)
    assert said in str(told.value) and MANIFEST in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff\x00", b"[" * 50_000, b'{"a":' * 50_000],
    ids=["empty", "cut", "list", "null", "number", "nothing", "binary", "deep", "deep objects"],
)
def test_zoo_json_that_is_none_is_told(content: bytes, checkpoint: Path) -> None:
    (checkpoint / MANIFEST).write_bytes(content)
    with pytest.raises(UserError, match=r"zoo\.json is damaged"):
        open_checkpoint(checkpoint)


def test_a_processor_of_another_checkpoint_is_told(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    import zoo

    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    change(folder / "preprocessor_config.json", lambda c: c.update(image_mean=[0.1, 0.2, 0.3]))
    sign(folder)
    with pytest.raises(UserError, match=r"mean \(0\.5, 0\.5, 0\.5\).*\(0\.1, 0\.2, 0\.3\)"):
        zoo.load(str(folder))


def test_an_unchanged_checkpoint_is_opened(checkpoint: Path) -> None:
    found = open_checkpoint(checkpoint)
    assert found.task.labels == ("negative", "positive")  # type: ignore[attr-defined]
    assert found.manifest == json.loads((checkpoint / MANIFEST).read_text())


def test_a_record_from_before_images_had_a_background(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """As commit b7db848 wrote it, before transparency was looked at: it opens and reads alike."""
    import zoo

    folder = tiny_models.checkpoint("cnn_cls", request.getfixturevalue, tmp_path)
    image = next(request.getfixturevalue("images").rglob("*.png"))
    before = zoo.load(str(folder)).predict(str(image))

    def forget(manifest: dict[str, Any]) -> None:
        for name in ("background", "resize", "value_range"):
            del manifest["config"]["task"]["args"][name]

    change(folder / MANIFEST, forget)
    assert zoo.load(str(folder)).predict(str(image)) == before


@pytest.mark.parametrize("name", ["tokenizer_config.json", "zoo.json"])
def test_a_folder_in_a_file_s_place_leaves_the_others_as_they_were(
    name: str, checkpoint: Path
) -> None:
    import zoo
    from zoo.store.checkpoint import write

    found = zoo.load(str(checkpoint))
    with torch.no_grad():
        next(found.model.parameters()).add_(1.0)
    (checkpoint / name).unlink()
    (checkpoint / name).mkdir()
    before = {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()}
    with pytest.raises(IsADirectoryError):
        write(checkpoint, found.model, found.processor, {})
    assert {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()} == before
