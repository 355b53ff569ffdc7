"""The network of rnn_cls: a recurrent classifier with a tokenizer of its own; both are new or those
of a checkpoint."""

import json
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model import own_weights
from zoo.model.loading import load_tokenizer
from zoo.model.network import Network
from zoo.nlp import pretrained_embeddings
from zoo.nlp.encoder_fit import UNLIMITED
from zoo.nlp.modeling_rnn import RnnConfig, RnnForSequenceClassification
from zoo.nlp.trained_tokenizer import texts_of, train_tokenizer
from zoo.store import own_checkpoint, pretrained

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.nlp.rnn_cls import Options

MULTI_HEAD, HEADS = "multi_head", 4
SIZE = 128
"""Numbers of a token's vector where nothing else is asked for."""


def _heads(options: "Options") -> int:
    """Return how many heads new weights have. Raises `UserError` where a pooling has none."""
    if options.pooling == MULTI_HEAD:
        return options.attention_heads or HEADS
    if options.attention_heads is not None:
        raise UserError(
            f"`attention_heads` goes with `pooling` {MULTI_HEAD}, and this is {options.pooling}"
        )
    return 1


def _limit(tokenizer: Any, options: "Options") -> int:
    """Return the most tokens that a tokenizer gives; transformers writes 10^30 for no limit."""
    limit = int(tokenizer.model_max_length)
    return limit if limit < UNLIMITED else options.token_limit


class RecurrentNetwork(Network):
    """The network of a recurrent text classifier."""

    auto_class = "AutoModelForSequenceClassification"
    load_processor = staticmethod(load_tokenizer)
    quantization_methods = ("dynamic", "static")
    free_options = ("rnn_dropout", "initialization")

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return the tokenizer of the weights, or one trained only on the texts of the training
        split.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        pretrained_embeddings.wanted(options)
        if options.model != pretrained.NEW:
            found, _ = own_checkpoint.find(options, RnnConfig, entry)
            return load_tokenizer(found.folder)
        if options.cell != "rnn" and options.activation != "tanh":
            raise UserError(
                f"`activation` {options.activation} is for `cell` rnn, and {options.cell} has gates"
            )
        _heads(options)
        return train_tokenizer(
            texts_of(splits["train"]),
            options.tokenizer,
            options.vocab_size,
            options.lowercase,
            options.token_limit,
        )

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the longest input in tokens."""
        if options.model == pretrained.NEW:
            return options.token_limit
        return _limit(processor, options)

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            size = options.embedding_size or SIZE
            if pretrained_embeddings.wanted(options):
                size = pretrained_embeddings.size_of(options, len(processor))
            return {"embedding_size": size}
        _, config = own_checkpoint.find(options, RnnConfig, entry)
        rules = json.loads(processor.backend_tokenizer.to_str())
        return {
            "cell": config.cell,
            "embedding_size": config.embedding_size,
            "hidden_size": config.hidden_size,
            "num_layers": config.num_hidden_layers,
            "bidirectional": config.bidirectional,
            "pooling": config.pooling,
            "attention_heads": config.attention_heads,
            "rnn_dropout": config.hidden_dropout_prob,
            "initialization": config.initialization,
            "activation": config.hidden_act,
            "tokenizer": "word" if rules["model"]["type"] == "WordLevel" else "bpe",
            "vocab_size": max(len(processor), options.vocab_size),  # perhaps it has fewer
            "lowercase": '"Lowercase"' in json.dumps(rules["normalizer"]),
            "token_limit": _limit(processor, options),
        }

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, RnnConfig, entry)
            config.hidden_dropout_prob = options.rnn_dropout
            config.initialization = options.initialization
            model = own_weights.begin(
                RnnForSequenceClassification,
                config,
                task.model_config(),
                found.folder,
                options.model,
            )
            self.prepare_training(model, options)
            return model, found.source(options.model)
        config = RnnConfig(
            vocab_size=len(processor),
            embedding_size=options.embedding_size or SIZE,
            hidden_size=options.hidden_size,
            num_hidden_layers=options.num_layers,
            cell=options.cell,
            bidirectional=options.bidirectional,
            pooling=options.pooling,
            attention_heads=_heads(options),
            hidden_dropout_prob=options.rnn_dropout,
            initialization=options.initialization,
            hidden_act=options.activation,
            pad_token_id=processor.pad_token_id,
            **task.model_config(),
        )
        model = RnnForSequenceClassification(config)
        if pretrained_embeddings.wanted(options):
            pretrained_embeddings.fill(model.rnn.embeddings, options, processor.get_vocab())
        self.prepare_training(model, options)
        return model, {"model": None, "license": None}

    def prepare_training(self, model: Any, options: "Options") -> None:
        """Freeze the vectors of tokens where that is asked for, in place."""
        if options.freeze_embeddings or options.embeddings == pretrained_embeddings.ONE_HOT:
            model.rnn.embeddings.weight.requires_grad_(False)


NETWORK = RecurrentNetwork()
