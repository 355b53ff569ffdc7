"""Writes the card of a checkpoint."""

from pathlib import Path

from tasks.atomic import write_text
from tasks.errors import UserError
from tools.cards import confusions, eval_results, metadata, picture, record, render, sizes, validate
from tools.cards.facts import Facts
from zoo.store import evidence


def write(folder: Path) -> Path:
    """Renders README.md into a checkpoint, with its pictures, and gives its path.

    How large the weights are is measured and added to the evidence where it does not say so yet.

    Raises:
        UserError: no checkpoint, no evidence, or a `card.md` that can't be read or says what the
            Hub refuses; nothing is written then.
        OSError: the disk is full; what stood there before stands.
    """
    found = record.read(folder)
    for fault in validate.faults(metadata.of_record(found)):
        raise UserError(f"{folder}: the card's metadata would be refused by the Hub: {fault}")
    if made := sizes.unknown(found):
        evidence.append(folder, made)
        found = record.read(folder)
    picture.draw(Facts(found))
    confusions.draw(Facts(found))
    eval_results.write(found)
    target = folder / render.FILE
    write_text(target, render.render(found))
    return target
