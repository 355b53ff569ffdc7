"""What has to be in order before anything is sent."""

from pathlib import Path

from tasks.errors import UserError
from tools.hub import layout
from tools.hub.refused import PushRefused
from zoo.machine import commands
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint


def evidence_is_there(checkpoint: Checkpoint) -> None:
    """Raises `UserError` where nothing was measured of these very weights."""
    subject = evidence.subject_digest(checkpoint.folder)
    if not any(fact.subject == subject for fact in evidence.read(checkpoint.folder)):
        raise UserError(
            f"{checkpoint.folder} has no evidence about the weights that lie there: "
            f"{commands.python(checkpoint.entry.module, 'evaluate', checkpoint.folder)}"
        )


def card(folder: Path) -> None:
    """Writes the card where there is none. Raises `PushRefused` where the one there is does not
    fit."""
    from tools.cards import check, write

    if not (folder / layout.CARD).exists():
        write.write(folder)
    if faults := check.faults(folder):
        command = commands.python("tools.cards", folder)
        raise PushRefused(*faults, f"mend it ({command}): nothing was sent")
