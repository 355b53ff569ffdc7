"""Which programs were made on this machine.

TorchScript, torch.export's and AOTInductor's programs are code, or are read by what may run code,
so those that came from elsewhere (the Hub, a colleague) are never loaded: they are exported anew
from the weights. What was exported here is known by its digest, in a file of the user's.
"""

import os
from pathlib import Path

from tasks.errors import UserError
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.known import RUNTIMES
from zoo.store import append_only


def path() -> Path:
    """The file of digests, one a line."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "zoo" / "exported_here"


def record_exported_here(artifact: Artifact) -> None:
    """Notes that an artifact was made here, where that is asked when it is loaded."""
    if not RUNTIMES[artifact.deployment.runtime].is_code:
        return
    append_only.append(path(), artifact.digest + "\n")


def must_be_trusted(artifact: Artifact) -> None:
    """Raises `UserError` for a program that is code and was not made here."""
    if not RUNTIMES[artifact.deployment.runtime].is_code:
        return
    if not path().exists() or artifact.digest not in path().read_text().split():
        raise UserError(
            f"{artifact.folder} was not exported on this machine, and {artifact.deployment} is "
            f"code: export it here (the verb export, `runtime` {artifact.deployment})"
        )
