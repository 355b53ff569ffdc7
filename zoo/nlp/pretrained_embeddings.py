"""The first layer of a text classifier out of word vectors: of a checkpoint of word_vectors, a file
of word2vec or GloVe, or one-hot vectors, the baseline without any."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tasks.errors import UserError, spelled
from tasks.paths import expanded
from tasks.printing import print_lines
from zoo.model import own_weights
from zoo.model.loading import load_json, load_model, load_tokenizer
from zoo.nlp import vector_files
from zoo.nlp.modeling_word_vectors import WordVectorsConfig
from zoo.store import pretrained

if TYPE_CHECKING:
    from zoo.nlp.rnn_cls import Options

ONE_HOT = "one_hot"
MOST_ONE_HOT = 4096
"""Tokens that have one-hot vectors at most: each has as many numbers, wherever it is read."""


def size_of(options: "Options", tokens: int) -> int:
    """Return how many numbers the vectors have that `options.embeddings` names.

    Args:
        tokens: of the vocabulary.

    Raises `UserError` for what can't be read, or does not fit the other options.
    """
    name = options.embeddings
    if name == ONE_HOT:
        if tokens > MOST_ONE_HOT:
            raise UserError(
                f"`embeddings` {name}: {tokens:,} tokens are too many for vectors of that size",
                hint=f"give `vocab_size` {MOST_ONE_HOT} or less",
            )
        size = tokens
    else:
        path = _found(name)
        file = path.is_file()
        size = vector_files.size(path) if file else _config(path, name)["embedding_size"]
    if options.embedding_size not in (None, size):
        raise UserError(
            f"`embedding_size` {options.embedding_size}: the vectors of `embeddings` {name} have "
            f"{size} numbers; leave it out"
        )
    return int(size)


def fill(embedding: nn.Embedding, options: "Options", vocabulary: dict[str, int]) -> None:
    """Copy the vectors that `options.embeddings` names into an embedding, in place, and say how
    many of its rows have one. The row of the padding stays 0.

    Args:
        vocabulary: ids of tokens.

    Raises `UserError` for what can't be read, or has none of the tokens.
    """
    name, tokens = options.embeddings, len(vocabulary)
    if name == ONE_HOT:
        ids, vectors = list(range(tokens)), np.eye(tokens, dtype=np.float32)
    else:
        path = _found(name)
        file = path.is_file()
        words, known = vector_files.read(path, vocabulary.keys()) if file else words_of(path)
        pairs = [(vocabulary[w], i) for i, w in enumerate(words) if w in vocabulary]
        if not pairs:
            raise UserError(f"`embeddings` {name} has none of the words of these texts")
        ids, vectors = [token for token, _ in pairs], known[[i for _, i in pairs]]
    with torch.no_grad():
        embedding.weight[ids] = torch.from_numpy(vectors)
        if embedding.padding_idx is not None:
            embedding.weight[embedding.padding_idx] = 0
    if own_weights.is_first():
        share = f"{len(ids):,} of {tokens:,} tokens ({len(ids) / tokens:.0%}) have their vector"
        rest = "; the others are drawn" if len(ids) < tokens else ""
        print_lines(spelled(f"`embeddings` {name}: {share}{rest}"), file=sys.stderr)


def wanted(options: "Options") -> bool:
    """Return whether vectors are asked for. Raises `UserError` where other options have no place
    for them."""
    if options.embeddings == pretrained.NEW:
        return False
    if options.model != pretrained.NEW:
        raise UserError("`embeddings` is for new weights, and `model` has its own: leave one away")
    if options.embeddings != ONE_HOT and options.tokenizer != "word":
        raise UserError(
            f"`embeddings` {options.embeddings} has vectors of words, and `tokenizer` "
            f"{options.tokenizer} cuts words in pieces: give `tokenizer` word"
        )
    return True


def _found(name: str) -> Path:
    path = expanded(name)
    if not path.exists():
        raise UserError(
            f"`embeddings` {name}: there is no such folder or file; it is the checkpoint of "
            f"word_vectors, a file of word2vec or GloVe in text, {ONE_HOT} or {pretrained.NEW}"
        )
    return path


def _config(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = load_json(folder, "config.json")
    if (kind := found.get("model_type")) != WordVectorsConfig.model_type:
        raise UserError(
            f"`embeddings` {name} holds {kind or 'a network without a name'}, and no word vectors"
        )
    return found


def words_of(folder: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return the words of a checkpoint of word_vectors, the most frequent first, and their vectors
    [words, size]."""
    from transformers import AutoModel

    model: Any = load_model(AutoModel, folder)
    return words_and_vectors(model, load_tokenizer(folder))


def words_and_vectors(model: Any, tokenizer: Any) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return the words of a model and its tokenizer, the most frequent first, and their vectors."""
    special = set(tokenizer.all_special_ids)
    ids = [i for i in range(len(tokenizer)) if i not in special]
    return tokenizer.convert_ids_to_tokens(ids), model.word_vectors().numpy()[ids]
