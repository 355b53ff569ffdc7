"""The token is used, and is nowhere to be read."""

import logging
from pathlib import Path

import pytest

from tests.tools.hub.running import hub_cli
from tests.tools.hub.tiny_hub import TOKEN, Fault, TinyHub

REPO = "user/reviews"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("alive", "slow"),
        Fault("commit", 401),
        Fault("upload", 403),
        Fault("upload", "cut"),
        Fault("commit", 500, 9),
    ],
    ids=lambda fault: f"{fault.call}-{fault.kind}",
)
def test_it_is_not_printed_written_or_logged(
    hub: TinyHub,
    checkpoint: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    fault.seen = 0
    hub.fault(fault)
    with caplog.at_level(logging.WARNING):
        done = hub_cli("push", checkpoint, REPO)
        hub.fault()
        hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    said = [done.out, done.err, caplog.text]
    assert not any(TOKEN in text or "presigned" in text for text in said)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
    for repo in hub.repos.values():
        for commit in repo.commits.values():
            assert TOKEN not in commit.message
            assert not any(TOKEN.encode() in file.content for file in commit.files.values())
