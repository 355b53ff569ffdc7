"""Data sets of the Hugging Face Hub, or of its cache on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data.splits import canonical
from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets

SECONDS_TO_ANSWER = 5.0  # the Hub's first answer; without one, what the cache holds is used


def load(name: str, config: str | None) -> "tuple[datasets.DatasetDict, str]":
    """The splits and the fingerprint: the commit, and "/" and the configuration where one is named.

    The Hub is asked once, briefly, for the current commit. Where it does not answer, the newest
    copy in the cache of `datasets` is taken. No code of the repository is run.

    Raises `UserError` where there is no such data set, it may not be read, or neither the Hub nor
    the cache has it.
    """
    import datasets
    import huggingface_hub
    from huggingface_hub import errors

    try:
        commit = huggingface_hub.HfApi().dataset_info(name, timeout=SECONDS_TO_ANSWER).sha
    except errors.GatedRepoError:
        raise UserError(
            f"the data set {name} is gated: ask for access on its page of the Hub, then run"
            " `hf auth login`"
        ) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UserError(
            f"{name!r} is no file or folder here, and the Hub has no such data set (or it is"
            " private and you are not logged in)"
        ) from None
    except Exception as problem:  # whatever a missing network looks like here: take the cache
        splits = _from_cache(name, config, problem)
        commit = _cached_commit(splits)
    else:
        try:
            splits = datasets.load_dataset(name, config, revision=commit)
        except Exception as problem:  # its many kinds have no common base
            raise UserError(
                f"the data set {name} cannot be loaded: {_first_line(problem)}"
            ) from None
    return canonical(splits), f"{commit}/{config}" if config else str(commit)


def _from_cache(name: str, config: str | None, problem: Exception) -> "datasets.DatasetDict":
    import datasets

    online = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True  # else it tries and waits for 23 seconds
    try:
        return datasets.load_dataset(name, config)
    except Exception:
        wanted = f"{name} ({config})" if config else name
        raise UserError(
            f"no file or folder {name!r} here, the Hub cannot be reached ({_first_line(problem)}),"
            f" and its cache does not hold the data set {wanted}"
        ) from None
    finally:
        datasets.config.HF_HUB_OFFLINE = online


def _cached_commit(splits: "datasets.DatasetDict") -> str:
    """`datasets` keeps ID/CONFIG/VERSION/COMMIT/*.arrow."""
    files = [file["filename"] for split in splits.values() for file in split.cache_files]
    return Path(files[0]).parent.name if files else "unknown"


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__).rstrip(".")
