"""What must lie beside the weights in a folder.

transformers makes an empty tokenizer where there are no files of one, and a model would then learn
from nothing but unknown tokens.
"""

from pathlib import Path
from typing import Any

from tasks.errors import UserError

WHOLE = "tokenizer_file"
"""All of a fast tokenizer in one file (tokenizer.json)."""
SETTINGS = frozenset((WHOLE, "tokenizer_config_file", "normalizer_file"))
"""Of a class's files, those that are no vocabulary."""


def must_be_filled(tokenizer: Any, folder: Path) -> None:
    """Raises `UserError` where a tokenizer was made without the files that hold its vocabulary.

    Args:
        tokenizer: of transformers, as it loaded it from the folder.
    """
    names: dict[str, str] = dict(type(tokenizer).vocab_files_names)
    if not names:  # of characters or bytes: it needs none
        return
    whole = names.get(WHOLE)
    parts = [name for part, name in names.items() if part not in SETTINGS]
    there = [name for name in parts if (folder / name).is_file()]
    missing = [name for name in parts if name not in there]
    has_whole = whole is not None and (folder / whole).is_file()
    if there and missing and not has_whole:
        raise UserError(
            f"{folder} has {' and '.join(there)} of its tokenizer but not {' and '.join(missing)}:"
            f" copy {'it' if len(missing) == 1 else 'them'} there from where the weights are from"
        )
    if not (has_whole or there) and _is_empty(tokenizer):
        wanted = " and ".join(parts) or "its vocabulary"
        choice = f"{whole}, or {wanted}" if whole and parts else whole or wanted
        raise UserError(
            f"{folder} has no tokenizer, so every word would be unknown: copy its files"
            f" ({choice}) there from where the weights are from"
        )


def _is_empty(tokenizer: Any) -> bool:
    """Whether it knows nothing but special and added tokens."""
    own = set(tokenizer.get_vocab()) - set(tokenizer.get_added_vocab())
    return not own - set(tokenizer.all_special_tokens)
