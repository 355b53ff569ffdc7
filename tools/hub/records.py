"""The records of a revision without its weights: what its card says, and what diff compares."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.errors import UserError
from tools.hub import download, folder, layout
from tools.hub.listing import Listing
from zoo.store.checkpoint_schema import is_plain


@contextmanager
def fetched(repo: str, there: Listing) -> Iterator[Path]:
    """A folder with the records of a revision, laid out as in a checkpoint, which goes away.

    Raises `UserError` where they are none of the zoo's.
    """
    must_be_ours(repo, there)
    paths = [
        path for path in there.files if layout.allowed(path) and not path.endswith(layout.LARGE)
    ]
    files = {path: download.fetch(repo, path, there) for path in paths}
    with TemporaryDirectory(prefix="zoo-hub-") as temporary:
        folder.lay_out(files, Path(temporary), shutil.copyfile, partly=True)
        yield Path(temporary)


def must_be_ours(repo: str, there: Listing) -> None:
    """Raises `UserError` for a repo that no checkpoint of the zoo's was pushed to, and for paths
    that would end elsewhere than below a folder."""
    if strange := sorted(path for path in there.files if not is_plain(path)):
        raise UserError(f"{repo} holds {strange[0]!r}, which would lie outside a folder: refused")
    for name in (layout.RECORD, "config.json"):
        if name not in there.files:
            raise UserError(
                f"{repo} at {there.commit[:12]} is no checkpoint of the zoo's: it has no {name} "
                "(transformers loads other models by itself)"
            )
