"""The verb push: checks first, then one commit with everything, then a look at what arrived."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tools.hub import checks, diff, download, layout, licenses, listing, names, problems
from tools.hub.args import PushArgs
from tools.hub.fail_if import ChangeCondition
from tools.hub.listing import Changes, Listing
from tools.hub.onnx_layout import chosen
from tools.hub.publication import Publication, publication, sums
from tools.hub.refused import PushRefused
from tools.hub.retries import again
from tools.hub.send import Moved, Unsure, send
from zoo.machine import terminal
from zoo.machine.formatting import size
from zoo.runtimes.artifacts import Artifact
from zoo.store.checkpoint import Checkpoint, open_checkpoint

ROUNDS = 3
"""How often all is compared anew because somebody else has committed."""
UNTOUCHED = "nothing in the repo was changed, and nothing here was lost"
UNSURE = "the repo is complete or as it was: the same command finds out, and sends what is missing"


@dataclass(frozen=True)
class Target:
    """A branch of a repo, and what is to lie there."""

    repo: str
    revision: str
    private: bool
    publication: Publication


def push(args: PushArgs) -> None:
    """Publishes a checkpoint.

    Raises:
        UserError: a name that is not allowed, no such folder, an artifact that there is not, no
            token, no permission, no network.
        Refused: the checkpoint, its card or its licence does not pass, or what arrived is wrong.
    """
    repo = names.repo(args.repo)
    conditions = [ChangeCondition.parse(text) for text in args.fail_if]
    checkpoint = open_checkpoint(args.checkpoint)
    checks.evidence_is_there(checkpoint)
    artifacts = chosen(args.checkpoint, args.artifacts)
    fault = licenses.fault(checkpoint.manifest.get("source") or {})
    if fault and not args.accept_license:
        raise PushRefused(fault)
    checks.card(args.checkpoint)
    with tempfile.TemporaryDirectory(prefix="zoo-hub-") as folder:
        for target in list(_targets(args, repo, checkpoint, artifacts, Path(folder))):
            if args.dry_run:
                _dry_run(target)
            else:
                _push(target, args.message, conditions)


def _targets(
    args: PushArgs, repo: str, checkpoint: Checkpoint, artifacts: Sequence[Artifact], workshop: Path
) -> Iterator[Target]:
    """Return the repo of the variant where one is asked for, and then the repo itself."""
    if args.variant_repo:
        name = names.repo(args.variant_repo)
        if name == repo:
            raise UserError("--variant_repo is a repo of its own, not the same again")
        if not artifacts:
            raise UserError(f"--variant_repo: {checkpoint.folder} has no ONNX artifacts for it")
        made = publication(checkpoint, artifacts, name, workshop / "variant", base=repo)
        yield Target(name, args.revision, args.private, made)
        artifacts = []  # only now that they are elsewhere may they go from the repo
    made = publication(checkpoint, artifacts, repo, workshop / "own")
    yield Target(repo, args.revision, args.private, made)


def _dry_run(target: Target) -> None:
    """Compares where that can be done without further ado; says where it can't."""
    from tools.hub.connection import connect

    there, ours, why = None, list[str](), ""
    try:
        there = _listed(connect(), target)
        ours = _ours(target, there)
    except UserError as error:
        why = str(error).partition(";")[0]
    except Exception as error:
        why = str(problems.as_user_error(error, target.repo, UNTOUCHED)).partition(";")[0]
    changes = listing.compare(target.publication.uploads, there, ours)
    _show(target, changes, there, is_known=not why)
    if why:
        terminal.lines(f"not compared with the repo: {why}")
    terminal.lines("dry run: nothing was sent")


def _push(target: Target, message: str | None, conditions: Sequence[ChangeCondition]) -> None:
    from tools.hub.connection import connect

    api = connect(write=True)
    with _explained(target.repo):
        for _ in range(ROUNDS):
            try:
                _push_once(api, target, message, conditions)
                return
            except Moved:
                terminal.lines(f"{target.repo} has a new commit: comparing anew")
    raise UserError(
        f"{target.repo} goes on changing while it is compared: push again later; {UNTOUCHED}"
    )


def _push_once(
    api: Any, target: Target, message: str | None, conditions: Sequence[ChangeCondition]
) -> None:
    repo = target.repo
    there = _listed(api, target) or _make(api, target)
    if target.private and not there.is_private:
        raise UserError(
            f"{repo} is public, and --private is for repos that are made anew: make it private on "
            "its page, in the settings; nothing was sent"
        )
    changes = listing.compare(target.publication.uploads, there, _ours(target, there))
    _show(target, changes, there)
    diff.must_not_hold(conditions, repo, there, target.publication.folder)
    if not changes:
        terminal.lines(f"nothing to send: {repo} has all of it, at {there.commit[:12]}")
        return
    said = message or f"Checkpoint, card and evidence: {len(changes.new)} files"
    now = send(api, repo, target.revision, changes, there, said)
    terminal.lines(
        f"{repo} is complete at {now.commit[:12]}: {len(changes.new)} files sent, "
        f"{len(changes.gone)} removed, every sum as it was sent",
        f"{api.endpoint}/{repo}/commit/{now.commit}",
    )


@contextlib.contextmanager
def _explained(repo: str) -> Iterator[None]:
    """A context in which an error of the Hub becomes a `UserError` of one sentence."""
    try:
        yield
    except (UserError, PushRefused):
        raise
    except Exception as error:
        state = UNSURE if isinstance(error, Unsure) else UNTOUCHED
        raise problems.as_user_error(error, repo, state) from None


def _listed(api: Any, target: Target) -> Listing | None:
    """Return the files of the branch; None where there is no repo or no such branch."""
    from huggingface_hub import errors

    try:
        return listing.read(api, target.repo, target.revision)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        return None


def _ours(target: Target, there: Listing | None) -> list[str]:
    """Return the paths that an earlier push has brought, and that this one may remove."""
    said = download.record(target.repo, there)
    try:
        return [path for path in sums(said or {}) if layout.allowed(path)]
    except ValueError:  # it was damaged on the Hub, and this push mends it
        return []


def _make(api: Any, target: Target) -> Listing:
    """Makes the repo and the branch, and lists what is in it from the beginning."""
    again(lambda: api.create_repo(target.repo, private=target.private, exist_ok=True))
    if target.revision != "main":
        again(lambda: api.create_branch(target.repo, branch=target.revision, exist_ok=True))
    return listing.read(api, target.repo, target.revision)


def _show(target: Target, changes: Changes, there: Listing | None, is_known: bool = True) -> None:
    new = {one.path for one in changes.new}
    files = there.files if there else {}

    def state(path: str) -> str:
        if path not in new:
            return "unchanged"
        if path in files:
            return "changed"
        return "new" if is_known else "?"

    uploads = target.publication.uploads
    rows = [(one.path, size(one.size), state(one.path)) for one in uploads]
    rows += [(path, "", "removed") for path in changes.gone]
    sent = sum(one.size for one in changes.new)
    terminal.table(
        ("file", "size", ""),
        rows,
        title=f"{target.repo}, {target.revision}: {len(uploads)} files, "
        f"{size(target.publication.size)}, of which {size(sent)} to send",
    )
