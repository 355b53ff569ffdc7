"""word_vectors: a vector for each word, learned from texts without labels.

Skip-gram and CBOW with negative sampling, as word2vec has them (Mikolov et al. 2013), and GloVe
(Pennington et al. 2014). `rnn_cls finetune --embeddings runs/word_vectors` starts from them.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    embedding_size: Count = 100
    """size of a word's vector"""
    vocab_size: Count = 20_000
    """most words of the vocabulary: the most frequent ones that come twice or more"""
    lowercase: bool = True
    """read upper case as lower case"""


EXAMPLES = {
    "pretrain": (
        "pretrain",
        "pretrain --method glove --data texts/ --output_dir runs/glove",
        "pretrain --method cbow --data book.txt --embedding_size 50 --output_dir runs/book",
    ),
    "evaluate": (
        "evaluate runs/word_vectors",
        "evaluate runs/word_vectors --data book.txt --split train",
    ),
    "predict": (
        "predict runs/word_vectors --word file list",
        "predict runs/word_vectors --word king --minus man --plus woman --top_k 3",
        "predict runs/word_vectors --file words.txt --output nearest.jsonl",
    ),
    "export": ("export runs/word_vectors --runtime word2vec",),
}

ENTRY = Entry(
    name="word_vectors",
    module="zoo.nlp.word_vectors",
    task="tasks.nlp.word_vectors",
    summary="word vectors by skip-gram, CBOW or GloVe, a start for rnn_cls",
    network="zoo.nlp.word_network",
    modality="zoo.nlp.modality",
    options=Options,
    recipe={
        "num_train_epochs": 5.0,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 128,
        "learning_rate": 3e-2,
        "adam_epsilon": 1e-6,  # of the size of a rare word's gradient: its steps stay small
        "dtype": "fp32",
    },
    verbs=("pretrain", "evaluate", "predict", "export"),
    examples=EXAMPLES,
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
