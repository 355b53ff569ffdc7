"""The processor of a CTC model: a feature extractor, and a tokenizer of characters."""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.speech.char_tokenizer import normalized
from tasks.speech.speech_recognition import case_of
from zoo.model.loading import load_feature_extractor, load_tokenizer

if TYPE_CHECKING:
    import datasets

BLANK, UNKNOWN, DELIMITER = "<pad>", "<unk>", "|"


@dataclass(frozen=True)
class CtcProcessor:
    """A feature extractor and a tokenizer, the two parts that transformers' pipeline loads from a
    folder."""

    feature_extractor: Any
    tokenizer: Any

    def save_pretrained(self, folder: Path) -> None:
        """Save the feature extractor and the tokenizer to the same folder."""
        self.feature_extractor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_processor(folder: Path) -> CtcProcessor:
    """Return the processor of a checkpoint."""
    return CtcProcessor(load_feature_extractor(folder), load_tokenizer(folder))


def train_tokenizer(train: "datasets.Dataset", args: Any) -> Any:
    """Return a tokenizer of the characters in the transcriptions of the training split.

    Args:
        args: `tasks.speech.speech_recognition.Args`, which say how texts are spelled.
    """
    characters: set[str] = set()
    for rows in train.select_columns(["text"]).iter(batch_size=1000):
        characters |= _characters(rows["text"], args)
    return make_tokenizer(characters)


def _characters(texts: Iterable[str], args: Any) -> set[str]:
    return set().union(*(normalized(text, case_of(args), args.punctuation) for text in texts))


def make_tokenizer(characters: Iterable[str]) -> Any:
    """Return a CTC tokenizer: the blank is 0, then the unknown, the word delimiter, the
    characters."""
    from transformers import Wav2Vec2CTCTokenizer

    symbols = [BLANK, UNKNOWN, DELIMITER, *sorted(set(characters) - {" ", DELIMITER})]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.json"
        path.write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
        return Wav2Vec2CTCTokenizer(
            str(path),
            bos_token=None,
            eos_token=None,
            unk_token=UNKNOWN,
            pad_token=BLANK,
            word_delimiter_token=DELIMITER,
            clean_up_tokenization_spaces=False,
        )
