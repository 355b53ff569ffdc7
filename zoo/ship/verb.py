"""The verb ship of `python -m zoo`. Nothing here imports what is heavy."""

from collections.abc import Callable, Sequence
from typing import Any

from zoo.cli import program
from zoo.cli.args import ShipArgs
from zoo.cli.program import Verb

SUMMARY = "from data to a service, in the minutes you give"
EXAMPLES = (
    "ship reviews.csv --minutes 10 --p95_ms 20 --serve",
    "ship photos/ --minutes 5 --output_dir runs/photos",
    "ship embedded --model kws_cls",
)


def verb(parse: Callable[[str, type, Sequence[str]], Any]) -> Verb:
    """Return the verb; `parse` reads its words, given its name and the class of its flags."""

    def run(words: Sequence[str]) -> int:
        asked = parse("ship", ShipArgs, words)
        from zoo.ship.deciding import NotShipped
        from zoo.ship.ship import ship

        try:
            return ship(asked)
        except NotShipped as refused:
            return program.fail("zoo", str(refused), code=1)

    return Verb(SUMMARY, EXAMPLES, run)
