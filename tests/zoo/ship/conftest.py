"""A tiny checkpoint for the tests of ship."""

from pathlib import Path

import pytest

from tests import tiny_models


@pytest.fixture(scope="session")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cnn_cls. Copy it to change it."""
    folder = tmp_path_factory.mktemp("cnn")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)
