"""What a check of the data found, before hours are spent on them."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Finding:
    """A finding of the checks before training: one line of text, with its numbers."""

    level: Literal["warning", "error"]
    """An error stops the run."""
    message: str
    measure: str = dataclasses.field(default="", compare=False)
    """What `count` counts, where it is kept as evidence: "shared_with_train" for examples of
    `split` that stand in train too, "near_train" for those that nearly do, "repeated" for rows of
    `split` that repeat an earlier one, "contradictory" for examples with different labels in
    different rows."""
    split: str | None = dataclasses.field(default=None, compare=False)
    count: int = dataclasses.field(default=0, compare=False)
