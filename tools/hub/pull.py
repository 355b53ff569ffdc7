"""The verb pull: a repo as a checkpoint folder again, every sum checked, nothing executed."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.atomic import put_in_place, staged
from tasks.data.fingerprint import sha256
from tasks.errors import UserError
from tools.hub import download, folder, layout, listing, names, problems, records
from tools.hub.args import PullArgs
from tools.hub.listing import Listing
from tools.hub.publication import is_sums, sums
from zoo.machine import terminal
from zoo.model import remote_code
from zoo.runtimes import artifacts
from zoo.runtimes.onnx_session import kept_outside, must_stay_inside
from zoo.store import checkpoint
from zoo.store.pretrained import PICKLES

PROGRAM = "tools.hub"


class Damaged(UserError):
    """The files of a repo are not those that were pushed."""


@dataclass(frozen=True)
class Pulled:
    """A checkpoint that was fetched from the Hub."""

    folder: Path
    commit: str
    left: tuple[str, ...]
    """paths in the repo that were not fetched"""
    changed: tuple[str, ...]
    """what is not as it was pushed, and decides no output: a card that was edited on the Hub"""
    has_sums: bool = True
    """whether zoo.json has the sums of all that was pushed, not of weights and tokenizer alone"""


def pull(args: PullArgs) -> None:
    """Fetches, and says what was left where it is.

    Raises `UserError` for a repo or revision that there is not, no network, what is no checkpoint
    of the zoo's, what is damaged or not safe to load, and a folder that is there already.
    """
    repo, revision = names.at_revision(args.repo)
    target = args.output_dir or Path("runs") / repo.partition("/")[2]
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is there already: name a new folder with --output_dir")
    with staged(target.parent) as staging:
        found = fetch(repo, revision, staging)
        put_in_place(staging, target)
    known = "every sum as it was pushed"
    if not found.has_sums:
        known = f"weights and tokenizer have their sums; the rest was not pushed by {PROGRAM}"
    said = [f"{repo} at {found.commit[:12]}: {target}, {known}"]
    if found.changed:
        said.append(f"edited on the Hub since it was pushed: {', '.join(found.changed)}")
    if found.left:
        said.append(f"left in the repo, being none of ours: {', '.join(found.left)}")
    terminal.lines(*said)


def fetch(repo: str, revision: str, target: Path) -> Pulled:
    """Fetches a checkpoint into an empty folder. Raises as `pull` does."""
    from tools.hub.connection import connect

    api = connect()
    try:
        there = listing.read(api, repo, revision)
        return _fetch(repo, there, target)
    except UserError as error:  # the folder's name is a passing one
        raise type(error)(str(error).replace(str(target), repo)) from None
    except Exception as error:
        raise problems.as_user_error(error, repo, "nothing was kept") from None


def _fetch(repo: str, there: Listing, target: Path) -> Pulled:
    records.must_be_ours(repo, there)
    pushed = _pushed(repo, download.record(repo, there))
    ours = {*pushed, layout.RECORD} if pushed else set(there.files)
    wanted = [path for path in there.files if layout.allowed(path) and path in ours]
    left = [path for path in there.files if path not in wanted and path != ".gitattributes"]
    _must_have_weights(repo, wanted, left)
    if missing := sorted(path for path in pushed if path not in wanted):
        raise Damaged(f"{repo} lacks {', '.join(missing)}, which was pushed: push it again")
    files = {path: download.fetch(repo, path, there) for path in wanted}
    differing = [path for path in files if path in pushed and sha256(files[path]) != pushed[path]]
    if wrong := [path for path in differing if not _is_prose(path)]:
        raise Damaged(
            f"{', '.join(wrong)} of {repo} is not what was pushed (its sum is not that of "
            f"{layout.RECORD}): pull an earlier revision, or push it again"
        )
    for path in wanted:
        if "/" not in path and remote_code.is_config(path):
            _must_run_no_code(repo, path, files[path])
    folder.lay_out(files, target, shutil.copyfile)
    manifest = checkpoint.read_manifest(target)
    checkpoint.read_task(target, manifest)  # what nothing could open is not put in place
    has_weights = any(target.glob("*.safetensors"))
    for damage in checkpoint.damages(target, manifest, weights=has_weights):
        raise Damaged(f"{repo} is damaged: {damage}")
    for place in artifacts.all_of(target):
        artifacts.read(place)
        for program in place.glob("*.onnx"):
            must_stay_inside(program)
            beside = {path.name for path in place.iterdir()}
            if strange := sorted(kept_outside(program) - beside):
                raise UserError(f"{program} keeps weights in {strange[0]}: refused")
    return Pulled(target, there.commit, tuple(left), tuple(differing), bool(pushed))


def _pushed(repo: str, said: Mapping[str, Any] | None) -> dict[str, str]:
    """The sums of what was pushed; none where zoo.json was put there by other means.

    Raises `Damaged` for what is no zoo.json.
    """
    if (
        said is None
        or not is_sums(said.get("files"))
        or not isinstance(said.get("model"), str)
        or not isinstance(said.get("config"), Mapping)
    ):
        raise Damaged(f"{layout.RECORD} of {repo} is damaged: push the checkpoint again")
    try:
        return sums(said)
    except ValueError as error:
        raise Damaged(
            f"{layout.RECORD} of {repo} is damaged ({error}): push the checkpoint again"
        ) from None


def _is_prose(path: str) -> bool:
    return path.endswith((".md", ".png", ".yaml", ".jsonl"))


def _must_have_weights(repo: str, wanted: list[str], left: list[str]) -> None:
    if any(path.endswith(layout.LARGE) for path in wanted):
        return
    if pickled := [path for path in left if any(Path(path).match(kind) for kind in PICKLES)]:
        raise UserError(
            f"{repo} has its weights in {pickled[0]} only, and pickled weights can run any code: "
            "refused"
        )
    raise UserError(f"{repo} has no weights (safetensors or ONNX)")


def _must_run_no_code(repo: str, path: str, found: Path) -> None:
    """Raises `UserError` for a config that names code to be run, or is damaged."""
    if fault := remote_code.fault_of(found):
        raise UserError(f"{path} of {repo} {fault}")
