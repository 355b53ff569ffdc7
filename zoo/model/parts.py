"""What must lie beside the weights in a folder.

transformers makes an empty tokenizer where there are no files of one, and a model would then learn
from nothing but unknown tokens.
"""

from pathlib import Path
from typing import Any

from tasks.errors import UserError

WHOLE = "tokenizer.json"
"""The file that holds all of a fast tokenizer."""
VOCABULARIES = (WHOLE, "vocab*", "merges.txt", "bpe.codes", "*.model", "*.tiktoken", "tekken.json")
"""Names of files that hold a vocabulary or a part of one."""
SETTINGS = frozenset(("tokenizer_file", "tokenizer_config_file", "normalizer_file"))
"""Of a class's files, those that are no vocabulary (or are `WHOLE`)."""


def must_be_there(folder: Path) -> None:
    """Raises `UserError` where a folder has no files of a tokenizer, or only some of them."""
    _must_have_files(folder)
    _must_be_whole(folder, {"vocab_file": "vocab.json", "merges_file": "merges.txt"})


def must_be_filled(tokenizer: Any, folder: Path) -> None:
    """Raises `UserError` where a tokenizer was loaded from a folder without its vocabulary."""
    names = dict(type(tokenizer).vocab_files_names)
    if names:  # else it reads characters or bytes, and needs none
        _must_be_whole(folder, names)
        if _is_empty(tokenizer):
            _must_have_files(folder)
            raise UserError(f"the tokenizer in {folder} has an empty vocabulary")


def _must_have_files(folder: Path) -> None:
    if not any(path.is_file() for name in VOCABULARIES for path in folder.glob(name)):
        raise UserError(
            f"{folder} has no tokenizer, so every word would be unknown: copy its files"
            f" ({WHOLE}, or vocab.txt, vocab.json and merges.txt, tokenizer.model, ...) there from"
            " where the weights are from"
        )


def _must_be_whole(folder: Path, names: dict[str, str]) -> None:
    """`names`: the files of a class of tokenizers, as transformers lists them."""
    if (folder / WHOLE).is_file():
        return
    parts = [name for part, name in names.items() if part not in SETTINGS]
    missing = [name for name in parts if not (folder / name).is_file()]
    there = [name for name in parts if name not in missing]
    if there and missing:
        raise UserError(
            f"{folder} has {' and '.join(there)} of its tokenizer but not {' and '.join(missing)}:"
            f" copy {'it' if len(missing) == 1 else 'them'} there from where the weights are from"
        )


def _is_empty(tokenizer: Any) -> bool:
    """Return whether a tokenizer knows nothing but special and added tokens."""
    own = set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab())
    return not own - set(tokenizer.all_special_tokens)
