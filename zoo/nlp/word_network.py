"""The network of word_vectors: two vectors a word, and a tokenizer that counts words."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.nlp.word_vectors import COUNTS
from zoo.model.loading import load_tokenizer
from zoo.model.network import Network
from zoo.nlp import vector_files
from zoo.nlp.modeling_word_vectors import WordVectorsConfig, WordVectorsModel
from zoo.nlp.trained_tokenizer import SPECIAL, texts_of, train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.nlp.word_vectors import Options

UNLIMITED = 10**9
"""Words that a tokenizer gives of a text at most."""


class WordNetwork(Network):
    """The network of word vectors."""

    auto_class = "AutoModel"
    file_formats = ("word2vec",)
    quantization_methods = ("dynamic", "static")  # as all models of texts, had it any program
    load_processor = staticmethod(load_tokenizer)

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a tokenizer of the most frequent words of the training split, with their counts.

        Raises `UserError` for sizes that leave no room, or texts in which no word comes twice.
        """
        if options.vocab_size < 2:
            raise UserError(f"`vocab_size` {options.vocab_size}: at least 2, a word and another")
        train, size = splits["train"], options.vocab_size + len(SPECIAL)
        tokenizer = train_tokenizer(texts_of(train), "word", size, options.lowercase, UNLIMITED)
        if len(tokenizer) < len(SPECIAL) + 2:
            raise UserError(
                "these texts have no two words that come twice: give more text, cut into words by "
                "blanks"
            )
        tokenizer.init_kwargs[COUNTS] = _counts(texts_of(train), tokenizer)
        return tokenizer

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> "tuple[nn.Module, dict[str, Any]]":
        """Return the model in fp32, and where its weights came from: they are new, drawn from
        torch's global random state; seed it first."""
        config = WordVectorsConfig(
            vocab_size=len(processor),
            embedding_size=options.embedding_size,
            pad_token_id=processor.pad_token_id,
            **task.model_config(),
        )
        return WordVectorsModel(config), {"model": None, "license": None}

    def write_file(self, form: str, path: "Path", model: "nn.Module", processor: Any) -> None:
        """Write the vectors of all words as text, the most frequent first."""
        from zoo.nlp.pretrained_embeddings import words_and_vectors

        vector_files.write(path, "`checkpoint`", *words_and_vectors(model, processor))


def _counts(texts: Iterable[list[str]], tokenizer: Any) -> list[int]:
    """Return how often each token of the vocabulary is in texts; 0 of special ones."""
    import numpy as np

    from tasks.nlp.tokenization import whole

    totals = np.zeros(len(tokenizer), np.int64)
    for batch in texts:
        for ids in whole(batch, tokenizer):
            totals += np.bincount(ids, minlength=len(totals)) if ids else 0
    totals[tokenizer.all_special_ids] = 0
    return totals.tolist()


NETWORK = WordNetwork()
