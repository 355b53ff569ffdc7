"""A file that changes while it is pushed: what is complete can be pulled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import Fault, TinyHub

REPO = "user/reviews"


class Writes(Fault):
    """Somebody writes to a file of the checkpoint when a call is made."""

    def __init__(self, call: str, file: Path) -> None:
        super().__init__(call, 500)
        self.file = file

    def strikes(self, call: str, path: str) -> bool:
        if call == self.call and not self.seen:
            self.seen = 1
            self.file.write_bytes(self.edited(self.file.read_bytes()))
        return False

    def edited(self, content: bytes) -> bytes:
        return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


class Cuts(Writes):
    """Somebody cuts a file of the checkpoint short when a call is made."""

    def edited(self, content: bytes) -> bytes:
        return content[: len(content) // 2]


def _each(calls: Sequence[str], ways: Sequence[Any]) -> list[Any]:
    """Each call in each way; in the quick suite each call in one, and each way at one."""
    return [
        pytest.param(call, way, marks=[] if i % len(ways) == j else pytest.mark.slow)
        for i, call in enumerate(calls)
        for j, way in enumerate(ways)
    ]


NAMES = ("config.json", "tokenizer.json", "evidence.jsonl", "README.md")


@pytest.mark.parametrize(
    ("call", "name"), _each(("alive", "info", "create", "preupload", "commit"), NAMES)
)
def test_what_was_read_is_what_is_sent(
    hub: TinyHub, checkpoint: Path, tmp_path: Path, call: str, name: str
) -> None:
    before = {path: (checkpoint / path).read_bytes() for path in ("config.json", "tokenizer.json")}
    fault = Writes(call, checkpoint / name)
    hub.fault(fault)
    push(checkpoint, REPO)
    assert fault.seen
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0 and "every sum as it was pushed" in done.out, done.err
    assert "edited" not in done.out
    assert all((tmp_path / "pulled" / path).read_bytes() == before[path] for path in before)


WAYS = ((True, Writes), (False, Cuts), (True, Cuts), (False, Writes))


@pytest.mark.parametrize(
    ("call", "way"), _each(("alive", "info", "create", "preupload", "batch", "upload"), WAYS)
)
def test_weights_that_change_are_not_committed(
    hub: TinyHub,
    checkpoint: Path,
    call: str,
    way: tuple[bool, type[Writes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether or not the Hub looks at what it is given."""
    looks, kind = way
    monkeypatch.setattr(hub, "looks", looks)
    hub.fault(kind(call, checkpoint / "model.safetensors"))
    done = hub_cli("push", checkpoint, REPO)
    said = done.err.splitlines()[-1]
    assert done.code == 2 and "nothing in the repo was changed" in said
    assert "model.safetensors has changed while" in said or (looks and "not take what" in said)
    assert set(hub.repos[REPO].files()) == {".gitattributes"}
    done = hub_cli("push", checkpoint, REPO)
    assert done.code == 2 and "model.safetensors" in done.err  # they are not what was saved


@pytest.mark.parametrize("name", ["model.onnx", "export.json"])
def test_programs_are_those_that_were_proven(
    hub: TinyHub, with_onnx: Path, tmp_path: Path, name: str
) -> None:
    hub.fault(Writes("preupload", with_onnx / "artifacts" / "onnx" / name))
    push(with_onnx, REPO)
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
