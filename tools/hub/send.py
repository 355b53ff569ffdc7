"""One commit with everything, or none."""

from collections.abc import Callable
from typing import Any

from tools.hub import listing, problems
from tools.hub.listing import Changes, Listing
from tools.hub.refused import PushRefused
from tools.hub.retries import again, understood
from tools.hub.uploads import must_be_unchanged

THREADS = 4
MOVED = frozenset((409, 412))
"""What the Hub answers where the branch has gone on since it was listed."""


class Moved(Exception):
    """Somebody has committed meanwhile: nothing was changed, and all has to be compared anew."""


class Unsure(Exception):
    """The Hub could not be asked whether the commit was made, or what it has changed."""


def send(
    api: Any, repo: str, revision: str, changes: Changes, parent: Listing, message: str
) -> Listing:
    """Uploads what is new, commits it, and reads back what lies there now.

    Args:
        parent: what the changes were found against; the commit is made on no other.

    Raises:
        Moved: the branch has gone on.
        Unsure: whether the commit was made can't be found out.
        Refused: what lies there afterwards is not what was sent.
        UserError: a file has changed while it was sent; nothing is committed.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(one.path, one.source) for one in changes.new]
    for addition, one in zip(additions, changes.new, strict=True):
        addition.upload_info.sha256 = bytes.fromhex(one.sha256)  # else it is computed again
    deletions = [CommitOperationDelete(path) for path in changes.gone]
    try:
        # tries again by itself; what has arrived is not sent again when the commit is
        understood(
            lambda: api.preupload_lfs_files(
                repo, additions, revision=revision, num_threads=THREADS, free_memory=False
            )
        )
    finally:
        # a file that shrinks while it is read breaks the upload off: the file is what to speak of
        must_be_unchanged(changes.new)

    def commit() -> str:
        made = api.create_commit(
            repo,
            [*additions, *deletions],
            commit_message=message,
            revision=revision,
            parent_commit=parent.commit,
        )
        return str(made.oid)

    def arrived() -> str | None:
        now = listing.read(api, repo, revision)
        is_undone = listing.compare(changes.new, now, changes.gone)
        return None if is_undone or now.commit == parent.commit else now.commit

    try:
        made = again(commit, arrived)
    except Exception as error:
        answer = problems.response(error)
        if answer is not None and answer.status_code in MOVED:
            raise Moved from error
        made = _found_out(arrived, error)
    try:
        now = listing.read(api, repo, made)
    except Exception as error:
        raise Unsure from error
    check(repo, changes, now)
    return now


def _found_out(arrived: Callable[[], str | None], error: Exception) -> str:
    """The commit, if it was made although the last answer to it was an error; raises that error
    where it was not."""
    try:
        found = again(arrived)
    except Exception:
        raise Unsure from error
    if found is None:
        raise error
    return found


def check(repo: str, changes: Changes, now: Listing) -> None:
    """Raises `PushRefused`, naming every file that does not lie in the repo as it was sent."""
    wrong = []
    for one in (*changes.new, *changes.unchanged):
        there = now.files.get(one.path)
        if there is None:
            wrong.append(f"{one.path} is missing")
        elif not there.is_same(one):
            wrong.append(f"{one.path} has {there.size:,} bytes that are not the {one.size:,} sent")
    wrong += [f"{path} is still there" for path in changes.gone if path in now.files]
    if wrong:
        raise PushRefused(
            f"{repo} at {now.commit[:12]} is not what was sent: {'; '.join(wrong)}; push again"
        )
