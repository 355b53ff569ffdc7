"""Where the project keeps what it can make again."""

import os
from pathlib import Path

from tasks.paths import expanded


def folder() -> Path:
    """`$ZOO_CACHE`, else `~/.cache/zoo`; not made here, so that asking leaves no trace."""
    asked = os.environ.get("ZOO_CACHE")
    return expanded(asked) if asked else Path.home() / ".cache" / "zoo"
