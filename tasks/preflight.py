"""What a check of the data found, before hours are spent on them."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line, with its numbers."""

    level: Literal["warning", "error"]
    """An error stops the run."""
    message: str
