"""A checkpoint with its card, made once."""

from pathlib import Path

import pytest

from tests.tools.cards.folders import Folder, full
from tools.cards.write import write


@pytest.fixture(scope="session")
def carded(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A checkpoint of which everything was measured, and its card. Copy it to change it."""
    folder = full(tmp_path_factory.mktemp("carded") / "run")
    write(folder.path)
    return folder


@pytest.fixture
def copy(carded: Folder, tmp_path: Path) -> Folder:
    """A copy of it to be changed."""
    return carded.copy(tmp_path / "copy")
