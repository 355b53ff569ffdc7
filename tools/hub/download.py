"""Single files of a repo, by the Hub's own cache, each compared with what the Hub lists."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tools.hub import bounds, layout, problems
from tools.hub.listing import Listing
from tools.hub.retries import again

MOST_WORDS = 256_000_000
"""Bytes of a file that is read as a whole: all but weights and programs."""
SPARE = 1_000_000
"""Bytes of an answer beyond those of the file."""
WRONG_SIZE = "Consistency check failed"
"""What huggingface_hub says where a file ends too early; it keeps nothing of it."""


def fetch(repo: str, path: str, there: Listing) -> Path:
    """A file of a repo, in the Hub's cache. What arrived damaged is fetched once more.

    No more bytes than the Hub lists are taken.

    Raises `UserError` where it arrives damaged again, and huggingface_hub's errors.
    """
    size = there.files[path].size
    if not path.endswith(layout.LARGE) and size > MOST_WORDS:
        raise UserError(f"{path} of {repo} has {size:,} bytes, too many for what it is: refused")
    for is_second in (False, True):
        try:
            with bounds.at_most(size + SPARE):
                found = _fetch(repo, path, there.commit, is_second)
        except OSError as error:
            if WRONG_SIZE not in str(error):
                raise
            continue
        if there.files[path].is_at(found):
            return found
        found.resolve().unlink()  # else everybody who reads the cache would get it
        found.unlink(missing_ok=True)
    raise UserError(
        f"{path} of {repo} arrived damaged twice: its bytes are not those that the Hub lists; try "
        "another network, or push it again"
    )


def record(repo: str, there: Listing | None) -> Mapping[str, Any] | None:
    """zoo.json of a repo; None where there is none, or it can't be read."""
    if there is None or layout.RECORD not in there.files:
        return None
    try:
        said = json.loads(fetch(repo, layout.RECORD, there).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _fetch(repo: str, path: str, commit: str, force: bool) -> Path:
    from huggingface_hub import hf_hub_download

    def once() -> Path:
        return Path(hf_hub_download(repo, path, revision=commit, force_download=force))

    return again(once, is_final=_was_retried)


def _was_retried(error: Exception) -> bool:
    """Return whether huggingface_hub has already tried again after an error of a download: it does
    so for the content of a file, and not for its header. Where the header fails, another error has
    this one as its cause."""
    answer = getattr(error, "response", None)
    if answer is None:
        return problems.is_silence(error)
    return answer.status_code in (408, 429)
