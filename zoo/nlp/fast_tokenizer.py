"""A checkpoint's tokenizer by the package tokenizers alone: it imports in a tenth of the time that
transformers takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.model import loading

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WHOLE = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
"""Of chats, which only transformers renders."""
INPUTS = {
    "TokenizersBackend": ("input_ids", "attention_mask"),
    "PreTrainedTokenizerFast": ("input_ids", "attention_mask"),
    "BertTokenizer": ("input_ids", "token_type_ids", "attention_mask"),
    "DistilBertTokenizer": ("input_ids", "attention_mask"),
    "RobertaTokenizer": ("input_ids", "attention_mask"),
}
"""The classes of transformers that add nothing of their own to what tokenizer.json says, and the
inputs that they make where their settings do not say."""
NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


class FastTokenizer:
    """A tokenizer with the attributes and methods that tasks use, named as in transformers."""

    def __init__(self, backend: "Tokenizer", settings: Mapping[str, Any]) -> None:
        """
        Args:
            backend: what tokenizer.json says.
            settings: what tokenizer_config.json says.
        """
        self.backend_tokenizer = backend
        self.model_input_names: list[str] = list(
            settings.get("model_input_names") or INPUTS[settings["tokenizer_class"]]
        )
        self.padding_side: str = settings.get("padding_side", "right")
        self.truncation_side: str = settings.get("truncation_side", "right")
        self.split_special_tokens: bool = settings.get("split_special_tokens", False)
        backend.encode_special_tokens = self.split_special_tokens
        named = {name: _text(settings.get(f"{name}_token")) for name in NAMES}
        self.mask_token = named["mask"]
        ids = {
            name: None if token is None else backend.token_to_id(token)
            for name, token in named.items()
        }
        self.bos_token_id, self.eos_token_id = ids["bos"], ids["eos"]
        self.mask_token_id, self.pad_token_id = ids["mask"], ids["pad"]
        self.unk_token_id = ids["unk"]
        special = [*named.values(), *map(_text, settings.get("extra_special_tokens") or ())]
        found = (backend.token_to_id(token) for token in special if token is not None)
        self.all_special_ids = sorted({number for number in found if number is not None})

    def __len__(self) -> int:
        """Return the number of tokens, including added ones."""
        return self.backend_tokenizer.get_vocab_size()

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids, including special tokens."""
        return self.backend_tokenizer.decode(ids, skip_special_tokens=False)


def _text(token: Any) -> Any:
    """Return the text of a token in tokenizer_config.json, where it may have settings of its
    own."""
    return token["content"] if isinstance(token, Mapping) else token


def load(folder: Path) -> Any:
    """Return the tokenizer in a folder; that of transformers if only transformers can read it.

    Raises `UserError` as `zoo.model.loading.load_tokenizer` does.
    """
    if not all((folder / name).is_file() for name in (WHOLE, SETTINGS)):
        return loading.load_tokenizer(folder)
    settings = loading.load_json(folder, SETTINGS)
    plain = settings.get("tokenizer_class") in INPUTS and not {
        # what transformers makes of these is not in tokenizer.json
        name
        for name in ("clean_up_tokenization_spaces", "add_bos_token", "add_eos_token")
        if settings.get(name)
    }
    writes_chats = bool(settings.get("chat_template")) or (folder / TEMPLATE).is_file()
    if not plain or writes_chats or isinstance(settings.get("extra_special_tokens"), Mapping):
        return loading.load_tokenizer(folder)
    with loading.told(folder, "tokenizer"):
        from tokenizers import Tokenizer

        found = FastTokenizer(Tokenizer.from_file(str(folder / WHOLE)), settings)
        if len(found) <= len(found.all_special_ids):
            return loading.load_tokenizer(folder)  # which says what is wrong
        loading.must_pad_with_reason(found)
        found.backend_tokenizer.encode("a text")
    return found
